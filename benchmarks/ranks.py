"""One process with one thread, two processes of one thread each, one process with two threads: images a second of each.

The three take turns on the same work, training, embedding and k-means, so that a busy machine is as busy for all of them; a
speed-up is the median over turns of one turn's ratio. ``python -m benchmarks.ranks [--quick] [--json]``
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

NETWORK = {
    "img_size": 32,
    "patch_size": 4,
    "num_classes": 10,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
    "mlp_ratio": 2.0,
    "stem": "conv",
}
"""What the preset cifar10-laptop trains."""
BATCH = 128
POINTS_AN_IMAGE, ITERATIONS = 40, 20
"""k-means gets more to do: its figure counts points a second, each through all iterations."""
WORKS = ("training", "embedding", "k-means")


@dataclass(frozen=True)
class Team:
    """So many processes, so many threads in each."""

    num_processes: int
    num_threads: int

    def __str__(self) -> str:
        processes = "1 process" if self.num_processes == 1 else f"{self.num_processes} processes"
        return f"{processes} x {self.num_threads} thread{'s' if self.num_threads > 1 else ''}"


TEAMS = (Team(1, 1), Team(2, 1), Team(1, 2))


class Crew:
    """The processes of a team, which wait until they are told to work."""

    def __init__(self, team: Team, num_images: int, folder: Path):
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = [], []
        for rank in range(team.num_processes):
            ours, theirs = context.Pipe()
            arguments = (theirs, team, rank, num_images, folder / f"store-{team.num_processes}-{team.num_threads}")
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def seconds(self, work: str) -> float:
        """How long the slowest of them took for one turn of a work."""
        for pipe in self.pipes:
            pipe.send(work)
        return max(pipe.recv() for pipe in self.pipes)

    def leave(self) -> None:
        """Let the processes end."""
        for pipe in self.pipes:
            pipe.send(None)
        for process in self.processes:
            process.join()


def measure(num_images: int, num_turns: int) -> dict[str, dict[str, list[float]]]:
    """Work -> team -> images a second in every turn, after a turn that warms up."""
    with tempfile.TemporaryDirectory(prefix="vitviz-") as folder:
        crews = {str(team): Crew(team, num_images, Path(folder)) for team in TEAMS}
        found = {work: {team: [] for team in crews} for work in WORKS}
        for turn in range(num_turns + 1):
            for work in WORKS:
                for team, crew in crews.items():
                    number = num_images * (POINTS_AN_IMAGE if work == "k-means" else 1)
                    speed = number / crew.seconds(work)
                    found[work][team] += [speed] if turn else []
        for crew in crews.values():
            crew.leave()
    return found


def table(found: dict[str, dict[str, list[float]]]) -> list[tuple[str, ...]]:
    """Rows of words: a work, the median images a second of every team, and what the teams gain over the first."""
    first, *others = map(str, TEAMS)
    head = ("work", *(f"{team}, images/s" for team in (first, *others)), *(f"{team}: gain" for team in others))
    rows = [head]
    for work, speeds in found.items():
        medians = [f"{statistics.median(speeds[team]):,.0f}" for team in (first, *others)]
        gains = [
            statistics.median(own / base for own, base in zip(speeds[team], speeds[first], strict=True))
            for team in others
        ]
        rows.append((work, *medians, *(f"{gain:.2f}x" for gain in gains)))
    return rows


def _serve(pipe: Connection, team: Team, rank: int, num_images: int, store: Path) -> None:
    import torch
    import torch.distributed as dist

    from vitviz.ranks import Ranks

    torch.set_num_threads(team.num_threads)
    if team.num_processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=team.num_processes)
    works = _works(Ranks(rank, team.num_processes), num_images)
    while (work := pipe.recv()) is not None:
        start = time.perf_counter()
        works[work]()
        pipe.send(time.perf_counter() - start)
    if team.num_processes > 1:
        dist.destroy_process_group()


def _works(ranks, num_images: int) -> dict[str, Callable[[], object]]:
    import torch
    from torch.nn import functional as F

    from vitviz.clustering.kmeans import kmeans
    from vitviz.nn.vit import VisionTransformer, init_weights
    from vitviz.training.feed import EpochPlan
    from vitviz.training.loop import embed_images, train_epoch
    from vitviz.training.state import make_optimizer

    rng = np.random.default_rng(0)
    rows, images = np.arange(num_images), rng.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8)
    classes = torch.from_numpy(rng.integers(0, 10, num_images))
    points = torch.from_numpy(rng.normal(size=(num_images * POINTS_AN_IMAGE, 128)).astype(np.float32))
    model = init_weights(VisionTransformer(**NETWORK), torch.Generator().manual_seed(0))
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05)
    settings = {"rows": rows, "batch_size": BATCH, "lr": lambda share: 1e-3, "seed": 0, "epoch": 0}
    plan = EpochPlan(**settings, augment="shift_flip", ranks=ranks)

    def loss(model, pixels, rows):
        return {"loss": F.cross_entropy(model(pixels).logits, classes[torch.from_numpy(rows)])}

    return {
        "training": lambda: train_epoch(model, optimizer, images, loss, plan),
        "embedding": lambda: embed_images(model, images, rows, ranks=ranks),
        "k-means": lambda: kmeans(
            points, 10, centers=points[:10], max_iterations=ITERATIONS, tolerance=0.0, ranks=ranks
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = measure(*((256, 3) if options.quick else (1024, 7)))
    if options.json:
        print(json.dumps({"quick": options.quick, "images_per_second": found}))
        return
    rows = table(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
