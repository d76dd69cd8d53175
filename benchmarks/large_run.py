"""The deep-clustering page of the app on a run of 60,000 images x 20 rounds, its embeddings (192 numbers) on disk: 0.5 GB.

Beside it: the same visits to the shipped run ``digits`` (1,797 x 7) on the same server, as the rival of every figure of time, and
all embeddings read into memory as the rival of the memory. ``--quick``: 6,000 x 5.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from benchmarks.round_map import _chromium, _timed, _Traffic, _wait_until_drawn, _wait_until_healthy, free_port
from benchmarks.table import Row, main
from vitviz.config import to_plain
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Projection, Round, Samples
from vitviz.training.deep_clustering_config import DeepClusteringConfig

ROOT = Path(__file__).parents[1]
NUM_CLUSTERS, DIM = 10, 192
VIEWS = ("Map", "Curves", "Clusters", "Movers")
BESIDE = "digits, 1,797 x 7"
TIMEOUT_MS = 120_000


def measure(quick: bool) -> list[Row]:
    """Seconds of every view, of a scrub and of a tile, and the memory of the server before, after and at its peak."""
    num_rounds, num_points = (5, 6_000) if quick else (20, 60_000)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = write_run(Path(folder), num_rounds, num_points)
        size = sum(path.stat().st_size for path in run.path.rglob("embeddings.npy"))
        with _server(Path(folder)) as (address, process), _chromium(playwright) as browser:
            page = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce").new_page()
            page.set_default_timeout(TIMEOUT_MS)
            traffic = _Traffic(page)
            for name in ("digits", run.name):  # the first visit imports, packs and reads
                _visit_all(page, f"{address}/deep_clustering?run={name}")
            small = _visit_all(page, f"{address}/deep_clustering?run=digits")
            large = _visit_all(page, f"{address}/deep_clustering?run={run.name}")
            scrub, messages = _scrub(page, f"{address}/deep_clustering?run={run.name}", traffic)
            peak = _peak_memory(process)
    rows = [Row(f"{view}, navigation to drawn", large[view], "s", BESIDE, small[view]) for view in VIEWS]
    rows += [Row("one round on", scrub, "s"), Row("messages to the server a round", messages, "")]
    return [
        *rows,
        Row("server, most memory over all views", peak / 1e6, "MB", "embeddings alone in memory", size / 1e6),
    ]


def write_run(folder: Path, num_rounds: int, num_points: int) -> Run:
    """A finished run of deep clustering on clusters that drift and tighten, with no images behind it."""
    rng = np.random.default_rng(0)
    os.environ["VITVIZ_RUNS"] = str(folder / "runs")
    classes = rng.integers(0, NUM_CLUSTERS, num_points, np.int32)
    samples = Samples(np.arange(num_points, dtype=np.int32), classes, rng.random(num_points) < 1 / 6)
    run = create_run("synthetic", _description(num_points, num_rounds), samples)
    centers = rng.normal(size=(NUM_CLUSTERS, DIM)).astype(np.float32) * 4
    points = rng.normal(size=(num_points, 2)) * 8
    maps = []
    with run.owned():
        for index in range(num_rounds):
            moved = rng.random(num_points) < 0.1
            labels = np.where(moved, rng.integers(0, NUM_CLUSTERS, num_points), classes).astype(np.int32)
            run.save_round(index, _round(labels, centers, rng, spread=4 / (index + 2)))
            run.append_metrics(_record(index))
            points = points + rng.normal(size=points.shape) * 0.6
            maps.append(points)
        made = Projection(points=np.stack(maps).astype(np.float32), engine="random walk", seed=0, settings={})
        run.save_projection(made)
        run.set_status("finished")
    return run


def _description(num_points: int, num_rounds: int) -> Description:
    return Description(
        method="deep_clustering",
        settings=to_plain(DeepClusteringConfig(max_rounds=num_rounds - 1, embed_dim=DIM)),
        dataset="synthetic",
        dataset_fingerprint="0" * 16,
        img_size=32,
        num_images=num_points,
        class_names=tuple(f"class {index}" for index in range(NUM_CLUSTERS)),
        num_clusters=NUM_CLUSTERS,
        seed=0,
        created="2026-01-01T00:00:00+00:00",
    )


def _round(labels: np.ndarray, centers: np.ndarray, rng: np.random.Generator, *, spread: float) -> Round:
    noise = rng.standard_normal((len(labels), DIM), np.float32) * np.float32(spread)
    own = np.linalg.norm(noise, axis=1)
    return Round(
        embeddings=(centers[labels] + noise).astype(np.float16),
        labels=labels,
        matched_labels=labels,
        centers=centers,
        distances=own,
        runner_up_distances=own * (1 + rng.random(len(labels), np.float32)),
        predictions=labels,
    )


def _record(index: int) -> dict:
    scores = {f"{part}{name}": 0.5 for part in ("train_", "held_out_") for name in ("nmi", "acc", "ari", "ami", "top1")}
    shapes = {
        "within_share": 0.5 / (index + 1),
        "nmi_previous": 0.8 if index else None,
        "changed_share": 0.1 if index else None,
    }
    losses = {"loss": 1 / (index + 1), "cross_entropy": 1 / (index + 1), "cluster_loss": 1.0, "random_nmi": 0.0}
    rest = {"warnings": [], "stop": None, "reconstruction_error": None, "seconds": 1.0, "images_per_second": 1.0}
    return {"kind": "round", "index": index, **scores, **shapes, **losses, **rest}


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The app itself, with own folders under ``folder``."""
    port = free_port()
    own = {name: str(folder / name.lower()) for name in ("VITVIZ_RUNS", "VITVIZ_LOGS", "VITVIZ_CACHE", "VITVIZ_DATA")}
    environment = os.environ | own | {"VITVIZ_RUNS": os.environ["VITVIZ_RUNS"], "MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _visit_all(page: Page, address: str) -> dict[str, float]:
    return {view: _timed(lambda view=view: _open(page, f"{address}&view={view}", view)) for view in VIEWS}


def _open(page: Page, address: str, view: str) -> None:
    page.goto(address)
    page.wait_for_selector(".round-map[data-ready]" if view == "Map" else "[data-testid=stPlotlyChart] .main-svg")
    _wait_until_drawn(page)


def _scrub(page: Page, address: str, traffic: _Traffic, *, steps: int = 4) -> tuple[float, float]:
    """Seconds and messages to the server of one round on."""
    _open(page, address, "Map")
    frames, start = traffic.frames_sent, time.perf_counter()
    for index in range(1, steps + 1):
        page.locator(".surface").press("ArrowRight")
        page.wait_for_selector(f".round-map[data-round='{index}']")
        _wait_until_drawn(page)
    return (time.perf_counter() - start) / steps, (traffic.frames_sent - frames) / steps


def _peak_memory(process: psutil.Process) -> float:
    """The most memory in bytes that the server had at once, as Linux keeps it; elsewhere what it has now."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return process.memory_info().rss
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(measure, __doc__)
