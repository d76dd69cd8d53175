"""Drain a method into its run: state, heartbeat, maps at the end, and one sentence when something goes wrong."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from vitviz.clustering.projection import project_rounds
from vitviz.errors import Problem
from vitviz.runs.disk import disk_problem
from vitviz.runs.folder import Run
from vitviz.runs.records import Progress, Projection
from vitviz.training.methods import config_of, find_method
from vitviz.training.planned_records import count_records
from vitviz.training.save_and_stop import SavedAndStopped, asked_to_save_and_stop, noting_stops
from vitviz.training.shared_run import ranks_of

Report = Callable[[Progress, dict[str, Any]], None]
BEAT_EVERY = 30.0
"""Seconds from one heartbeat to the next, between which a record may come or not."""


def drive(run: Run, report: Report = lambda progress, record: None) -> None:
    """Train ``run`` to its end, from wherever it stands; ``report`` is told of every record.

    On any way out the state says what happened; a run that was stopped can be driven again. After every record all is on the
    disk, so a stop has nothing left to save: SIGUSR1 lets the record under way be finished if that takes less than 45 seconds.
    Raises: what training raises, a Problem for an OSError; KeyboardInterrupt passes through after the state is ``cancelled``
        (SIGUSR1: ``interrupted``).
    """
    with run.owned(), asked_to_save_and_stop() as is_asked, noting_stops() as was_stopped, _beating(run):
        config = config_of(run)
        try:
            _check_whole(run)
            run.set_status("running", progress=_progress(run, config, "starting"))
            with ranks_of(run).noticing_loss():
                for record in find_method(run.description().method).train(config, run):
                    kind, place = ("round", record["round"]) if "round" in record else (record["kind"], record["index"])
                    progress = _progress(run, config, f"{kind} {place}")
                    run.set_status("running", progress=progress)
                    report(progress, record)
                    if any(ranks_of(run).gather_values(is_asked())):
                        raise SavedAndStopped
                ranks_of(run).on_first(lambda: _make_maps(run, config))
            done = _progress(run, config, "finished")
            run.set_status("finished", progress=Progress(done=done.done, total=done.done, note="finished"))
        except KeyboardInterrupt as stop:
            _tell(run, "interrupted" if isinstance(stop, SavedAndStopped) else "cancelled")
            raise
        except BaseException as error:
            if (
                was_stopped()
            ):  # numpy loses an interrupt that comes while it looks at a file, and raises an error of its own
                _tell(run, "cancelled")
                raise KeyboardInterrupt from error
            told = _told(run, error)
            _tell(run, "failed", str(told) if isinstance(told, Problem) else f"{type(told).__name__}: {told}")
            raise told from (None if told is error else error)


def make_projection(run: Run, engine: str, *, seed: int) -> Projection:
    """Compute the maps of all complete rounds of ``run`` and write them. Raises Problem when it has none."""
    run.check_rounds()
    embeddings = [run.round(index).embeddings for index in range(run.num_rounds())]
    points, engine, settings = project_rounds(embeddings, engine, seed=seed)
    projection = Projection(points=points, engine=engine, seed=seed, settings=settings)
    run.save_projection(projection)
    return projection


def _check_whole(run: Run) -> None:
    """Raises: Problem when a file that training would go on from has other bytes than were written."""
    damaged = run.damaged_files()
    if damaged:
        raise Problem(
            f"run '{run.name}' cannot go on: {', '.join(damaged[:3])} changed since it was written",
            "the disk or somebody altered it",
            "put it back from a copy, or train again under another --run name",
        )


def _told(run: Run, error: BaseException) -> BaseException:
    """The error itself, or for one of the disk the Problem that says what is intact."""
    if not isinstance(error, OSError):
        return error
    return disk_problem(f"run '{run.name}' stopped", error, intact=run.intact(), then="go on with --resume")


def _tell(run: Run, state: str, error: str = "") -> None:
    # a disk that takes nothing more takes no status either; then the run reads as interrupted
    with contextlib.suppress(OSError):
        run.set_status(state, error=error)


@contextlib.contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Within, a thread says twice a minute that this process lives: from another machine nothing else tells it."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(BEAT_EVERY):
            run.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _make_maps(run: Run, config: Any) -> None:
    before = run.projection()
    if config.projection == "none" or (before is not None and len(before.points) == run.num_rounds()):
        return
    run.set_status("running", progress=_progress(run, config, f"drawing maps of {run.num_rounds()} rounds"))
    make_projection(run, config.projection, seed=config.seed)


def _progress(run: Run, config: Any, note: str) -> Progress:
    return Progress(done=len(run.metrics()), total=count_records(config), note=note)
