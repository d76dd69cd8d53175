"""Every test process computes on one thread: workers share the cores, and the bits of a sum depend on its threads.

Nobody cuts its power. For the tests that look at pages: Streamlit servers, and one headless Chromium.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import logging
import random
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


@pytest.fixture(scope="session", autouse=True)
def power_is_never_cut() -> Iterator[None]:
    """What this process writes is not waited for until it is on the disk (100 waits a tiny run): only a power cut could tell.

    Whether it is asked for is seen as before, and a descriptor that is none fails as before.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture(autouse=True)
def the_log_ends_with_the_test() -> Iterator[None]:
    """A command keeps a log among the runs of its test, and no later test writes into it."""
    log = logging.getLogger("vitviz")
    before = list(log.handlers)
    yield
    log.handlers = before


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
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # it is in the middle of something long
            process.kill()
            process.wait()


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


@pytest.fixture(scope="session")
def _profile(chromium):
    """One profile for all pages, which fetch and compile Streamlit's scripts but once; see ``new_page``."""
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def new_page(_profile) -> Iterator[Callable]:
    """``new_page((390, 844), color_scheme="dark")``: a page of that size in a profile that remembers nothing but files."""
    pages = []

    def make(size: tuple[int, int] = (1280, 1000), **media):
        page = _profile.new_page()
        pages.append(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(**media)
        return page

    yield make
    for page in pages:
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear()")
        page.close()
    _profile.clear_cookies()


@pytest.fixture
def page(new_page):
    """A page that remembers nothing."""
    return new_page()


def _free_port() -> int:
    """A port that is free now, and outside those that the system gives to whoever asks next."""
    for port in random.sample(range(20_000, 32_000), 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def _wait_until_healthy(server: Server, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, f"the server ended: {server.log.read_text()[-2000:]}"
            time.sleep(0.1)
    raise AssertionError("the server did not answer")
