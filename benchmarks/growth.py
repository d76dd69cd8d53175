"""How cost grows with images: training, embedding, k-means, map and affinity at 1,000 to 60,000, each beside a rival.

``python -m benchmarks.growth [--only training,kmeans] [--sizes 1000,3000] [--out growth.json] [--draw growth.svg]``
``python -m benchmarks.growth --read growth.json --draw growth.svg`` draws what was measured before.

Processor seconds on one thread. Ours and the rival take turns; a figure is the median, a ratio the median of the ratios of
neighbouring turns. What would take a rival too long is not measured and says so; nothing is extrapolated.
"""

import argparse
import dataclasses
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.growth_chart import Series, draw

SIZES = (1_000, 3_000, 10_000, 30_000, 60_000)
DIM, NUM_CLUSTERS, NUM_ROUNDS, NUM_ITERATIONS = 128, 10, 3, 20
_WARM: list[int] = []
NETWORK = {"img_size": 32, "patch_size": 8, "num_classes": 10, "embed_dim": 48, "depth": 3, "num_heads": 4}

Work = Callable[[], object]


@dataclass(frozen=True)
class Kind:
    """One thing that is measured: ``make(n)`` -> (ours, rival); the rival is tried up to ``rival_limit`` images.

    Beyond each of ``breaks`` images ours goes another way, so that exponents are fitted apart.
    """

    title: str
    rival: str
    make: Callable[[int], tuple[Work, Work]]
    rival_limit: int = 10**9
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Point:
    """Processor seconds at one size; ``rival`` and ``ratio`` (rival / ours) are None where the rival was not measured."""

    kind: str
    num_images: int
    ours: float
    rival: float | None
    ratio: float | None


def measure(kinds: Sequence[str], sizes: Sequence[int]) -> list[Point]:
    """Every kind at every size, one after the other on one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    before, points = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            for kind in kinds:
                for number in sizes:
                    ours, rival = KINDS[kind].make(number)
                    points.append(_in_turns(kind, number, ours, rival if number <= KINDS[kind].rival_limit else None))
                    print(_line(points[-1]), flush=True)
    finally:
        torch.set_num_threads(before)
    return points


def exponent(points: Sequence[Point], *, of_rival: bool = False) -> float:
    """The slope of log seconds over log images by least squares; nan below two points."""
    known = np.array(_known(points, of_rival))
    if len(known) < 2:
        return math.nan
    return float(np.polyfit(np.log(known[:, 0]), np.log(known[:, 1]), 1)[0])


def exponent_words(points: Sequence[Point], *, of_rival: bool = False) -> str:
    """``N^1.02 (1,000 to 60,000)``, one for each part of the sizes where another way is taken."""
    breaks = KINDS[points[0].kind].breaks
    parts = [
        [one for one in points if sum(one.num_images > b for b in breaks) == part] for part in range(len(breaks) + 1)
    ]
    found = []
    for part in parts:
        known = _known(part, of_rival)
        if len(known) > 1:
            found.append(f"N^{exponent(part, of_rival=of_rival):.2f} ({known[0][0]:,} to {known[-1][0]:,})")
    return ", ".join(found) or "too few sizes"


def _known(points: Sequence[Point], of_rival: bool) -> list[tuple[int, float]]:
    pairs = [(point.num_images, point.rival if of_rival else point.ours) for point in points]
    return [(number, seconds) for number, seconds in pairs if seconds is not None]


def table(points: Sequence[Point]) -> str:
    """The points as Markdown, one table a kind, with the fitted exponents."""
    lines = []
    for kind in dict.fromkeys(point.kind for point in points):
        own = [point for point in points if point.kind == kind]
        lines += ["", f"**{KINDS[kind].title}**, rival: {KINDS[kind].rival}", ""]
        lines += ["| images | ours, s | rival, s | ratio |", "|---|---|---|---|"]
        lines += [
            f"| {one.num_images:,} | {one.ours:.3g} | {_or_dash(one.rival, '.3g')} | {_or_dash(one.ratio, '.2f')} |"
            for one in own
        ]
        lines += ["", f"Ours grows as {exponent_words(own)}, the rival as {exponent_words(own, of_rival=True)}."]
    return "\n".join(lines).strip()


def _in_turns(kind: str, number: int, ours: Work, rival: Work | None) -> Point:
    """One turn of each to warm up (where a turn is long, of ours alone), then as many as fit into 20 s, at least one."""
    first = _seconds(ours)
    turns = max(1, min(7, int(20 / max(first, 1e-3))))
    if rival is not None and first < 10:
        rival()  # so that neither pays for what the first turn alone costs
    pairs = [(_seconds(ours), None if rival is None else _seconds(rival)) for _ in range(turns)]
    own = statistics.median(pair[0] for pair in pairs)
    if rival is None:
        return Point(kind, number, own, None, None)
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    return Point(kind, number, own, statistics.median(pair[1] for pair in pairs), ratio)


def _seconds(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _images(number: int) -> np.ndarray:
    """Noise (N, 32, 32, 3) uint8: what pixels hold costs nothing here."""
    return np.random.default_rng(0).integers(0, 256, (number, 32, 32, 3), np.uint8)


def _blobs(number: int, seed: int = 0, *, spread: float = 0.5) -> np.ndarray:
    """Overlapping blobs (N, 128) float32, their means ``spread`` apart in every direction."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(NUM_CLUSTERS, DIM)).astype(np.float32) * np.float32(spread)
    labels = rng.integers(0, NUM_CLUSTERS, number)
    return means[labels] + np.random.default_rng(seed).standard_normal((number, DIM), np.float32)


def _training(number: int) -> tuple[Work, Work]:
    import torch

    from benchmarks.training import our_epoch, plain_epoch

    images = _images(number)
    classes = torch.from_numpy(np.random.default_rng(1).integers(0, 10, number))
    return our_epoch(NETWORK, images, classes, 32), plain_epoch(NETWORK, images, classes, 32)


def _embedding(number: int) -> tuple[Work, Work]:
    from benchmarks.training import our_embedding, plain_embedding

    images = _images(number)
    return our_embedding(NETWORK, images), plain_embedding(NETWORK, images)


def _kmeans(number: int) -> tuple[Work, Work]:
    import torch
    from sklearn.cluster import KMeans

    from vitviz.clustering.kmeans import kmeans, plus_plus_centers

    points = torch.from_numpy(_blobs(number, spread=0.02))  # hardly apart: no size converges early
    centers = plus_plus_centers(points, NUM_CLUSTERS, torch.Generator().manual_seed(0))
    array, start = points.numpy(), centers.numpy()
    ours = partial(kmeans, points, NUM_CLUSTERS, centers=centers, max_iterations=NUM_ITERATIONS, tolerance=0.0)
    return ours, lambda: _quiet(KMeans(NUM_CLUSTERS, init=start, n_init=1, tol=0.0, max_iter=NUM_ITERATIONS).fit, array)


def _quiet(work: Callable, *arguments: object) -> object:
    """Without the warning that it did not converge, which is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work(*arguments)


def _map(number: int) -> tuple[Work, Work]:
    from vitviz.clustering.projection import ENGINES, project_rounds

    rounds = [_blobs(number, seed) for seed in range(NUM_ROUNDS)]
    # the first fits of a process compile for tens of seconds, and above 4,096 images other parts
    for engine, size in (("aligned_umap", 200), ("umap", 200), ("warm_umap", 5_000)) if not _WARM else ():
        _quiet(partial(project_rounds, [_blobs(size, seed) for seed in range(2)], engine, seed=0))
    _WARM.append(number)
    return partial(project_rounds, rounds, "auto", seed=0), partial(ENGINES["umap"], rounds, 0)


def _affinity(number: int) -> tuple[Work, Work]:
    import torch
    from torch.nn import functional as F

    from benchmarks.subspace_growth import planted_subspaces
    from vitviz.clustering.affinity import AffinitySettings, make_affinity
    from vitviz.clustering.self_expression import express

    latent, _ = planted_subspaces(number)
    settings = AffinitySettings(dim=6)
    tokens = latent[None, None]

    def attend() -> torch.Tensor:
        with torch.inference_mode():
            return F.scaled_dot_product_attention(tokens, tokens, tokens)

    return lambda: make_affinity(express(latent, "neighbors"), "ji", 20, settings), attend


KINDS = {
    "training": Kind("Training, one epoch (32 px, patch 8, D 48, depth 3)", "plain timm + torch loop", _training),
    "embedding": Kind("Embedding with the same network", "plain timm loop", _embedding),
    "kmeans": Kind("k-means, 20 iterations (D 128, k 10, same centers)", "scikit-learn", _kmeans),
    "map": Kind("Maps of 3 rounds (D 128)", "umap-learn, every round anew", _map, rival_limit=10_000, breaks=(5_000,)),
    "affinity": Kind(
        "Affinity from neighbours (256 numbers an image)",
        "SDPA over as many tokens (other work)",
        _affinity,
        breaks=(10_000,),
    ),
}


def _or_dash(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)


def _line(point: Point) -> str:
    beside = "" if point.rival is None else f", rival {point.rival:.3g} s, ratio {point.ratio:.2f}"
    return f"{point.kind}, {point.num_images:,} images: {point.ours:.3g} s{beside}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--sizes", type=_numbers, default=SIZES)
    parser.add_argument("--read", type=Path, nargs="+", help="points that were measured before, instead of measuring")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draw", type=Path)
    options = parser.parse_args()
    if options.read:
        points = [Point(**plain) for path in options.read for plain in json.loads(path.read_text())]
    else:
        points = measure(options.only, options.sizes)
    if options.out:
        options.out.write_text(json.dumps([dataclasses.asdict(point) for point in points], indent=1))
    if options.draw:
        options.draw.write_text(draw(series_of(points)))
    print(table(points))


def series_of(points: Sequence[Point]) -> list[Series]:
    """Title, rival, our (images, seconds), the rival's, and the exponents in words, for each kind."""
    found = []
    for kind in dict.fromkeys(point.kind for point in points):
        own = [point for point in points if point.kind == kind]
        ours = [(point.num_images, point.ours) for point in own]
        rival = [(point.num_images, point.rival) for point in own if point.rival is not None]
        words = (f"ours ∝ {exponent_words(own)}", f"rival ∝ {exponent_words(own, of_rival=True)}")
        found.append((KINDS[kind].title, KINDS[kind].rival, ours, rival, words))
    return found


if __name__ == "__main__":
    main()
