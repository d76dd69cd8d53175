"""Who is writing a run: one process at a time, and one that died is not taken for one at work."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import find_run
from vitviz.runs.records import Progress

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import sys
from vitviz.runs.folder import find_run
run = find_run("first")
with run.owned():
    run.set_status("running")
    print("owned", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(new_run):
    """Another process that owns the run "first" and says it is running, until its input is closed."""
    new_run()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def rewrite(run, **changes) -> None:
    path = run.path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_state_that_was_written_is_read_with_its_writer(new_run):
    run = new_run()
    run.set_status("running", progress=Progress(done=1, total=2, note="round 0"))
    status = run.status()
    assert (status.state, status.pid, status.progress.note) == ("running", os.getpid(), "round 0")
    assert abs(status.heartbeat - time.time()) < 60


def test_a_run_without_a_state_is_interrupted(new_run):
    assert new_run().status().state == "interrupted"


@pytest.mark.parametrize("state", ["queued", "finished", "failed", "cancelled"])
def test_a_state_that_needs_no_process_outlives_it(new_run, state):
    run = new_run()
    run.set_status(state, error="why")
    rewrite(run, pid=2**22 - 1)
    assert (run.status().state, run.status().error) == (state, "why")


@pytest.mark.parametrize(
    "changes",
    [{"pid": 2**22 - 1}, {"pid": 0, "process_start": 1.0}, {"process_start": 1.0}],
    ids=["dead", "none", "reused"],
)
def test_running_without_its_process_reads_interrupted(new_run, changes):
    run = new_run()
    run.set_status("running", progress=Progress(done=4, total=9))
    rewrite(run, **changes)
    assert (run.status().state, run.status().progress.done) == ("interrupted", 4)


def test_a_running_process_reads_running_until_it_is_killed_even_before_it_is_buried(owner):
    run = find_run("first")
    assert (run.status().state, run.status().pid) == ("running", owner.pid)
    owner.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
    assert run.status().state == "interrupted"
    owner.wait()
    assert run.status().state == "interrupted"


def test_on_another_machine_the_heartbeat_decides(new_run):
    run = new_run()
    run.set_status("running")
    rewrite(run, host="elsewhere", pid=2**22 - 1)
    assert run.status().state == "running"
    rewrite(run, heartbeat=time.time() - 3600)
    assert run.status().state == "interrupted"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"state": "running"}',
        '{"state": "running", "progress": 5}',
        '{"state": "running", "progress": {"x": 1}}',
        '{"state": "running", "progress": {}, "host": 5, "heartbeat": "x"}',
        '{"state": "running", "progress": {}, "host": "HERE", "pid": "x"}',
        '{"state": "running", "progress": {}, "host": "HERE", "pid": null}',
        '{"state": "running", "progress": {}, "host": "HERE", "pid": -5}',
        '{"state": "running", "progress": {}, "host": "HERE", "pid": 1e99}',
        '{"state": "running", "progress": {}, "host": "HERE", "pid": 99999999999999999999}',
    ],
)
def test_a_damaged_state_reads_interrupted(new_run, content):
    run = new_run()
    run.set_status("running")
    (run.path / "status.json").write_text(content.replace("HERE", run.status().host))
    assert run.status().state == "interrupted"


# One writer


def test_a_second_owner_is_refused_and_told_who_the_first_is(owner):
    run = find_run("first")
    for _ in range(20):
        with pytest.raises(Problem, match=f"run 'first' is being written by process {owner.pid} on "), run.owned():
            pytest.fail("two processes own the run")
    assert run.status().pid == owner.pid


def test_a_second_owner_in_the_same_process_is_refused_too(new_run):
    run = new_run()
    with (
        run.owned(),
        pytest.raises(Problem, match=f"being written by process {os.getpid()}"),
        find_run("first").owned(),
    ):
        pytest.fail("the run is owned twice")


def test_a_run_can_be_owned_again_after_its_owner_went_or_was_killed(owner):
    run = find_run("first")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    for _ in range(2):
        with run.owned():
            assert f"process {os.getpid()} on" in (run.path / "owner.lock").read_text()


def test_a_problem_of_the_owner_gives_the_run_free(new_run):
    run = new_run()
    with pytest.raises(KeyError), run.owned():
        raise KeyError
    with run.owned():
        pass
