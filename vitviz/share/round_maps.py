"""The maps of a run and its images in few enough bytes to stand inside one page."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.deep_clustering import classes_of_clusters
from vitviz.explain.round_map import pack_round_map
from vitviz.figures.theme import UNKNOWN_COLOR, cluster_colors
from vitviz.runs.folder import Run

MOST_PLACES = 1_200_000
"""Points times rounds that a page holds: 60,000 x 20. At six bytes each they take 9.6 MB as text, however badly they shrink."""

FREE_SETS = {"digits": "they ship with scikit-learn under the BSD licence"}
"""Data sets whose licence is known to allow their pictures to be handed on."""

_MOST_THUMBS = 4_096
_THUMB_BYTES = 1_500_000
_THUMB_SIDES = (32, 24, 16, 12, 8)
_NEAREST = 8


@dataclass(frozen=True)
class Thumbs:
    """All images as one picture: PNG in base64, square cells of ``side`` px, ``columns`` a row, in the order of ``rows`` (M,)."""

    content: str
    side: int
    columns: int
    rows: np.ndarray


def shown_rows(run: Run) -> np.ndarray:
    """The rows of a run that its page draws, ascending: all, or a sample that keeps the shares of the classes.

    Without labels the clusters of the last round take the place of classes.
    """
    samples, num_rounds = run.samples(), max(run.num_rounds(), 1)
    most = MOST_PLACES // num_rounds
    if len(samples.indices) <= most:
        return np.arange(len(samples.indices))
    known = (samples.classes >= 0).any()
    strata = samples.classes if known else np.asarray(run.round(num_rounds - 1).matched_labels)
    order = np.argsort(strata, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, most).astype(int)])


def packed_map(run: Run, rows: np.ndarray) -> str | None:
    """The round map of ``rows`` (M,) in the form of ``explain.round_map``, as base64; None for a run without maps."""
    projection = run.projection()
    if projection is None:
        return None
    samples, num_rounds = run.samples(), len(projection.points)
    clusters = np.stack([np.asarray(run.round(index).matched_labels)[rows] for index in range(num_rounds)])
    content = pack_round_map(
        np.asarray(projection.points)[:, rows],
        clusters,
        samples.classes[rows],
        samples.held_out[rows],
        samples.indices[rows],
    )
    return base64.b64encode(content).decode()


def map_values(run: Run) -> dict[str, Any]:
    """Names and colours for the map: what a cluster is called, by the class it stands for in the last round."""
    about, standing = run.description(), classes_of_clusters(run)[-1]
    names = [about.class_names[one] if one >= 0 else "" for one in standing]
    return {
        "clusterNames": ["" if name == str(index) else name for index, name in enumerate(names)],
        "classNames": list(about.class_names),
        "clusterColors": list(cluster_colors(len(standing))),
        "classColors": list(cluster_colors(len(about.class_names))),
        "unknownColor": UNKNOWN_COLOR,
    }


def nearest_rows(run: Run) -> list[np.ndarray]:
    """For every cluster of the last round the rows of the few images nearest to its center, nearest first."""
    last = run.round(run.num_rounds() - 1)
    labels, distances = np.asarray(last.matched_labels), np.asarray(last.distances)
    order = np.argsort(distances, kind="stable")
    return [order[labels[order] == cluster][:_NEAREST] for cluster in range(len(classes_of_clusters(run)[-1]))]


def thumbnails(run: Run, rows: np.ndarray, *, asked_for: bool) -> tuple[Thumbs | None, str]:
    """Small pictures of ``rows`` (M,), or None, and the sentence that says why there are or are not any."""
    about = run.description()
    if about.dataset not in FREE_SETS and not asked_for:
        return None, (
            "The images are not in this file: whether they may be handed on is for whoever holds them to say. "
            "The option --thumbnails puts them in."
        )
    try:
        images = _images(run)
    except Problem:
        return None, "The images are not in this file: they were not on the machine that made it."
    chosen = _chosen(run, rows)
    for side in _THUMB_SIDES:
        thumbs = _sheet(images, run.samples().indices, chosen, side)
        if len(thumbs.content) <= _THUMB_BYTES:
            free = FREE_SETS.get(about.dataset)
            why = f"The images are in this file: {free}." if free else "The images are in this file as its maker asked."
            return thumbs, why if len(chosen) == len(rows) else f"{why} {len(chosen):,} of them have a picture."
    return None, "The images are not in this file: they would take too much room."


def _images(run: Run) -> np.ndarray:
    from vitviz.training.setup import load_images

    return load_images(run)


def _chosen(run: Run, rows: np.ndarray) -> np.ndarray:
    """Those nearest to their centers, then others evenly spread, at most ``_MOST_THUMBS``."""
    if len(rows) <= _MOST_THUMBS:
        return rows
    first = np.concatenate(nearest_rows(run))[: _MOST_THUMBS // 2]
    spread = rows[np.linspace(0, len(rows) - 1, _MOST_THUMBS - len(first)).astype(int)]
    return np.unique(np.concatenate([first, spread]))


def _sheet(images: np.ndarray, indices: np.ndarray, rows: np.ndarray, side: int) -> Thumbs:
    from PIL import Image

    columns = max(1, int(np.ceil(np.sqrt(len(rows)))))
    sheet = Image.new("RGB", (columns * side, -(-len(rows) // columns) * side))
    for place, row in enumerate(rows):
        small = Image.fromarray(images[indices[row]]).resize((side, side), Image.Resampling.BOX)
        sheet.paste(small, (place % columns * side, place // columns * side))
    if (np.ptp(np.asarray(sheet).astype(int), axis=2) == 0).all():
        sheet = sheet.convert("L")
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return Thumbs(base64.b64encode(file.getvalue()).decode(), side, columns, rows)
