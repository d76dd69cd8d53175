"""One walk in a real Chromium: a tiny run is started and grows; reload, second tab, the death of the server change nothing."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from vitviz.runs import jobs
from vitviz.runs.folder import Run, own_root

APP = Path(__file__).resolve().parents[2] / "app.py"
TINY = {
    "limit": 200,
    "patch-size": 16,
    "embed-dim": 16,
    "depth": 1,
    "epochs": 2,
    "extra-epochs": 0,
    "max-rounds": 400,
    "epochs-per-round": 3,
    "num-restarts": 2,
    "stop-rule": "max_rounds",
    "projection": "none",
}
SETTINGS = "\n".join(f"{name}={value}" for name, value in TINY.items())
ADDRESS = "/train?" + urlencode({"preset": "none", "control": "false", "set": SETTINGS}, quote_via=quote)
GROWING = re.compile(r"^grown: (epoch|round) \d+, \d+ of at most \d+ records$")
WIDTHS = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return [[document.scrollingElement.scrollWidth, window.innerWidth], [main.scrollWidth, main.clientWidth]];
}"""

pytestmark = pytest.mark.browser


@pytest.fixture
def serve_here(serve, own_folders) -> Iterator[Callable]:
    """``serve_here()``: a server over the runs of this test; whatever it was asked for, no job outlives the test."""
    yield lambda: serve(APP, **{name: os.environ[name] for name in ("VITVIZ_RUNS", "VITVIZ_CACHE", "VITVIZ_DATA")})
    for _, job in jobs.list_jobs():
        for pid in jobs.processes_of(job):
            os.kill(pid, signal.SIGKILL)


def _records(page) -> int:
    """How many records the bar of the page tells."""
    line = page.get_by_text(GROWING)
    line.wait_for(timeout=180_000)
    return int(re.search(r", (\d+) of", line.inner_text()).group(1))


def _grows(page, before: int) -> int:
    """Wait until the page itself, untouched, tells of more records."""
    page.wait_for_function(
        "before => [...document.querySelectorAll('[data-testid=stProgress]')]"
        ".some(bar => Number((bar.innerText.match(/, (\\d+) of/) || [])[1]) > before)",
        arg=before,
        timeout=180_000,
    )
    return _records(page)


def _fits(page) -> None:
    for content, screen in page.evaluate(WIDTHS):
        assert content <= screen + 1, page.url


def test_a_run_is_started_grows_and_is_there_after_reload_second_tab_and_the_death_of_the_server(serve_here, open_at):
    server = serve_here()
    page = open_at(server.address + ADDRESS, size=(390, 844))
    _fits(page)
    name = page.get_by_role("textbox", name="Name of the run")
    name.fill("grown")
    name.press("Enter")
    page.get_by_text("--run grown").first.wait_for()
    page.get_by_role("button", name="Start").click()
    seen = _grows(page, _records(page))
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
    _fits(page)
    run = Run(own_root() / "grown")
    job, trainer = jobs.read_job(run), run.status().pid
    os.kill(trainer, signal.SIGSTOP)  # it has shown that it grows; until it has to again, it need not

    page.reload()
    assert _records(page) >= seen
    second = open_at(server.address + "/train", dark=True)
    seen = _records(second)
    second.get_by_role("link", name="Watch it on its page").click()
    second.wait_for_url("**/deep_clustering?run=grown*")
    second.get_by_text(re.compile("^running: ")).first.wait_for()
    for tab in (page, second):
        tab.goto("about:blank")

    os.kill(server.pid, signal.SIGKILL)
    assert run.status().state == "running" and len(jobs.processes_of(job)) == 2
    page.goto(serve_here().address + "/train")
    os.kill(trainer, signal.SIGCONT)
    _grows(page, max(seen, _records(page)))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("grown was cancelled.").first.wait_for()
    assert jobs.processes_of(job) == [] and run.damaged_files() == []

    page.get_by_role("button", name="Resume", exact=True).click()
    _records(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("grown was cancelled.").first.wait_for()
    page.get_by_text(GROWING).wait_for(state="detached")
