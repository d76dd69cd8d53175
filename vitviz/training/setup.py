"""From settings and a name to a run that can be trained, and from a run back to its images."""

import dataclasses
import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from vitviz.config import to_plain
from vitviz.data.batches import split_held_out
from vitviz.data.device import describe_device, gains_from_bfloat16, pick_device
from vitviz.data.sets import SETS, ImageSet, open_image_set
from vitviz.errors import Problem
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Samples
from vitviz.training.compiling import check_compile

_LIBRARIES = ("torch", "numpy", "scikit-learn", "umap-learn", "timm")


def start_run(
    name: str,
    method: str,
    config: Any,
    *,
    preset: str = "",
    variant: str = "",
    title: str = "",
    command: str = "",
    root: Path | None = None,
) -> Run:
    """A new run for ``config``, among your own or in ``root``: opens its data set, splits it, and writes down what was decided.

    A data set with a test part of its own keeps it; any other is split per class by ``held_out_fraction`` and ``seed``.
    """
    device = pick_device(config.device)
    check_compile(getattr(config, "compile", "off"), device)
    if getattr(config, "bfloat16", "off") == "auto":
        # decided once and written down: a resumed run must not decide otherwise
        config = dataclasses.replace(config, bfloat16="on" if gains_from_bfloat16(device) else "off")
    images = open_image_set(config.dataset, img_size=config.img_size, limit=config.limit)
    held_out = images.held_out
    notes = list(images.report.notes)
    if held_out is None or not held_out.any():
        held_out = split_held_out(images.labels, config.held_out_fraction, seed=config.seed)
        notes.append(
            f"{held_out.sum():,} of {len(images):,} images are held out: drawn per class with seed {config.seed}"
        )
    if held_out.all() or not held_out.any():
        raise Problem(
            f"{held_out.sum():,} of {len(images):,} images would be held out",
            "some must be, and some must be left to train on",
            "change held_out_fraction, or give more images",
        )
    description = Description(
        method=method,
        preset=preset,
        variant=variant,
        title=title,
        command=command,
        settings=to_plain(config),
        dataset=config.dataset,
        dataset_title=SETS[config.dataset].title if config.dataset in SETS else Path(config.dataset).name,
        dataset_fingerprint=images.fingerprint,
        img_size=int(images.images.shape[1]),
        num_images=len(images),
        class_names=images.class_names,
        num_clusters=config.num_clusters,
        seed=config.seed,
        notes=(images.report.summary(), *notes),
        versions={"vitviz": _version("vitviz"), **{library: _version(library) for library in _LIBRARIES}},
        git_commit=_git_commit(),
        device=describe_device(device),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    samples = Samples(np.arange(len(images), dtype=np.int32), images.labels, held_out)
    return create_run(name, description, samples, root=root)


def load_images(run: Run) -> np.ndarray:
    """The images (N, H, W, 3) uint8 of a run, in the order of its rows. Raises Problem when the data set is another now."""
    images = open_run_images(run)
    if images.fingerprint != run.description().dataset_fingerprint:
        raise Problem(
            f"the data set of run '{run.name}' changed since it began",
            f"{run.description().dataset} holds other images",
        )
    return images.images


def load_shown_images(run: Run) -> np.ndarray:
    """The images of a run to look at, at the places of ``samples().indices``: (N, H, W, 3) uint8.

    Those of :func:`load_images`; or, where the run holds sketches, the same images in another order or encoding, each in its
    place. Raises Problem when the data set is another, or not on this machine.
    """
    found, samples = open_run_images(run), run.samples()
    if found.fingerprint == run.description().dataset_fingerprint or samples.sketches is None:
        return load_images(run)
    from vitviz.data.sketches import find_again, sketch

    rows = find_again(samples.sketches, samples.classes, sketch(found.images), found.labels)
    images = np.empty((int(samples.indices.max()) + 1, *found.images.shape[1:]), np.uint8)
    images[samples.indices] = found.images[rows]
    return images


def open_run_images(run: Run) -> ImageSet:
    """The image set of a run, opened as it was for training. Raises Problem when it is not on this machine."""
    about = run.description()
    return open_image_set(about.dataset, img_size=about.img_size, limit=about.settings.get("limit"))


def _version(library: str) -> str:
    if library == "vitviz":
        from vitviz import __version__

        return __version__
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return f"absent (Python {platform.python_version()})"


def _git_commit() -> str:
    folder = Path(__file__).parent
    try:
        words = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
        return subprocess.run(words, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
