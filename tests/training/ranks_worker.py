"""What test_ranks_equal.py lets one process, or several under torchrun, train in float64: ``ranks_worker.py OUT.npz``."""

import sys
from pathlib import Path

import numpy as np
import torch

from vitviz.clustering.kmeans import kmeans
from vitviz.nn.vit import VisionTransformer, init_weights
from vitviz.ranks import Ranks, joined
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.deep_clustering_loss import deep_clustering_loss, whole_batches
from vitviz.training.feed import EpochPlan
from vitviz.training.loop import train_epoch
from vitviz.training.state import make_optimizer

NUM_IMAGES, BATCH = 41, 8
"""The last batch has one image: of two processes the second has none of it."""
CASES = {
    "plain": {},
    "batch_norm": {"stem": "conv"},
    "unlabelled": {"unlabelled": True},
    "summed": {"unlabelled": True, "reduction": "sum", "cluster_weight": 0.01},
}


def train(ranks: Ranks, *, stem="linear", unlabelled=False, dtype=torch.float64, **settings) -> dict[str, np.ndarray]:
    """Parameters, buffers and mean loss after two epochs of phase 2."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_IMAGES, 16, 16, 3), dtype=np.uint8)
    # sorted by chance, the unlabelled fall unevenly on the parts of a batch
    known = rng.integers(-1 if unlabelled else 0, 4, NUM_IMAGES)
    classes = torch.from_numpy(known)
    centers = torch.from_numpy(rng.normal(size=(NUM_IMAGES, 16))).to(dtype)
    shape = {"img_size": 16, "patch_size": 4, "num_classes": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
    model = VisionTransformer(**shape, stem=stem)
    model = init_weights(model, torch.Generator().manual_seed(0)).to(dtype)
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05)
    config = DeepClusteringConfig(**{"cluster_weight": 0.1, **settings})
    found = {}
    for epoch in range(2):
        plan = EpochPlan(
            rows=np.arange(NUM_IMAGES),
            batch_size=BATCH,
            lr=lambda share: 1e-3,
            seed=0,
            epoch=epoch,
            augment="shift_flip",
            ranks=ranks,
        )
        whole = whole_batches(plan, known)

        def loss(model, pixels, rows, whole=whole):
            picked = torch.from_numpy(rows)
            output = model(pixels.to(dtype))
            return deep_clustering_loss(output, classes[picked], centers[picked], config, whole(rows))

        parts = train_epoch(model, optimizer, images, loss, plan)
        found |= {f"{name}.{epoch}": np.array(parts[name]) for name in ("loss", "train_top1", "cluster_loss")}
    return found | {name: value.detach().numpy() for name, value in model.state_dict().items()}


def cluster(ranks: Ranks) -> dict[str, np.ndarray]:
    """k-means of 2,048 points in float64."""
    points = torch.randn(2048, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = kmeans(points, 10, generator=torch.Generator().manual_seed(1), num_restarts=2, ranks=ranks)
    return {"labels": found.labels.numpy(), "centers": found.centers.numpy()}


def results(ranks: Ranks) -> dict[str, np.ndarray]:
    """Of every case, and of k-means, all arrays as ``CASE/NAME``."""
    cases = {name: train(ranks, **settings) for name, settings in CASES.items()}
    cases["float32"] = train(ranks, dtype=torch.float32)
    cases["kmeans"] = cluster(ranks)
    return {f"{case}/{name}": value for case, values in cases.items() for name, value in values.items()}


if __name__ == "__main__":
    with joined() as ranks:
        found = results(ranks)
        if ranks.is_first:
            np.savez(Path(sys.argv[1]), **found)
