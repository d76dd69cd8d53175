"""How seconds and memory grow with the number of images: our sparse ``neighbors`` beside DSC-Net's dense recipe.

``python -m benchmarks.subspace --growth [--quick]``: points of 20 planted subspaces, each size and way in a process of its own.
"""

import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.table import Row

SIZES = (720, 1_440, 5_000, 20_000)
QUICK_SIZES = (720, 5_000)
MOST_OF_THE_RIVAL = 1_440
"""Beyond this its dense C and the arrays of its optimiser are not tried."""
NUM_SUBSPACES, SUBSPACE_DIM, DIM = 20, 6, 256
_NOISE = 0.05


@dataclass(frozen=True)
class Grown:
    """Processor seconds from Z to labels, peak memory of the process in MiB with all it imports, and ACC, 0..1."""

    seconds: float
    peak_mib: float
    acc: float


def measure(quick: bool) -> list[Row]:
    """Two rows for each size; the rival has none beyond ``MOST_OF_THE_RIVAL``."""
    rows = []
    for size in QUICK_SIZES if quick else SIZES:
        ours = _in_own_process("neighbors", size)
        rival = _in_own_process("dsc_net", size) if size <= MOST_OF_THE_RIVAL else None
        accuracy = f"ACC {100 * ours.acc:.1f}, rival's {100 * rival.acc:.1f}" if rival else f"ACC {100 * ours.acc:.1f}"
        name = "DSC-Net's recipe" if rival else "DSC-Net's recipe: -"
        for figure, unit, field in ((f"Z to labels ({accuracy})", "s", "seconds"), ("peak memory", "MiB", "peak_mib")):
            beside = getattr(rival, field) if rival else None
            rows.append(Row(f"{size:,} points: {figure}", getattr(ours, field), unit, name, beside))
    return rows


def planted_subspaces(num_points: int, *, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Points (N, 256) float32 of 20 random subspaces of 6 dimensions, with noise, and the subspace (N,) of each."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(num_points) % NUM_SUBSPACES)
    bases = rng.standard_normal((NUM_SUBSPACES, SUBSPACE_DIM, DIM), dtype=np.float32) / np.sqrt(DIM)
    weights = rng.random((num_points, SUBSPACE_DIM), dtype=np.float32)
    points = np.empty((num_points, DIM), dtype=np.float32)
    for label, basis in enumerate(bases):
        points[labels == label] = weights[labels == label] @ basis
    points += rng.standard_normal(points.shape, dtype=np.float32) * np.float32(_NOISE / np.sqrt(DIM))
    return torch.from_numpy(points), labels


def _in_own_process(way: str, size: int) -> Grown:
    command = [sys.executable, "-m", "benchmarks.subspace_growth", way, str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Grown(**json.loads(done.stdout))


def _neighbors(latent: torch.Tensor) -> np.ndarray:
    from vitviz.clustering.affinity import AffinitySettings, make_affinity
    from vitviz.clustering.self_expression import express
    from vitviz.clustering.spectral import cluster_affinity

    settings = AffinitySettings(dim=SUBSPACE_DIM)
    affinity = make_affinity(express(latent, "neighbors"), "ji", NUM_SUBSPACES, settings)
    return cluster_affinity(affinity, NUM_SUBSPACES, seed=0).labels


def _dsc_net(latent: torch.Tensor) -> np.ndarray:
    from benchmarks import dsc_net

    return dsc_net.cluster(dsc_net.fine_tune_coefficients(latent), NUM_SUBSPACES, seed=0, dim=SUBSPACE_DIM)


WAYS: dict[str, Callable[[torch.Tensor], np.ndarray]] = {"neighbors": _neighbors, "dsc_net": _dsc_net}


def main() -> None:
    """One way and size, on one thread: prints a :class:`Grown` as JSON."""
    from threadpoolctl import threadpool_limits

    from vitviz.clustering.metrics import clustering_accuracy

    way, size = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    latent, classes = planted_subspaces(size)
    with threadpool_limits(1):
        start = time.process_time()
        labels = WAYS[way](latent)
        seconds = time.process_time() - start
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dataclasses.asdict(Grown(seconds, kib / 1024, clustering_accuracy(classes, labels)))))


if __name__ == "__main__":
    main()
