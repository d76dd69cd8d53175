"""Subspace clustering of COIL-20: our solvers beside DSC-Net's recipe, from the same pretrained autoencoders.

``python -m benchmarks.subspace [--quick] [--json] [--seeds 0,1,2] [--epochs 40]``; ``VITVIZ_DATA`` names the folder with
``coil20``. ``--growth`` instead clusters 720 to 20,000 points of planted subspaces, each size and way in a process of its own,
and prints seconds and the peak of memory (``benchmarks/subspace_growth.py``).

The rival is the recipe that DSC-Net (Ji et al., NIPS 2017) published for COIL-20, written again in ``benchmarks/dsc_net.py``.
Seconds are processor seconds of one thread, the mean over seeds. A share of wrong images is 100 % - ACC, its mean over seeds;
ACC and NMI of every seed stand in the row. No label is used but for these scores.
"""

import argparse
import copy
import dataclasses
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks import dsc_net, subspace_growth
from benchmarks.table import Row, print_table
from vitviz.clustering.metrics import scores
from vitviz.clustering.self_expression import express
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.nn.subspace import SubspaceAutoencoder, subspace_loss
from vitviz.training.feed import EpochPlan
from vitviz.training.loop import train_epoch
from vitviz.training.state import make_optimizer
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.subspace_model import build_model, encode_all, to_pixels
from vitviz.training.subspace_rounds import cluster_coefficients
from vitviz.training.subspace_solving import solver_settings

RIVAL = "DSC-Net's recipe"
OURS = ("neighbors", "ridge", "adam")
_QUICK_CLUSTERS = 10


@dataclass(frozen=True)
class Measured:
    """One way, from the pretrained autoencoder of one seed: seconds until C stands and from C to labels; scores 0..1."""

    express_seconds: float
    cluster_seconds: float
    acc: float
    nmi: float

    @property
    def seconds(self) -> float:
        return self.express_seconds + self.cluster_seconds


def measure(*, seeds: Sequence[int], epochs: int, quick: bool) -> list[Row]:
    """The table. Raises Problem when COIL-20 is not there."""
    found = open_image_set("coil20", img_size=32)
    chosen = found.labels < _QUICK_CLUSTERS if quick else found.labels >= 0
    images, classes = found.images[chosen], found.labels[chosen]
    pretraining: list[float] = []
    by_way: dict[str, list[Measured]] = {name: [] for name in (RIVAL, *OURS)}
    for seed in seeds:
        config = SubspaceConfig(
            dataset="coil20", num_clusters=len(np.unique(classes)), epochs=epochs, seed=seed, count_diagonal=True
        )
        start = time.process_time()
        model = _pretrain(config, images)
        pretraining.append(time.process_time() - start)
        for name, one in by_way.items():
            one.append(_measure_way(name, config, copy.deepcopy(model), to_pixels(images), classes))
            _report(name, seed, one[-1])
    head = Row(f"pretraining, {epochs} epochs, the same for all", statistics.mean(pretraining), "s")
    return [head, *(row for name in OURS for row in _rows(name, by_way[name], by_way[RIVAL], pretraining))]


def _pretrain(config: SubspaceConfig, images: np.ndarray) -> SubspaceAutoencoder:
    pixels = to_pixels(images)
    model = build_model(config, img_size=images.shape[1], in_chans=pixels.shape[1], seed=config.seed)
    optimizer = make_optimizer(model, lr=config.lr, weight_decay=0.0)

    def loss(model, _, rows):
        batch = pixels[torch.from_numpy(rows)]
        return {"loss": 0.5 * (batch - model(batch).restored).square().sum() / len(batch)}

    plan = EpochPlan(
        rows=np.arange(len(images)),
        batch_size=config.batch_size,
        lr=lambda share: config.lr,
        seed=config.seed,
        epoch=0,
        clip_norm=math.inf,
    )
    for epoch in range(config.epochs):
        train_epoch(model, optimizer, images, loss, dataclasses.replace(plan, epoch=epoch))
    return model


def _measure_way(
    name: str, config: SubspaceConfig, model: SubspaceAutoencoder, pixels: torch.Tensor, classes: np.ndarray
) -> Measured:
    start = time.process_time()
    if name == RIVAL:
        coefficients = dsc_net.fine_tune(*dsc_net.parameters_of(model), pixels)
        expressed = time.process_time()
        labels = dsc_net.cluster(coefficients, config.num_clusters, seed=config.seed)
    else:
        config = dataclasses.replace(config, solver=name, count_diagonal=name == "adam")
        coefficients = _fine_tune(config, model, pixels) if name == "adam" else None
        latent, _ = encode_all(model, pixels)
        coefficients = express(latent, name, solver_settings(config)) if coefficients is None else coefficients
        expressed = time.process_time()
        labels = cluster_coefficients(config, latent, None, coefficients).clusters.labels
    seconds = (expressed - start, time.process_time() - expressed)
    found = scores(classes, labels)
    return Measured(*seconds, found["acc"], found["nmi"])


def _fine_tune(config: SubspaceConfig, model: SubspaceAutoencoder, pixels: torch.Tensor) -> torch.Tensor:
    """C (N, N) after the steps of ``config``, of everything at once; changes ``model``."""
    coefficients = torch.full((len(pixels),) * 2, config.coefficient_start, requires_grad=True)
    optimizer = torch.optim.Adam([*model.parameters(), coefficients], lr=config.finetune_lr)
    for _ in range(config.num_steps):
        loss = subspace_loss(
            pixels,
            model(pixels, coefficients, keep=("expressed",)),
            coefficients,
            coefficient_weight=config.coefficient_weight,
            expression_weight=config.expression_weight,
        )
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        optimizer.step()
    return coefficients.detach()


def _rows(name: str, ours: list[Measured], rival: list[Measured], pretraining: list[float]) -> Iterator[Row]:
    def row(figure: str, unit: str, value: Callable[[Measured], float], beside: str = "") -> Row:
        own, other = (statistics.mean(map(value, measured)) for measured in (ours, rival))
        return Row(f"{name}: {figure}", own, unit, RIVAL + beside, other)

    before = statistics.mean(pretraining)
    yield row("until C stands", "s", lambda measured: measured.express_seconds)
    yield row("from C to labels", "s", lambda measured: measured.cluster_seconds)
    yield row("with pretraining", "s", lambda measured: before + measured.seconds)
    yield row(f"wrong images ({_scores(ours)})", "%", lambda measured: 100 * (1 - measured.acc), f" ({_scores(rival)})")


def _scores(measured: list[Measured]) -> str:
    acc, nmi = (" ".join(f"{100 * getattr(one, name):.1f}" for one in measured) for name in ("acc", "nmi"))
    return f"ACC {acc}, NMI {nmi}"


def _report(name: str, seed: int, measured: Measured) -> None:
    print(f"seed {seed}, {name}: {_scores([measured])}, {measured.seconds:.1f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Print the table, or with ``--json`` one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half of the objects, one seed, 10 epochs; fewer sizes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", help="comma-separated; 0,1,2 unless told, 0 with --quick")
    parser.add_argument("--epochs", type=int, help="of pretraining; 40 unless told, 10 with --quick")
    parser.add_argument("--growth", action="store_true", help="seconds and memory over the number of images instead")
    options = parser.parse_args()
    try:
        if options.growth:
            rows = subspace_growth.measure(options.quick)
        else:
            seeds = [int(seed) for seed in (options.seeds or ("0" if options.quick else "0,1,2")).split(",")]
            torch.set_num_threads(1)
            with threadpool_limits(1):
                rows = measure(seeds=seeds, epochs=options.epochs or (10 if options.quick else 40), quick=options.quick)
    except Problem as problem:
        sys.exit(str(problem))
    if options.json:
        found = {"quick": options.quick, "rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]}
        print(json.dumps(found))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
