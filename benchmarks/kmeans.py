"""Our k-means against scikit-learn's from the same initial centers: equal labels, and the ratio of seconds.

``python -m benchmarks.kmeans [--quick] [--json]``
"""

import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks.table import Row, interleaved, main
from vitviz.clustering.kmeans import kmeans, plus_plus_centers


def measure(quick: bool) -> list[Row]:
    """Lloyd to convergence, 10 clusters; raises AssertionError when a label differs."""
    rows = []
    for num_points, dim in [(2_000, 48)] if quick else [(10_000, 192), (60_000, 384)]:
        points = _blobs(num_points, dim)
        centers = plus_plus_centers(points, 10, torch.Generator().manual_seed(0))
        array, start = points.numpy(), centers.numpy()

        def ours(points=points, centers=centers):
            return kmeans(points, 10, centers=centers)

        def rival(array=array, start=start):
            return KMeans(10, init=start, n_init=1, tol=1e-4).fit(array)

        differing = int((ours().labels.numpy() != rival().labels_).sum())
        assert differing == 0, f"{differing} labels differ from scikit-learn's"
        seconds, rival_seconds = interleaved(ours, rival, pairs=3 if quick else 9)
        rows.append(
            Row(
                f"k-means {num_points:,} x {dim}, k = 10, labels equal",
                seconds * 1e3,
                "ms",
                "scikit-learn",
                rival_seconds * 1e3,
            )
        )
    return rows


def _blobs(num_points: int, dim: int) -> torch.Tensor:
    """Overlapping blobs: Lloyd takes tens of iterations, and no point lies on a border."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(10, dim)) * 0.35
    return torch.from_numpy(
        (means[rng.integers(0, 10, num_points)] + rng.normal(size=(num_points, dim))).astype(np.float32)
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    main(measure, __doc__)
