"""Pages over the shipped runs and over copies of them that are cut, relabelled or damaged."""

import json
import os
import runpy
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse

import numpy as np
import pytest

from vitviz.explain import paper_sizes
from vitviz.runs.folder import Run, own_root, shipped_root

COUNTERS = (paper_sizes.count_size, paper_sizes.count_autoencoder)
APP = Path(__file__).resolve().parents[2] / "app.py"
WIDTHS = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return [[document.scrollingElement.scrollWidth, window.innerWidth], [main.scrollWidth, main.clientWidth]];
}"""
RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
DRAWN = "() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')"


@pytest.fixture(scope="session")
def choose_view(settle) -> Callable[..., None]:
    """``choose_view(page, "Cost", VIEWS[0])``: press it, and wait until the server has it and all of it is drawn.

    The button says at once that it is pressed; the address has what the server knows, which is nothing for the first view.
    """

    def choose(page, view: str, first: str) -> None:
        page.get_by_role("radio", name=view, exact=True).click()
        shown = "([view, first]) => (new URLSearchParams(location.search).get('view') ?? first) === view"
        page.wait_for_function(shown, arg=[view, first])
        settle(page)

    return choose


@pytest.fixture(scope="session")
def settle() -> Callable[..., None]:
    """``settle(page)``: wait until nothing runs and nothing is still to be drawn."""

    def wait(page) -> None:
        page.wait_for_selector(RESTED, timeout=60_000)
        page.wait_for_function(DRAWN)
        page.wait_for_selector(RESTED)

    return wait


@pytest.fixture(scope="session")
def shipped_server(serve, tmp_path_factory):
    """A server of the app with the shipped runs and an empty folder of its own, for all tests that write no run."""
    folder = tmp_path_factory.mktemp("home")
    return serve(APP, VITVIZ_RUNS=str(folder / "runs"), VITVIZ_CACHE=str(folder / "cache"))


@pytest.fixture(scope="session")
def fits_its_screen() -> Callable[..., None]:
    """``fits_its_screen(page, "Map")``: nothing is wider than the window, and every picture has words; ``what`` names it."""

    def check(page, what: str = "") -> None:
        for content, screen in page.evaluate(WIDTHS):
            assert content <= screen + 1, what
        assert page.locator("img:not([alt])").count() == 0, what
        assert page.locator("img[alt='']").count() == 0, what

    return check


@pytest.fixture
def open_at(new_page, settle) -> Iterator[Callable]:
    """``open_at(address, size=(390, 844), dark=True)``: that address in a page that remembers nothing, drawn to its end.

    At the end of a test no page may have asked another host or complained on its console.
    """
    asked, complaints = set(), []

    def open_page(address: str, *, size: tuple[int, int] = (1440, 900), dark: bool = False):
        page = new_page(size, color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.on("request", lambda request: asked.add(urlparse(request.url).hostname))
        page.on("websocket", lambda socket: asked.add(urlparse(socket.url).hostname))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        page.goto(address)
        page.wait_for_selector("[data-testid=stMain] h1", timeout=60_000)
        settle(page)
        return page

    yield open_page
    assert asked - {None, ""} == {"127.0.0.1"}
    assert complaints == []


def _complaint(message) -> list[str]:
    """An error on the console. Streamlit looks for its server beside every address before it looks at the root; the images of
    CIFAR-10 are not shipped, and a tile of them that is not here is answered by 404."""
    address = message.location.get("url", "")
    is_probe = "404" in message.text and ("/_stcore/" in address or "/runs/cifar10-laptop/tile-" in address)
    return [f"{message.text} {message.location}"] if message.type == "error" and not is_probe else []


@pytest.fixture(scope="session", autouse=True)
def looked_up_once() -> Iterator[None]:
    """What depends on the installed packages alone is found once a session, not once for every AppTest."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session")
def _counters() -> dict[str, Callable]:
    return {f"{paper_sizes.__name__}.{count.__name__}": _once(count) for count in COUNTERS}


@pytest.fixture
def sizes_are_counted_once(_counters, monkeypatch) -> None:
    """The sizes of the papers' models depend on nothing but their rows: no test has to count them again."""
    for name, counter in _counters.items():
        monkeypatch.setattr(name, counter)


@pytest.fixture
def own_folders(tmp_path, monkeypatch) -> None:
    """Own runs, caches and data sets lie in the folder of the test; only the shipped runs are seen besides."""
    for name in ("runs", "cache", "data"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Nothing is remembered of other tests, and tasks are done where they are asked for."""
    import streamlit as st

    from vitviz.ui import tasks

    st.cache_resource.clear()
    st.cache_data.clear()

    def start(self, key: str, work: Callable):
        task = tasks.Task()
        task.run(work)
        self._tasks[key] = task
        return task

    monkeypatch.setattr(tasks.Desk, "start", start)
    monkeypatch.setattr(tasks, "_PATIENCE", 600.0)


@pytest.fixture
def nothing_shipped(tmp_path, monkeypatch) -> None:
    """No run is shipped."""
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: tmp_path / "shipped")


@pytest.fixture(scope="session")
def copy_run() -> Callable[..., Run]:
    """``copy_run("name", num_rounds=2, class_names=[...])``: an own run made of the shipped digits.

    Keeps the first ``num_rounds`` rounds (all when None); ``classes`` replaces those of all images; other values replace
    those of ``run.json``. A run that is cut loses its maps.
    """
    digits = shipped_root() / "digits"

    def make(name: str, *, num_rounds: int | None = None, classes: int | None = None, **changes) -> Run:
        run = Run(Path(shutil.copytree(digits, own_root() / name)))
        if num_rounds is not None:
            _cut(run, num_rounds)
        if classes is not None:
            samples = {name: array for name, array in vars(run.samples()).items() if array is not None}
            np.savez(run.path / "samples.npz", **{**samples, "classes": np.full_like(samples["classes"], classes)})
        record = json.loads((run.path / "run.json").read_text())
        (run.path / "run.json").write_text(json.dumps({**record, **changes}))
        return Run(run.path)

    return make


@pytest.fixture(scope="session")
def tell_status() -> Callable[..., None]:
    """``tell_status(run, "running", pid=1, error="...")``: what the process that writes the run would say."""

    def write(run: Run, state: str, *, is_alive: bool = True, error: str = "") -> None:
        run.set_status(state, error=error)
        if not is_alive:
            record = json.loads((run.path / "status.json").read_text())
            (run.path / "status.json").write_text(json.dumps({**record, "pid": os.getpid(), "process_start": 1.0}))

    return write


def _once(count: Callable) -> Callable:
    """``count``, asked but once for rows that are written alike."""
    known = {}

    def look_up(row):
        if repr(row) not in known:
            known[repr(row)] = count(row)
        return known[repr(row)]

    return look_up


def _cut(run: Run, num_rounds: int) -> None:
    for folder in sorted((run.path / "rounds").iterdir())[num_rounds:]:
        shutil.rmtree(folder)
    (run.path / "projection.npz").unlink()
    lines = (run.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if (record := json.loads(line))["kind"] == "epoch" or record["index"] < num_rounds]
    (run.path / "metrics.jsonl").write_text("".join(kept))


@pytest.fixture(scope="session")
def korean() -> SimpleNamespace:
    """What ``korean.py`` beside this file has: ``open_korean(page, **query)`` and ``untranslated(app, names=...)``."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("korean.py"))))
