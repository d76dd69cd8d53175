"""Figure 8: a server that is killed while it trains is started again and finds its job; cancelling takes it away entirely.

The server here is a process that runs the page as Streamlit does, without a browser; the job is a real one.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from vitviz.runs import jobs
from vitviz.runs.folder import Run, own_root

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
limit=200
patch-size=16
embed-dim=16
depth=1
epochs=2
extra-epochs=0
max-rounds=2000
epochs-per-round=3
num-restarts=2
stop-rule=max_rounds
projection=none"""
SERVER = """
import json, sys, time
from streamlit.testing.v1 import AppTest

app = AppTest.from_file("vitviz/ui/router.py", default_timeout=60).run()
app.switch_page("../../pages/train.py")
app.query_params.update({"preset": "none", "control": "false", "set": sys.argv[1]})
app.run()
print("ready", flush=True)
for line in sys.stdin:
    word, _, name = line.strip().partition(" ")
    if word == "start":
        app.text_input(key="name").set_value(name).run()
    began = time.monotonic()
    if word == "look":
        app.run()
    else:
        app.button(key=word).click().run()
    seconds = time.monotonic() - began
    told = [text.value for text in (*app.warning, *app.error)] + [bar.proto.text for bar in app.get("progress")]
    print(json.dumps({"seconds": seconds, "told": told, "fault": bool(app.exception)}), flush=True)
"""


class Page:
    """The page in a process of its own, as the server has it."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, SETTINGS], cwd=ROOT, start_new_session=True, **pipes
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, word: str) -> None:
        """Look at the page, or press the button of that key; does not wait."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> dict:
        told = json.loads(self.process.stdout.readline())
        assert not told["fault"]
        return told

    def kill(self) -> None:
        """As the kernel would: at once, with everything in its group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> Iterator[None]:
    """Runs lie in the folder of the test, and no process outlives it."""
    for name in ("runs", "cache", "data"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))
    yield
    for pid in _of_a_job():
        os.kill(pid, signal.SIGKILL)


def _of_a_job() -> list[int]:
    """Every living process of this machine that trains or watches over a run in the folder of this test."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or ())
        if "-m vitviz" not in words or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            if process.environ().get("VITVIZ_RUNS") == str(own_root()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _wait_until(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, [jobs.tail(run) for run, _ in jobs.list_jobs()]
        time.sleep(0.02)


def _kill_server(server: Page, name: str, delay: float) -> tuple[Page, tuple[bool, float, int]]:
    """Kill it ``delay`` seconds after it was asked for a run; the server that follows it, and what that finds.

    Whether the job was found again and had gone on, seconds that cancelling took, processes that were left.
    """
    run = Run(own_root() / name)
    server.ask(f"start {name}")
    _wait_until(lambda: (run.path / "job.json").exists())
    time.sleep(delay)
    server.kill()
    before = len(run.metrics())

    following = Page()
    _wait_until(lambda: len(run.metrics()) > before)
    following.ask("look")
    is_found = any(name in line for line in following.answer()["told"])
    following.ask("cancel")
    cancelled = following.answer()
    assert f"**{name}** was cancelled." in cancelled["told"] and run.status().state == "cancelled"
    assert run.damaged_files() == []
    return following, (is_found, cancelled["seconds"], len(_of_a_job()))


def _kill_servers(number: int, seed: int) -> dict[str, object]:
    draw, server, found = random.Random(seed), Page(), []
    for index in range(number):
        server, one = _kill_server(server, f"run{index}", draw.choice((0.0, draw.uniform(0, 5))))
        found.append(one)
    server.kill()
    again, seconds, left = zip(*found, strict=True)
    report = {
        "found again": sum(again),
        "cancel, median s": round(statistics.median(seconds), 2),
        "cancel, longest s": round(max(seconds), 2),
        "orphans": sum(left),
    }
    print(f"{number} kills: {report}")
    return report


def test_a_job_is_found_again_after_its_server_was_killed_and_cancelled_to_the_last_process():
    report = _kill_servers(3, seed=1)
    assert (report["found again"], report["orphans"]) == (3, 0)


@pytest.mark.full
def test_thirty_jobs_are_found_again_after_their_servers_were_killed_and_cancelled_to_the_last_process():
    report = _kill_servers(30, seed=2)
    assert (report["found again"], report["orphans"]) == (30, 0)
