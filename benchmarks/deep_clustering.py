"""What the page of deep clustering computes at 60,000 images, 20 rounds and 30 clusters, on one thread.

``python -m benchmarks.deep_clustering [--quick] [--json]``. Trust of a map beside scikit-learn's trustworthiness of the same
points, which is one number where ours is one an image, and continuity besides; the rest has no rival. Medians.
"""

import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from sklearn.manifold import trustworthiness

from benchmarks.table import Row, interleaved, main
from vitviz.explain.cluster_river import count_river
from vitviz.explain.film_strip import film_of
from vitviz.explain.map_trust import measure_trust
from vitviz.explain.movers_ledger import MOST_DISTANCES, kin_shares
from vitviz.explain.seed_stability import stability

NUM_CLUSTERS, DIM = 30, 192


def measure(quick: bool) -> list[Row]:
    """Trust beside its rival, whose mean it has to equal, then everything else of one large run."""
    num_images, num_rounds = (2_000, 4) if quick else (60_000, 20)
    run = _run(num_images, num_rounds)
    standing = np.zeros((num_rounds, NUM_CLUSTERS), np.int32)
    num_movers = min(MOST_DISTANCES // num_images, num_images)
    rows = [_trust_row(1_000 if quick else 5_000, pairs=1 if quick else 3)]
    embeddings, points = run.round(0).embeddings, run.projection().points[0]
    tasks = {
        f"trust and continuity, {num_images:,} images, one round": lambda: measure_trust(embeddings, points),
        f"river, {num_images:,} images, {num_rounds} rounds": lambda: count_river(run, "all", standing=standing),
        f"one image, {num_images:,} images, {num_rounds} rounds": lambda: film_of(run, 5),
        f"kin of {num_movers:,} movers, one round": lambda: kin_shares(run, 0, np.arange(num_movers)),
        f"company over 3 seeds, {num_rounds} rounds": lambda: stability(run, [run, run]),
    }
    return [*rows, *(Row(name, _seconds(task, 1 if quick else 3), "s") for name, task in tasks.items())]


def _seconds(task: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        task()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def _trust_row(num: int, pairs: int) -> Row:
    rng = np.random.default_rng(0)
    high = rng.normal(size=(num, DIM)).astype(np.float32)
    low = (high[:, :2] + 0.3 * rng.normal(size=(num, 2))).astype(np.float32)
    ours, theirs = measure_trust(high, low).trust.mean(), trustworthiness(high, low, n_neighbors=15)
    assert abs(ours - theirs) < 1e-4, f"trust {ours} is not scikit-learn's {theirs}"
    mine, rival = interleaved(
        lambda: measure_trust(high, low), lambda: trustworthiness(high, low, n_neighbors=15), pairs=pairs
    )
    return Row(f"trust and continuity, {num:,} images, exact", mine, "s", "scikit-learn, trust", rival)


def _run(num_images: int, num_rounds: int) -> SimpleNamespace:
    """What the functions read of a run, in memory: labels that settle, embeddings and maps without any structure."""
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, NUM_CLUSTERS, num_images).astype(np.int32)]
    for index in range(1, num_rounds):
        moves = rng.random(num_images) < 0.3 / index
        labels.append(np.where(moves, rng.integers(0, NUM_CLUSTERS, num_images), labels[-1]).astype(np.int32))
    embeddings = rng.normal(size=(num_images, DIM)).astype(np.float16)
    distances, others = np.ones(num_images, np.float32), np.full(num_images, 2, np.float32)
    samples = SimpleNamespace(
        indices=np.arange(num_images), classes=rng.integers(0, 10, num_images), held_out=rng.random(num_images) < 0.2
    )
    projection = SimpleNamespace(points=rng.normal(size=(num_rounds, num_images, 2)).astype(np.float32))
    rounds = [
        SimpleNamespace(
            matched_labels=one, embeddings=embeddings, distances=distances, runner_up_distances=others, decoder=None
        )
        for one in labels
    ]
    return SimpleNamespace(
        num_rounds=lambda: num_rounds,
        samples=lambda: samples,
        round=rounds.__getitem__,
        projection=lambda: projection,
        description=lambda: SimpleNamespace(num_clusters=NUM_CLUSTERS),
    )


if __name__ == "__main__":
    main(measure, __doc__)
