"""The queue on the disk: order, bound, removal, one at work. Nothing is trained here, and no process is started."""

import json
import os

import pytest

from vitviz.errors import Problem
from vitviz.runs import jobs
from vitviz.runs.folder import Run, create_run, own_root
from vitviz.runs.records import Job
from vitviz.training import launch, queue

ARGUMENTS = ("runs",)


@pytest.fixture(autouse=True)
def nobody_begins(monkeypatch) -> None:
    """Jobs stay in the queue."""
    monkeypatch.setattr(queue, "promote", lambda: None)
    monkeypatch.setattr(launch, "promote", lambda: None)


def names() -> list[str]:
    return [run.name for run, _ in queue.waiting()]


def test_jobs_wait_in_the_order_they_were_asked_for_and_are_found_again_on_the_disk():
    for name in ("second", "first", "third"):
        launch.start(name, ("train", name))
    assert names() == ["second", "first", "third"]
    assert [job.arguments for _, job in queue.waiting()] == [
        ("train", "second"),
        ("train", "first"),
        ("train", "third"),
    ]
    assert {run.status().state for run, _ in queue.waiting()} == {"queued"} and queue.at_work() is None


def test_a_sixth_is_refused_until_one_is_removed():
    for number in range(5):
        launch.start(f"run{number}", ARGUMENTS)
    with pytest.raises(Problem, match="5 runs are waiting already; remove one of them"):
        launch.start("sixth", ARGUMENTS)
    assert not (own_root() / "sixth").exists()
    queue.remove("run2")
    launch.start("sixth", ARGUMENTS)
    assert names() == ["run0", "run1", "run3", "run4", "sixth"]


def test_a_new_run_that_is_removed_leaves_nothing_behind():
    launch.start("new", ARGUMENTS)
    launch.cancel("new")
    assert not (own_root() / "new").exists() and names() == []


def test_a_run_that_is_removed_is_what_it_was(own_copy):
    own_copy.set_status("failed", error="the disk was full")
    launch.resume("tiny")
    assert own_copy.status().state == "queued" and names() == ["tiny"]
    queue.remove("tiny")
    assert (own_copy.status().state, own_copy.status().error) == ("failed", "the disk was full")
    assert jobs.read_job(own_copy) is None and own_copy.num_rounds() == 3


def test_a_run_goes_on_by_the_line_that_resumes_it(own_copy):
    launch.resume("tiny")
    (_, job), *_ = queue.waiting()
    assert launch.line_of(job.arguments) == "python -m vitviz train deep_clustering --run tiny --resume --no-control"


def test_what_waits_or_is_trained_is_not_asked_for_again(own_copy):
    launch.start("new", ARGUMENTS)
    with pytest.raises(Problem, match="run 'new' waits in the queue already"):
        launch.start("new", ARGUMENTS)
    own_copy.set_status("running")
    with pytest.raises(Problem, match="run 'tiny' is being trained; wait for it, or cancel it first"):
        launch.resume("tiny")
    with pytest.raises(Problem, match="run 'tiny' is not being trained by a job; stop it where it was started"):
        launch.cancel("tiny")


def test_a_name_that_is_taken_or_is_none_is_refused(own_copy):
    with pytest.raises(Problem, match="run 'tiny' exists; choose another name, or resume it"):
        launch.start("tiny", ARGUMENTS)
    for name in ("../outside", "", "UP", "a" * 65, ".jobs", "a/b"):
        for ask in (
            launch.resume,
            launch.cancel,
            queue.remove,
            launch.dismiss,
            lambda one: launch.start(one, ARGUMENTS),
        ):
            with pytest.raises(Problem, match="cannot name a run"):
                ask(name)
    with pytest.raises(Problem, match="there is no run named 'unknown'"):
        launch.resume("unknown")
    with pytest.raises(Problem, match="run 'unknown' does not wait in the queue"):
        queue.remove("unknown")


def test_a_run_that_ended_before_its_first_record_gives_its_name_free(start, content_of, finished):
    run = start("tiny")
    run.set_status("failed", error="it broke")
    launch.start("tiny", ARGUMENTS)
    queue.remove("tiny")
    assert run.status().state == "failed"
    again = create_run("tiny", run.description(), run.samples())
    assert again.metrics() == [] and again.num_rounds() == 0


def test_a_run_that_has_a_record_keeps_its_name(own_copy):
    own_copy.set_status("failed", error="it broke")
    with pytest.raises(Problem, match="run 'tiny' exists"):
        create_run("tiny", own_copy.description(), own_copy.samples())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"arguments": 5}', '{"asked": 1}', '{"arguments": [], "x": 1}']
)
def test_a_damaged_record_is_no_job(content):
    launch.start("whole", ARGUMENTS)
    launch.start("damaged", ARGUMENTS)
    (own_root() / "damaged" / "job.json").write_text(content)
    assert names() == ["whole"]


def test_where_training_is_switched_off_everything_is_refused_in_one_sentence(own_copy, monkeypatch):
    launch.start("new", ARGUMENTS)
    monkeypatch.setenv("VITVIZ_ALLOW_TRAIN", "0")
    asks = (launch.resume, launch.cancel, launch.further_round, launch.dismiss, queue.remove)
    for ask in (*asks, lambda name: launch.start(name, ARGUMENTS), lambda name: queue.enqueue(name, ARGUMENTS)):
        with pytest.raises(
            Problem, match="training is switched off on this server: it was started with VITVIZ_ALLOW_TRAIN=0"
        ):
            ask("new")
    assert names() == ["new"]
    monkeypatch.setenv("VITVIZ_ALLOW_TRAIN", "1")
    assert queue.is_allowed()


def test_whoever_comes_while_another_changes_the_queue_waits_or_is_told(monkeypatch):
    monkeypatch.setattr(jobs, "_WAIT", 0.0)
    with jobs.changing() as lock, jobs.changing(wait=0) as second:
        assert lock is not None and second is None
    with jobs.changing(wait=0) as lock:
        assert lock is not None


def test_a_job_whose_process_is_gone_is_not_at_work(own_copy):
    launch.resume("tiny")
    record = json.loads((own_copy.path / "job.json").read_text())
    started = {**record, "started": 1.0, "leader": 2**22 - 1, "leader_start": 1.0, "host": own_copy.status().host}
    (own_copy.path / "job.json").write_text(json.dumps(started))
    assert queue.at_work() is None and names() == []
    assert jobs.processes_of(jobs.read_job(own_copy)) == []


def test_a_job_on_another_machine_is_told_by_the_heartbeat_and_cancelled_there(own_copy):
    own_copy.set_status("running")
    status = json.loads((own_copy.path / "status.json").read_text())
    (own_copy.path / "status.json").write_text(json.dumps({**status, "host": "elsewhere"}))
    jobs.write_job(own_copy, Job(arguments=ARGUMENTS, asked=1.0, started=1.0, leader=os.getpid(), host="elsewhere"))
    assert queue.at_work()[0].name == "tiny" and jobs.processes_of(queue.at_work()[1]) == []
    with pytest.raises(Problem, match="run 'tiny' is being trained on elsewhere; cancel it there"):
        launch.cancel("tiny")
    (own_copy.path / "status.json").write_text(json.dumps({**status, "host": "elsewhere", "heartbeat": 1.0}))
    assert queue.at_work() is None


def test_where_nothing_can_be_written_that_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "file"))
    with pytest.raises(Problem, match="nothing can be written to file/"):
        launch.start("new", ARGUMENTS)
    assert queue.waiting() == []


def test_a_log_is_bounded_and_its_tail_begins_with_a_whole_line():
    run = Run(own_root() / "talks")
    launch.start("talks", ARGUMENTS)
    assert jobs.tail(run) == ""
    (run.path / "job.log").write_bytes(b"".join(b"line %06d\n" % number for number in range(100_000)))
    jobs.bound_log(run)
    kept = (run.path / "job.log").read_text().splitlines()
    assert (
        (run.path / "job.log").stat().st_size <= 200_000 and kept[-1] == "line 099999" and kept[0].startswith("line 0")
    )
    assert jobs.tail(run, 25).splitlines() == ["line 099998", "line 099999"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            {"preset": "digits", "changes": ["seed=1"]},
            "train deep_clustering --run mine --preset digits --set seed=1 --no-control",
        ),
        (
            {"preset": "p", "variant": "row", "seed": 2},
            "train deep_clustering --run mine --preset p --rows row --seeds 2",
        ),
        ({"changes": ["dataset=a folder"]}, "train deep_clustering --run mine --set 'dataset=a folder' --no-control"),
    ],
)
def test_the_line_of_a_new_run_can_be_typed(words, line):
    assert launch.line_of(launch.train_arguments("deep_clustering", "mine", **words)) == f"python -m vitviz {line}"
