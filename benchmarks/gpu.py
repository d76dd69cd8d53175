"""What training and embedding of every shipped network reach of what this machine's device can do.

Images a second with the loops that train runs, and the share of the peak of a matrix product of the same number type, which is
measured in the same run, in turn with them. Work counts the products and convolutions of a step (torch's flop counter), not
what is moved. On a CPU the same table comes out, slowly; torch.compile is tried on CUDA only.
``python -m benchmarks.gpu [--quick] [--json] [--device cuda] [--only cifar10]``
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vitviz.config import from_plain
from vitviz.data.device import describe_device, gains_from_bfloat16, pick_device
from vitviz.training import coat, deep_clustering, idec, supertokens
from vitviz.training.coat_config import CoatConfig
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.feed import EpochPlan, place_images
from vitviz.training.idec_config import IdecConfig
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.presets import PRESETS
from vitviz.training.state import make_optimizer
from vitviz.training.supertokens_config import SuperTokensConfig

NUM_CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network as it is shipped: the module that builds it, its settings, pixels a side, images of a step."""

    home: Any
    config: Any
    img_size: int
    batch_size: int

    def build(self) -> nn.Module:
        """A fresh one, on the CPU."""
        if self.home is idec:
            return idec.build_autoencoder(self.config)
        return self.home.build_model(self.config, img_size=self.img_size, num_classes=NUM_CLASSES, seed=0)


def _of_preset(home: Any, kind: type, name: str, img_size: int) -> Network:
    config = from_plain(kind, dict(PRESETS[name].settings))
    return Network(home, config, img_size, config.batch_size)


NETWORKS: dict[str, Network] = {
    "digits": _of_preset(deep_clustering, DeepClusteringConfig, "digits", 32),
    "cifar10-mini": _of_preset(deep_clustering, DeepClusteringConfig, "cifar10-mini", 32),
    "cifar10-laptop": _of_preset(deep_clustering, DeepClusteringConfig, "cifar10-laptop", 32),
    "cifar10": _of_preset(deep_clustering, DeepClusteringConfig, "cifar10", 32),
    "cifar10-supertoken": _of_preset(supertokens, SuperTokensConfig, "cifar10-supertoken", 32),
    "clothing-supertoken": _of_preset(supertokens, SuperTokensConfig, "clothing-supertoken", 224),
    "CoaT-Lite Tiny": Network(coat, CoatConfig(kind="unclustered"), 224, 32),
    "autoencoder": _of_preset(idec, IdecConfig, "digits-unsupervised", 32),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; ``share`` is the work done a second over that of a matrix product of the same ``dtype``."""

    network: str
    work: str
    dtype: str
    is_compiled: bool
    images_per_second: float
    share: float


def measure(network: str, device: torch.device, *, compile_it: bool, num_steps: int, num_turns: int) -> list[Figure]:
    """Training and embedding of one network, in turn with a matrix product; the first turn warms up, and is not counted."""
    about = NETWORKS[network]
    bfloat16 = gains_from_bfloat16(device)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    works, flops = _works(about, device, num_steps, bfloat16=bfloat16, compile_it=compile_it)
    product, product_flops = _product(device, dtype)
    shares, speeds = {work: [] for work in works}, {work: [] for work in works}
    for turn in range(num_turns + 1):
        for work, do in works.items():
            peak = product_flops / _seconds(product, device)
            speed = num_steps * about.batch_size / _seconds(do, device)
            if turn:
                speeds[work].append(speed)
                shares[work].append(speed * flops[work] / peak)
    return [
        Figure(
            network=network,
            work=work,
            dtype=str(dtype).removeprefix("torch."),
            is_compiled=compile_it,
            images_per_second=statistics.median(speeds[work]),
            share=statistics.median(shares[work]),
        )
        for work in works
    ]


def _works(
    about: Network, device: torch.device, num_steps: int, *, bfloat16: bool, compile_it: bool
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """Work -> what does it for ``num_steps`` batches, and work -> floating-point operations an image."""
    rng, number = np.random.default_rng(0), num_steps * about.batch_size
    images = rng.integers(0, 256, (number, about.img_size, about.img_size, 3), dtype=np.uint8)
    fed, rows = place_images(images, device), np.arange(number)
    classes = torch.from_numpy(rng.integers(0, NUM_CLASSES, number)).to(device)
    model = about.build().to(device)
    flops = _flops(model, about, device)
    if compile_it:
        model.compile()
    optimizer = make_optimizer(model, lr=1e-4, weight_decay=0.05)
    settings = {"rows": rows, "batch_size": about.batch_size, "lr": lambda share: 1e-4, "seed": 0, "epoch": 0}
    plan = EpochPlan(**settings, augment="shift_flip", bfloat16=bfloat16)

    def loss(model: nn.Module, pixels: torch.Tensor, rows: np.ndarray) -> dict[str, torch.Tensor]:
        return {"loss": _loss(model(pixels), classes[torch.from_numpy(rows).to(device)])}

    train = {"training": lambda: train_epoch(model, optimizer, fed, loss, plan)}
    embedding = {"embedding": lambda: embed_images(model, fed, rows, batch_size=about.batch_size, bfloat16=bfloat16)}
    return train | embedding, flops


def _loss(output: Any, classes: torch.Tensor) -> torch.Tensor:
    if hasattr(output, "restored"):
        return nn.functional.mse_loss(output.restored, output.target)
    return nn.functional.cross_entropy(output.logits.float(), classes)


def _flops(model: nn.Module, about: Network, device: torch.device) -> dict[str, float]:
    """Floating-point operations an image of a step (forward and back) and of an embedding (forward)."""
    pixels = torch.zeros(2, 3, about.img_size, about.img_size, device=device)
    classes, found = torch.zeros(2, dtype=torch.int64, device=device), {}
    model.train()
    for work in ("training", "embedding"):
        with FlopCounterMode(display=False) as counter:
            output = model(pixels)
            if work == "training":
                _loss(output, classes).backward()
        found[work] = counter.get_total_flops() / len(pixels)
    model.zero_grad(set_to_none=True)
    return found


def _product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    """A square matrix product as large as the device is busy with for a while, and its floating-point operations."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    repeats = 8

    def multiply() -> None:
        for _ in range(repeats):
            left @ right

    return multiply, 2.0 * repeats * side**3


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def print_table(figures: list[Figure], machine: str) -> None:
    """The machine's name, and a line a figure."""
    rows = [("network", "work", "numbers", "compiled", "images/s", "of the peak product")]
    for one in figures:
        compiled = "yes" if one.is_compiled else "no"
        speed, share = f"{one.images_per_second:,.0f}", f"{one.share:.1%}"
        rows.append((one.network, one.work, one.dtype, compiled, speed, share))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(machine)
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two steps and one turn of each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS), metavar="NETWORK")
    options = parser.parse_args()
    device = pick_device(options.device)
    counts = {"num_steps": 2, "num_turns": 1} if options.quick else {"num_steps": 20, "num_turns": 5}
    figures = [
        figure
        for network in options.only
        for compile_it in ((False, True) if device.type == "cuda" else (False,))
        for figure in measure(network, device, compile_it=compile_it, **counts)
    ]
    machine = describe_device(device)
    if options.json:
        print(json.dumps({"machine": machine, "figures": [dataclasses.asdict(figure) for figure in figures]}))
    else:
        print_table(figures, machine)


if __name__ == "__main__":
    main()
