"""One image of a subspace run: its row of C, its class as a ring, what C Z makes of it, its channels and their gate.

Everywhere rows = images and Z = C Z: C_ij is what image i takes of image j.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.explain.subspace import Snapshot, coefficients_of
from vitviz.explain.subspace_turn import turn_length
from vitviz.runs.folder import Run

if TYPE_CHECKING:
    from vitviz.nn.subspace import SubspaceAutoencoder

VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
_GAP = 4
_GAP_GREY = 128


@dataclass(frozen=True)
class Row:
    """What one image is made of: others (M,) rows of the run, values (M,) C_ij, the largest magnitude first, and share (M,) of
    the sum of magnitudes; rest: the share of all others, 0..1; self_value: C_ii, which no share counts.
    """

    sample: int
    others: np.ndarray
    values: np.ndarray
    share: np.ndarray
    rest: float
    self_value: float


@dataclass(frozen=True)
class Ring:
    """An image among its class: members (P,) rows of the class in the order of the data, and its own place there.

    partners (Q,): the places of those it is made of, the largest first, with weights (Q,) |C_ij| over the largest, 0..1; outside:
    the share of the row's magnitudes that lies outside the class, 0..1; angle_step: degrees from one member to the next, where
    the class is one full turn of an object, else None.
    """

    members: np.ndarray
    place: int
    partners: np.ndarray
    weights: np.ndarray
    outside: float
    angle_step: float | None


@dataclass(frozen=True)
class Rebuilt:
    """An image, decoded from its own z_i, and from (C Z)_i: (H, W) or (H, W, 3) uint8 each; errors: mean squared, of pixels in
    0..1, before the decoded ones are cut off there.
    """

    original: np.ndarray
    from_latent: np.ndarray
    from_others: np.ndarray
    error_latent: float
    error_others: float


@dataclass(frozen=True)
class Channels:
    """Features of one image before the gate, maps (channels, rows, columns) float32, >= 0; gate (channels,) in 0..1, None
    without one; ceiling: the largest value of the maps.
    """

    maps: np.ndarray
    gate: np.ndarray | None
    ceiling: float


@dataclass(frozen=True)
class Gates:
    """The gate over all images: mean (channels,) in 0..1, spread (channels,), the standard deviation, by_class
    (num_classes, channels), the mean of each class, nan where no image is of it, None without classes; is_dead: the gate says
    the same of every image.
    """

    mean: np.ndarray
    spread: np.ndarray
    by_class: np.ndarray | None
    is_dead: bool


def row_of(snapshot: Snapshot, sample: int, most: int = 12) -> Row:
    """Row ``sample`` of C, without its diagonal: the ``most`` largest magnitudes, zeros left out."""
    others, values = _entries(snapshot, sample)
    order = np.argsort(-np.abs(values), kind="stable")[:most]
    total = float(np.abs(values).sum())
    share = np.abs(values[order]) / total if total > 0 else np.zeros(0)
    rest = max(1 - float(share.sum()), 0.0) if len(order) < len(values) else 0.0
    own = float(snapshot.coefficients[sample, sample])
    return Row(sample, others[order], values[order], share, rest, own)


def ring_of(snapshot: Snapshot, run: Run, sample: int) -> Ring | None:
    """Row ``sample`` of C among the images of its class; None when its class is unknown."""
    samples = run.samples()
    if samples.classes[sample] < 0:
        return None
    members = np.flatnonzero(samples.classes == samples.classes[sample])
    members = members[np.argsort(samples.indices[members], kind="stable")]
    others, values = _entries(snapshot, sample)
    sizes = np.zeros(len(samples.classes))
    sizes[others] = np.abs(values)
    total, inside = sizes.sum(), sizes[members]
    partners = np.argsort(-inside, kind="stable")[: np.count_nonzero(inside)]
    is_turn = turn_length(run) == len(members)
    return Ring(
        members=members,
        place=int(np.flatnonzero(members == sample)[0]),
        partners=partners,
        weights=inside[partners] / inside.max() if len(partners) else np.zeros(0),
        outside=max(1 - float(inside.sum() / total), 0.0) if total > 0 else 0.0,
        angle_step=360 / len(members) if is_turn else None,
    )


def rebuild(
    model: "SubspaceAutoencoder", snapshot: Snapshot, latent: np.ndarray, pixels: np.ndarray, sample: int
) -> Rebuilt:
    """What the decoder makes of z_i and of (C Z)_i, its own share C_ii z_i included as in training; grey for a grey ``model``.

    Args:
        latent: Z (N, D).
        pixels: the image of row ``sample``, (H, W, 3) uint8.
    """
    import torch

    from vitviz.training.subspace_model import to_pixels

    others, values = _entries(snapshot, sample, with_own=True)
    made = values.astype(np.float32) @ np.asarray(latent[others], np.float32)
    both = torch.from_numpy(np.stack([np.asarray(latent[sample], np.float32), made]))
    with torch.no_grad():
        decoded = model.decode(both).numpy()
    original = to_pixels(pixels[None], in_chans=model.encoder.in_channels)[0].numpy()
    errors = np.square(decoded - original).mean(axis=(1, 2, 3))
    shown = (_as_image(one) for one in (original, *decoded))
    return Rebuilt(*shown, error_latent=float(errors[0]), error_others=float(errors[1]))


def channel_maps(model: "SubspaceAutoencoder", pixels: np.ndarray) -> Channels:
    """The features of one image, (H, W, 3) uint8 of the model's size, before the gate, and the gate."""
    import torch

    from vitviz.training.subspace_model import to_pixels

    with torch.no_grad():
        output = model(to_pixels(pixels[None], in_chans=model.encoder.in_channels), keep=("features", "gate"))
    maps = output.features[0].numpy()
    return Channels(maps, None if output.gate is None else output.gate[0].numpy(), float(maps.max()))


def channel_sheet(
    channels: Channels, cell: int = 96, *, gated: bool = False, columns: int = 15, colors: Sequence[str] = VIRIDIS
) -> np.ndarray:
    """The maps side by side, ``columns`` in a row: (h, w, 3) uint8, each enlarged without smoothing to about ``cell`` pixels.

    All maps have one scale, 0 to their largest value, from the first of ``colors`` (``#rrggbb``) to the last, the same with
    ``gated``, which shows them behind the gate.
    """
    maps = channels.maps if channels.gate is None or not gated else channels.maps * channels.gate[:, None, None]
    maps = maps / channels.ceiling if channels.ceiling > 0 else np.zeros_like(maps)
    scale = max(cell // maps.shape[1], 1)
    tiles = _colored(maps, colors).repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = tiles.shape[1] + _GAP, tiles.shape[2] + _GAP
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height - _GAP, columns * width - _GAP, 3), _GAP_GREY, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + len(tile), left : left + tile.shape[1]] = tile
    return sheet


def gates_of(snapshot: Snapshot) -> Gates | None:
    """What the gate does over all images; None without one."""
    if snapshot.gate is None:
        return None
    from vitviz.nn.subspace import DEAD_GATE

    gate, classes = snapshot.gate.astype(np.float64), snapshot.classes
    spread, by_class = gate.std(axis=0), None
    if (classes >= 0).any():
        by_class = np.full((int(classes.max()) + 1, gate.shape[1]), np.nan)
        for one in np.unique(classes[classes >= 0]):
            by_class[one] = gate[classes == one].mean(axis=0)
    return Gates(gate.mean(axis=0), spread, by_class, bool((spread < DEAD_GATE).all()))


def _entries(snapshot: Snapshot, sample: int, *, with_own: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The columns (M,) of row ``sample`` of C that are not 0, ascending, and their values (M,) float64."""
    row = coefficients_of(snapshot, sample)
    if not with_own:
        row[sample] = 0
    columns = np.flatnonzero(row)
    return columns, row[columns].astype(np.float64)


def _as_image(pixels: np.ndarray) -> np.ndarray:
    """(1 or 3, H, W) in 0..1 -> (H, W) or (H, W, 3) uint8."""
    image = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def _colored(values: np.ndarray, colors: Sequence[str]) -> np.ndarray:
    """values (...) in 0..1 -> (..., 3) uint8, between the two nearest of ``colors``."""
    stops = np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in colors], float)
    places = np.clip(values, 0, 1) * (len(stops) - 1)
    parts = [np.interp(places, np.arange(len(stops)), stops[:, part]) for part in range(3)]
    return np.rint(np.stack(parts, axis=-1)).astype(np.uint8)
