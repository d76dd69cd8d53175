"""What starting costs: the import, and the first page of a fresh server in a browser that has fetched nothing yet.

``python -m benchmarks.startup [--quick] [--json]``

The rivals are yardsticks of the same machine in the same run: importing Streamlit alone, and an app of one title.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Row, main

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = Path("/usr/bin/chromium")
RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
_TITLE = "import streamlit as st\n\nst.title('One title')\n"


def measure(quick: bool) -> list[Row]:
    """CPU seconds of the imports, wall seconds of the first page; ours and the rival in turns, the median of each."""
    turns = 3 if quick else 9
    ours, rival = _in_turns(lambda: _import_seconds("vitviz"), lambda: _import_seconds("streamlit"), turns)
    rows = [Row("import vitviz", ours, "CPU s", "import streamlit", rival)]
    ours, _ = _in_turns(lambda: _import_seconds("vitviz.__main__"), lambda: 0.0, turns)
    rows.append(Row("import what --help needs", ours, "CPU s"))
    if not CHROMIUM.exists():
        print(f"{CHROMIUM} is missing: no page is timed", file=sys.stderr)
        return rows
    with tempfile.TemporaryDirectory() as folder:
        title = Path(folder) / "title.py"
        title.write_text(_TITLE)
        first = _in_turns(lambda: _first_page(ROOT / "app.py"), lambda: _first_page(title), 1 if quick else 5)
        again = _in_turns(lambda: _second_page(ROOT / "app.py"), lambda: _second_page(title), 1 if quick else 5)
    rows.append(Row("first page of a fresh server, until it rests", first[0], "s", "an app of one title", first[1]))
    rows.append(Row("the page again, in another profile", again[0], "s", "an app of one title", again[1]))
    return rows


def _in_turns(ours: Callable[[], float], rival: Callable[[], float], turns: int) -> tuple[float, float]:
    found = [(ours(), rival()) for _ in range(turns + 1)][1:]  # the first fills the disk's cache
    return statistics.median(pair[0] for pair in found), statistics.median(pair[1] for pair in found)


def _import_seconds(module: str) -> float:
    """CPU seconds that importing ``module`` takes a fresh interpreter."""
    code = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", code.format(module)], cwd=ROOT, capture_output=True, check=True)
    return float(done.stdout)


def _first_page(script: Path) -> float:
    with _Server(script) as server:
        return _open(server.address)


def _second_page(script: Path) -> float:
    with _Server(script) as server:
        _open(server.address)
        return _open(server.address)


def _open(address: str) -> float:
    """Seconds until a browser without a cache has drawn the page and its script rests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("[data-testid=stMain] h1")
        page.wait_for_selector(RESTED)
        seconds = time.perf_counter() - began
        browser.close()
    return seconds


class _Server:
    """A fresh Streamlit server of a script, until the block ends."""

    def __init__(self, script: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), f"--server.port={port}"]

    def __enter__(self) -> "_Server":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=os.environ | {"MALLOC_ARENA_MAX": "2"}, **quiet)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise TimeoutError(f"{self.address} does not answer")

    def __exit__(self, *error) -> None:
        self.process.terminate()
        self.process.wait()


if __name__ == "__main__":
    main(measure, __doc__)
