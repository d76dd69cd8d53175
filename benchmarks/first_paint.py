"""When a page of a warm server has drawn the largest thing it shows, in a Chromium that has the scripts already.

``python -m benchmarks.first_paint [--quick] [--json]``

The largest contentful paint as the browser itself tells it (PerformanceObserver), the median of several visits; the bound
is 1.5 s on two cores that do nothing else. On a busy machine look at the processor time beside it: what the server spends on a
visit, whoever else computes.
"""

import statistics
import sys
from typing import NamedTuple

import psutil

from benchmarks.startup import CHROMIUM, RESTED, ROOT, _Server
from benchmarks.table import Row, main

BOUND = 1.5
"""Seconds, on two cores named in ``docs/results.md``."""
PAGES = (
    "",
    "lessons",
    "glossary",
    "supertokens",
    "attention",
    "deep_clustering",
    "subspace",
    "coat",
    "compare",
    "train",
    "runs",
)
_WATCH = """
window.largest = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.largest = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


class _Visit(NamedTuple):
    """Milliseconds from the request until the largest paint, and processor seconds of the server until the page rests."""

    paint: float
    processor: float


def measure(quick: bool) -> list[Row]:
    """For every page: the median largest contentful paint beside the bound, and the server's processor time of a visit."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        sys.exit(f"{CHROMIUM} is missing")
    rows, visits = [], 3 if quick else 9
    with _Server(ROOT / "app.py") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(_WATCH)
        process = psutil.Process(server.process.pid)
        for name in PAGES:
            found = [_visit(context, f"{server.address}/{name}", process) for _ in range(visits + 1)][1:]
            paint = statistics.median(visit.paint for visit in found) / 1000
            rows.append(Row(f"/{name}: largest contentful paint", paint, "s", "bound", BOUND))
            spent = statistics.median(visit.processor for visit in found)
            rows.append(Row(f"/{name}: processor time of the server", spent, "CPU s"))
        browser.close()
    return rows


def _visit(context, address: str, process: psutil.Process) -> _Visit:
    """One visit in a new tab, the scripts in the browser's cache."""
    before, page = _processor_seconds(process), context.new_page()
    page.goto(address)
    page.wait_for_selector("[data-testid=stMain] h1", timeout=120_000)
    page.wait_for_selector(RESTED, timeout=120_000)
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')")
    # a picture counts once it is drawn, and the entry comes after that
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    paint = page.evaluate("() => window.largest")
    page.close()
    return _Visit(paint, _processor_seconds(process) - before)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main(measure, __doc__)
