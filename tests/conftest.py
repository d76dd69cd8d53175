"""Every test process computes on one thread: workers share the cores, and the bits of a sum depend on its threads.

For the tests that look at pages: Streamlit servers, and one headless Chromium.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Server:
    """A running Streamlit server: its address, its process and the file of what it says."""

    address: str
    pid: int
    log: Path


@pytest.fixture(scope="session")
def serve(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """``serve("app.py", NAME="value")``: a server of that script on a free port; it ends with the session.

    All else is as the project's ``.streamlit/config.toml`` says.
    """
    processes = []

    def start(script: Path, **environment: str) -> Server:
        folder, port = tmp_path_factory.mktemp("server"), _free_port()
        # -P: as the command streamlit does, do not look for modules in the working folder
        command = [sys.executable, "-P", "-m", "streamlit", "run", str(script), f"--server.port={port}"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log)
        processes.append(process)
        server = Server(f"http://127.0.0.1:{port}", process.pid, folder / "log")
        _wait_until_healthy(server, process)
        return server

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(10)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium with WebGL2 drawn by the processor."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page of a fresh profile."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    yield context.new_page()
    context.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(server: Server, process: subprocess.Popen, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, f"the server ended: {server.log.read_text()[-2000:]}"
            time.sleep(0.1)
    raise AssertionError("the server did not answer")
