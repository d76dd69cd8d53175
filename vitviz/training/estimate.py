"""How long a run will take and what memory it will want: the method itself is trained for a moment on a part of the images.

The time of a record is scaled by the number of images, and counted as often as the settings ask for it: least where a run may
stop early and has the processor to itself, most where it goes to its end on a machine that stays as busy as it is. Maps are not
drawn for this; their time follows what was measured once (``_MAP``).
"""

import dataclasses
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitviz.data.device import pick_device
from vitviz.data.sets import open_image_set
from vitviz.runs.folder import Run
from vitviz.training.methods import config_of, find_method
from vitviz.training.planned_records import planned_records
from vitviz.training.setup import start_run
from vitviz.training.subspace_config import MAX_DENSE_IMAGES, SubspaceConfig

EPOCHS = 2
"""The first warms up, the second is timed."""
_LEAST_IMAGES = 120
_SLOWER, _FASTER = 1.4, 0.8
_MAP, _FIRST_MAP = (1.5e-3, 8e-3), (20.0, 60.0)
"""Seconds an image and round, and once for compiling; measured on one core: umap 1.6e-3 to aligned_umap 5.3e-3, once 26."""
_MAP_BYTES, _MAP_IMAGES = 0.5e9, 10_000
_BEGINNING = (3.0, 12.0)
"""Seconds until the libraries are in and the images are open."""

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """seconds and bytes, each from the least to the most; what was found of the images, and what the numbers rest on."""

    seconds: Range
    memory: Range
    found: tuple[str, ...]
    basis: str


def estimate(method: str, config: Any) -> Estimate:
    """Train ``config`` for two epochs on a part of its images, in a folder that is thrown away, and reckon from that.

    Raises: Problem for whatever would keep the run from being trained: an unknown data set, settings that do not fit.
    """
    sample = open_image_set(config.dataset, img_size=config.img_size, limit=_sample_size(config))
    used, total = len(sample), min(config.limit or sample.report.found, sample.report.found)
    with tempfile.TemporaryDirectory(prefix="vitviz-") as folder:
        run = start_run("estimate", method, shorten(config, used), root=Path(folder))
        seconds = _time_records(run, method)
        width = run.round(0).embeddings.shape[1]
    share = total / used
    low, high = _scale(config, seconds, share)
    maps = _map_seconds(config, total)
    return Estimate(
        seconds=(_BEGINNING[0] + low + maps[0], _BEGINNING[1] + high + maps[1]),
        memory=_memory(config, total, run.description().img_size, width),
        found=_found(sample, total, config),
        basis=(
            f"measured just now: {EPOCHS} epochs and a round of this network on {used:,} of {total:,} images"
            + (", maps by what they took elsewhere" if maps[1] else "")
            + (", without the teacher" if getattr(config, "teacher", "") else "")
        ),
    )


def tell(estimated: Estimate) -> list[str]:
    """The estimate in sentences: what was found, how long, how much memory, and what that rests on."""
    seconds, memory = estimated.seconds, estimated.memory
    return [
        f"Images: {'; '.join(estimated.found)}.",
        f"Time: {_duration(seconds[0])} where nothing else runs, to {_duration(seconds[1])} on a machine as busy as this is now.",
        f"Memory: {memory[0] / 1e9:.1f} to {memory[1] / 1e9:.1f} GB.",
        f"Basis: {estimated.basis}.",
    ]


def shorten(config: Any, num_images: int) -> Any:
    """``config`` for a moment's training on so many images: every kind of record once or twice, no maps."""
    wanted = {
        "limit": num_images,
        "epochs": EPOCHS,
        "extra_epochs": 0,
        "gate": False
        if getattr(config, "gate", None) is True
        else getattr(config, "gate", None),  # CoaT's is another thing
        "max_rounds": min(getattr(config, "max_rounds", 0), 1),
        "epochs_per_round": 1,
        "stop_rule": "max_rounds",
        "num_starts": 1,
        "num_steps": 2,
        "projection": "none",
        "start": "warm" if getattr(config, "start", "") in ("warm", "reinitialise") else "",
        "teacher": "",
        "warmup_epochs": 0.0,
    }
    known = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in wanted.items() if name in known})


def _sample_size(config: Any) -> int:
    """Images to measure with: a few batches' worth, or all of a dense C, whose cost does not grow in proportion."""
    if isinstance(config, SubspaceConfig):
        size = MAX_DENSE_IMAGES
    else:
        batch_size = getattr(config, "batch_size", 32)  # a method without steps has none
        batches = 8 if batch_size <= 64 else 2
        size = max(batches * batch_size / (1 - config.held_out_fraction), _LEAST_IMAGES, 12 * config.num_clusters)
    return min(math.ceil(size), config.limit or math.ceil(size))


def _time_records(run: Run, method: str) -> dict[str, Range]:
    """Seconds of the last record of every kind, by kind: were this process alone on the machine, and as it was."""
    threads = _num_threads(config_of(run).device)
    seconds, before = {}, _clocks()
    for record in find_method(method).train(config_of(run), run):
        now = _clocks()
        wall, cpu = now[0] - before[0], now[1] - before[1]
        seconds[record["kind"]], before = (min(wall, cpu / threads) if threads else wall, wall), now
    return seconds


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _num_threads(device: str) -> int:
    """Threads that a CPU computes on; 0 for another device, whose work takes no processor time."""
    import torch

    return torch.get_num_threads() if pick_device(device).type == "cpu" else 0


def _scale(config: Any, seconds: dict[str, Range], share: float) -> Range:
    """All records of the run, from their number and the time of one on ``1 / share`` of the images."""
    plan = planned_records(config)
    least = sum(plan[kind][0] * seconds[kind][0] for kind in plan if kind in seconds)
    most = sum(plan[kind][1] * seconds[kind][1] for kind in plan if kind in seconds)
    return _FASTER * share * least, _SLOWER * share * most


def _map_seconds(config: Any, num_images: int) -> Range:
    if config.projection in ("none", "pca"):
        return 0.0, 0.0
    rounds = planned_records(config)["round"]
    placed = min(num_images, _MAP_IMAGES)
    return tuple(once + each * placed * number for once, each, number in zip(_FIRST_MAP, _MAP, rounds, strict=True))


def _memory(config: Any, num_images: int, img_size: int, width: int) -> Range:
    """What this process came to, and on top of it all images as they are read, their embeddings, and what maps want."""
    peak = _peak_bytes()
    grown = num_images * (3 * img_size**2 + 24 * width)
    return peak, 1.15 * peak + grown + (_MAP_BYTES if config.projection not in ("none", "pca") else 0)


def _peak_bytes() -> float:
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else 1024.0 * peak


def _found(sample, total: int, config: Any) -> tuple[str, ...]:
    classes = ", ".join(sample.class_names[:10]) + (" …" if len(sample.class_names) > 10 else "")
    size = f"{total:,} of {sample.report.found:,} images at {sample.images.shape[1]} px"
    known = f"{len(sample.class_names)} classes ({classes})" if sample.class_names else "no classes"
    bad = f"{len(sample.report.skipped):,} of {len(sample) + len(sample.report.skipped):,} looked at could not be read"
    return (f"{size}, {known}", *([bad] if sample.report.skipped else []))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
