"""The small pictures of the first page: a photo as super tokens, a photo under attention, and C sorted by cluster.

The first two need a network, which the first page must not wait for: what the network says of a photo lies in ``teasers.json``
beside this file, as ids and shares, and is drawn over the photo here. ``python -m benchmarks.teasers`` makes the file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vitviz.explain.map_files import color_ramp, overlay_pixels
from vitviz.explain.mosaic import SIDE, square
from vitviz.explain.subspace import layer_of, order_images, take_snapshot
from vitviz.explain.subspace_weave import weave
from vitviz.runs.folder import Run

FILE = Path(__file__).with_name("teasers.json")


@dataclass(frozen=True)
class Told:
    """What a network said of a bundled photo.

    run, photo: their names; step: the iteration or the layer; values (rows, columns): ids of super tokens int, or shares of the
    query's attention float.
    """

    run: str
    photo: str
    step: int
    values: np.ndarray


@lru_cache(maxsize=1)
def read_told() -> dict[str, Told]:
    """``supertokens`` and ``attention`` as they are stored. What is returned is shared: read it only."""
    record = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        noun: Told(record[noun]["run"], record[noun]["photo"], record[noun]["step"], np.array(record[noun]["values"]))
        for noun in ("supertokens", "attention")
    }


def write_told(told: dict[str, Told], made_by: str) -> None:
    """Write the file, one row of values a line; ``made_by`` is the command that did it."""
    parts = [f'"made_by": {json.dumps(made_by)}']
    for noun, one in told.items():
        rows = ",\n  ".join(json.dumps(row) for row in one.values.tolist())
        head = f'"run": "{one.run}", "photo": "{one.photo}", "step": {one.step}'
        parts.append(f'"{noun}": {{{head}, "values": [\n  {rows}]}}')
    FILE.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def heat(photo: np.ndarray, shares: np.ndarray, colors: Sequence[str], *, side: int = SIDE) -> np.ndarray:
    """Shares (rows, columns) relative to the largest, over the middle of a photo (H, W, 3) uint8: (side, side, 3) uint8."""
    return overlay_pixels(square(photo, side=side), shares / max(float(shares.max()), 1e-12), colors, side=side)


def affinity_twice(run: Run, colors: Sequence[str], *, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """The last round's |C| + |C^T|, images as they come and by cluster: two (S, S, 3) uint8, S = ``side`` or fewer images.

    ``colors``: hex texts from 0 to the 99.5th percentile of its values over 0. Raises Problem when C cannot be read.
    """
    snapshot = take_snapshot(run, run.num_rounds() - 1)
    matrix = layer_of(snapshot, "plain")
    ramp = color_ramp(colors)
    unsorted, by_cluster = (
        ramp[np.rint(255 * weave(matrix, order_images(snapshot, order), side=side).values).astype(int)]
        for order in ("data", "cluster")
    )
    return np.rint(unsorted).astype(np.uint8), np.rint(by_cluster).astype(np.uint8)
