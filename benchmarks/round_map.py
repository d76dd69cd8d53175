"""The round map against ``st.plotly_chart`` with ``go.Scattergl``: same run, same server, same Chromium.

Both pages show 60,000 points x 20 rounds (``--quick``: 6,000 x 5), change the round, and list the images of a lasso in the
same image grid. Motion between rounds is switched off on our side, as plotly has none here.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.table import Row, main
from vitviz.explain.round_map import pack_round_map
from vitviz.runs.folder import create_run
from vitviz.runs.records import Description, Projection, Round, Samples

RIVAL = "st.plotly_chart"
NUM_CLUSTERS = 10
NUM_STEPS = 4
TIMEOUT_MS = 60_000
CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
CHROMIUM_ARGS += ["--enable-unsafe-swiftshader", "--disable-background-networking", "--no-first-run"]

APP = """
import numpy as np, streamlit as st
from vitviz.ui.routes import routes
blank = np.zeros((1, 8, 8, 3), np.uint8)
app = st.App("page.py", routes=routes(open_images=lambda run: np.broadcast_to(blank, (100_000, 8, 8, 3))))
"""

PAGE = """
import numpy as np, plotly.graph_objects as go, streamlit as st
from vitviz.explain.round_map import map_coordinates, points_inside
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import find_run
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.components.round_map import round_map
from vitviz.ui.routes import map_clusters, map_points, run_addresses

run = find_run("synthetic")
colors = cluster_colors(10)

@st.cache_resource
def arrays():
    points = map_points(run)
    return map_coordinates(points), map_clusters(run, len(points))

places, clusters = arrays()

def ours():
    addresses = run_addresses(run)
    state = round_map(
        key="map", data_url=addresses.map, margin_url=addresses.margin, tile_url=addresses.tile,
        class_names=run.description().class_names, cluster_classes=[], palette=colors, class_palette=colors,
    )
    if state.selection is None:
        return np.array([], int)
    return np.flatnonzero(points_inside(places[state.selection["round"]], np.array(state.selection["polygon"])))

def rival():
    shown = st.slider("Round", 0, len(places) - 1, 0)
    figure = go.Figure(go.Scattergl(
        x=places[shown, :, 0], y=places[shown, :, 1], mode="markers",
        marker={"size": 4, "color": np.array(colors)[clusters[shown]]},
    ))
    figure.update_layout(dragmode="lasso", height=560, title=f"Round {shown}")
    event = st.plotly_chart(figure, key="plot", on_select="rerun", selection_mode="lasso")
    return np.array(event.selection.point_indices, int)

ids = ours() if st.query_params.get("page") == "ours" else rival()
image_grid(
    key="grid", tile_url=run_addresses(run).tile, label="Chosen", total=len(ids),
    items=[{"id": int(one), "label": str(one)} for one in ids[:240]],
)
"""


def measure(quick: bool) -> list[Row]:
    """All figures. ``quick`` shrinks the run to a tenth of the points and a quarter of the rounds."""
    num_rounds, num_points = (5, 6_000) if quick else (20, 60_000)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        packed, seconds = _write_run(Path(folder), num_rounds, num_points)
        with _server(Path(folder)) as address, _chromium(playwright) as browser:
            ours, rival = (_visit(browser, f"{address}/?page={page}", page) for page in ("ours", "plotly"))
    rows = [Row("map of all rounds, gzipped", packed / 1e6, "MB"), Row("packing it once", seconds, "s")]
    return rows + [Row(figure, ours[figure], unit, RIVAL, rival[figure]) for figure, unit in _UNITS.items()]


_UNITS = {
    "navigation to first view": "s",
    f"received, first view and {NUM_STEPS} rounds": "MB",
    "one round on": "s",
    "messages to the server a round": "",
    "lasso let go to listed images": "s",
    "sent by a lasso": "kB",
}


def _write_run(folder: Path, num_rounds: int, num_points: int) -> tuple[int, float]:
    """Random walks as a run under ``folder``; returns bytes and seconds of packing its map."""
    rng = np.random.default_rng(0)
    sizes = np.r_[8, np.full(num_rounds - 1, 0.6)][:, None, None]
    points = (rng.normal(size=(num_rounds, num_points, 2)) * sizes).cumsum(axis=0).astype(np.float32)
    clusters = np.repeat(rng.integers(0, NUM_CLUSTERS, (1, num_points), np.int32), num_rounds, axis=0)
    moved = rng.random(clusters.shape) < 0.1
    clusters[moved] = rng.integers(0, NUM_CLUSTERS, moved.sum())
    samples = Samples(np.arange(num_points, dtype=np.int32), clusters[0], rng.random(num_points) < 0.1)
    os.environ["VITVIZ_RUNS"] = str(folder / "runs")
    run = create_run("synthetic", _description(num_points), samples)
    for index in range(num_rounds):
        run.save_round(index, _round(clusters[index], rng))
    run.save_projection(Projection(points=points, engine="random walk", seed=0, settings={}))
    start = time.perf_counter()
    packed = pack_round_map(points, clusters, samples.classes, samples.held_out, samples.indices)
    return len(packed), time.perf_counter() - start


def _description(num_points: int) -> Description:
    return Description(
        method="none",
        settings={},
        dataset="synthetic",
        dataset_fingerprint="0" * 16,
        img_size=8,
        num_images=num_points,
        class_names=tuple(map(str, range(NUM_CLUSTERS))),
        num_clusters=NUM_CLUSTERS,
        seed=0,
    )


def _round(clusters: np.ndarray, rng: np.random.Generator) -> Round:
    distances = rng.random((2, len(clusters)), np.float32)
    return Round(
        embeddings=np.zeros((len(clusters), 1), np.float16),
        labels=clusters,
        matched_labels=clusters,
        centers=np.zeros((NUM_CLUSTERS, 1), np.float32),
        distances=distances.min(axis=0),
        runner_up_distances=distances.max(axis=0),
        predictions=clusters,
    )


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A Streamlit server over both pages; gives its address."""
    (folder / "app.py").write_text(APP)
    (folder / "page.py").write_text(PAGE)
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    command += ["--browser.gatherUsageStats=false", "--server.fileWatcherType=none", "--server.address=127.0.0.1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(address: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def _chromium(playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_ARGS)
    try:
        yield browser
    finally:
        browser.close()


class _Traffic:
    """Counts what a page sends and receives."""

    def __init__(self, page: Page):
        self.received = self.sent = self.frames_sent = 0
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", self._load)
        session.on("Network.webSocketFrameReceived", self._receive)
        session.on("Network.webSocketFrameSent", self._send)

    def _load(self, event: dict) -> None:
        self.received += event["encodedDataLength"]

    def _receive(self, event: dict) -> None:
        self.received += _frame_bytes(event)

    def _send(self, event: dict) -> None:
        self.frames_sent += 1
        self.sent += _frame_bytes(event)


def _frame_bytes(event: dict) -> float:
    """Bytes of a binary frame, which the browser reports in base64."""
    return len(event["response"]["payloadData"]) * 3 / 4


def _visit(browser: Browser, address: str, page_name: str) -> dict[str, float]:
    """Warm the server with one visit, then measure a second one of a fresh profile."""
    _open(browser, address, page_name)[0].context.close()
    page, traffic, ready = _open(browser, address, page_name)
    step = _step_ours if page_name == "ours" else _step_plotly
    frames = traffic.frames_sent
    steps = [_timed(lambda index=index: step(page, index)) for index in range(1, NUM_STEPS + 1)]
    figures = [ready, traffic.received / 1e6, statistics.median(steps), (traffic.frames_sent - frames) / NUM_STEPS]
    sent = traffic.sent
    seconds = _lasso(page, ".surface" if page_name == "ours" else ".js-plotly-plot .nsewdrag")
    page.context.close()
    return dict(zip(_UNITS, [*figures, seconds, (traffic.sent - sent) / 1e3], strict=True))


def _open(browser: Browser, address: str, page_name: str) -> tuple[Page, _Traffic, float]:
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce").new_page()
    page.set_default_timeout(TIMEOUT_MS)
    traffic = _Traffic(page)

    def load() -> None:
        page.goto(address)
        page.wait_for_selector(".round-map[data-ready]" if page_name == "ours" else ".js-plotly-plot .gtitle")
        _wait_until_drawn(page)

    return page, traffic, _timed(load)


def _step_ours(page: Page, index: int) -> None:
    page.locator(".surface").press("ArrowRight")
    page.wait_for_selector(f".round-map[data-round='{index}']")
    _wait_until_drawn(page)


def _step_plotly(page: Page, index: int) -> None:
    page.get_by_role("slider").press("ArrowRight")
    page.wait_for_function(f"document.querySelector('.gtitle')?.textContent === 'Round {index}'")
    _wait_until_drawn(page)


def _lasso(page: Page, target: str) -> float:
    """Draw a lasso over the middle; seconds from letting go to the grid with images."""
    box = page.locator(target).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in [(60, 0), (60, 60), (0, 60), (-10, 5)]:
        page.mouse.move(x + dx, y + dy, steps=3)

    def let_go() -> None:
        page.mouse.up()
        page.wait_for_selector(".image-grid .cell")

    return _timed(let_go)


def _wait_until_drawn(page: Page) -> None:
    """The script has run and two frames have passed."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def _timed(act: Callable[[], None]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(measure, __doc__)
