"""What is being trained, what waits, and what became of the last jobs: looked at every two seconds while there is something."""

from urllib.parse import parse_qsl

import streamlit as st

from vitviz.explain.training_progress import LOSSES, SCORES, growing_lines, images_per_second, seconds_left
from vitviz.figures import training as figures
from vitviz.runs import jobs
from vitviz.runs.folder import Run
from vitviz.runs.records import Job
from vitviz.training import launch, queue
from vitviz.ui import run_views
from vitviz.ui import train_words as words
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_told
from vitviz.ui.navigation import address_of, is_shown, page
from vitviz.ui.problems import shown_problems

_ENDED = 4
"""So many jobs that ended are shown, the last first."""


def show_now() -> None:
    """The job at work with its curves, the queue, and the last that ended; an empty state that teaches."""
    seen = _signature()

    @st.fragment(run_every=2 if _is_anything_going_on(seen) else None)
    def tick() -> None:
        with shown_problems():
            queue.promote()
        if _signature() != seen:
            st.rerun()
        working, waiting, ended = queue.at_work(), queue.waiting(), _ended()
        if working is not None:
            _show_working(*working)
        for place, (run, job) in enumerate(waiting, start=1):
            _show_waiting(place, run, job)
        for run, _ in ended:
            _show_ended(run)
        if working is None and not waiting and not ended:
            st.info(say(words.TEACH), icon=":material/play_circle:")

    tick()


def link_to(run: Run, label: str) -> None:
    """A link to the page that shows the run; nothing before there is something to show."""
    if _is_shown(run):
        name, _, query = address_of(run).partition("?")
        st.page_link(page(name), label=say(label), icon=":material/arrow_forward:", query_params=dict(parse_qsl(query)))


def _signature() -> tuple:
    """Changes whenever the rest of the page has to be drawn anew: a job began, ended, came or went."""
    working = queue.at_work()
    name = "" if working is None else working[0].name
    ended = [(run.name, run.status().state) for run, _ in _ended()]
    return (
        name,
        working is not None and _is_shown(working[0]),
        tuple(run.name for run, _ in queue.waiting()),
        tuple(ended),
    )


def _is_shown(run: Run) -> bool:
    return (run.path / "run.json").exists() and is_shown(run)


def _is_anything_going_on(signature: tuple) -> bool:
    name, _, waiting, _ = signature
    return bool(name or waiting)


def _ended() -> list[tuple[Run, Job]]:
    pairs = [(run, job) for run, job in jobs.list_jobs() if job.started and not jobs.is_at_work(run, job)]
    return sorted(pairs, key=lambda pair: -pair[1].started)[:_ENDED]


def _show_working(run: Run, job: Job) -> None:
    status, records = run.status(), run.metrics()
    progress = status.progress
    with st.container(border=True):
        share = min(progress.done / progress.total, 1.0) if progress.total else 0.0
        st.progress(share, say(words.working(safe_label(run.name), progress)))
        _numbers(job, run)
        if records:
            left, right = st.columns(2)
            with left:
                lines = growing_lines(records, LOSSES)
                figure = figures.growing(lines, title="loss", total=progress.total)
                run_views.chart(figure, key="train_loss")
            with right:
                lines = growing_lines(records, SCORES)
                figure = figures.growing(lines, title="score, 0 to 1", total=progress.total, value_range=(0, 1.02))
                run_views.chart(figure, key="train_scores")
        with st.expander(say("What it says"), icon=":material/terminal:"):
            st.code(jobs.tail(run) or say("nothing yet"), language=None, wrap_lines=True)
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(say("Cancel"), key="cancel", icon=":material/stop_circle:", disabled=not queue.is_allowed()):
                _do(lambda: launch.cancel(run.name))
            link_to(run, "Watch it on its page")


def _numbers(job: Job, run: Run) -> None:
    status, records = run.status(), run.metrics()
    pace = images_per_second(records)
    with st.container(horizontal=True):
        st.metric(say("Images a second"), "–" if pace is None else f"{pace:,.0f}", border=True)
        left = seconds_left(job, status.progress, status.heartbeat)
        st.metric(say("Time left"), words.duration(left), border=True, help=say(words.LEFT))
        st.metric(say("Memory"), words.size(jobs.held_bytes(job)), border=True, help=say("what its processes hold now"))


def _show_waiting(place: int, run: Run, job: Job) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(say(f"**{place}. {safe_label(run.name)}** waits"), width="content")
            if st.button(
                say("Remove"), key=f"remove_{run.name}", icon=":material/delete:", disabled=not queue.is_allowed()
            ):
                _do(lambda: queue.remove(run.name))
        st.code(launch.line_of(job.arguments), language=None, wrap_lines=True)


def _show_ended(run: Run) -> None:
    status, locked = run.status(), not queue.is_allowed()
    show = {"finished": st.success, "failed": st.error}.get(status.state, st.warning)
    show(say(words.ended(run.name, status.state, say_told(status.error))))
    with st.container(horizontal=True, vertical_alignment="center"):
        if status.state != "finished" and st.button(
            say("Resume"), key=f"resume_{run.name}", icon=":material/resume:", disabled=locked
        ):
            _do(lambda: launch.resume(run.name))
        if st.button(say("Dismiss"), key=f"dismiss_{run.name}", icon=":material/close:", disabled=locked):
            _do(lambda: launch.dismiss(run.name))
        link_to(run, "Open it")
    if status.state == "failed":
        with st.expander(say("What it said last"), icon=":material/terminal:"):
            st.code(jobs.tail(run) or say("nothing"), language=None, wrap_lines=True)


def _do(change) -> None:
    """Change the queue, then draw the page anew; a problem is told where it happened instead."""
    with shown_problems():
        with st.spinner(say("One moment …")):
            change()
        st.rerun()
