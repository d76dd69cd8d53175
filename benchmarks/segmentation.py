"""How well maps of about 196 segments fit what people drew on photos of BSDS500: super tokens beside SLIC and patches.

``python -m benchmarks.segmentation [--images 50] [--run NAME] [--json]``; ``VITVIZ_DATA`` names the folder with ``bsds500``.

Every score is the mean over a photo's annotators, then over photos, see :func:`vitviz.explain.segmentation.score_segments`; each
map is scored as it comes and again with connectivity enforced. 50 images are every second one of the 100 by sorted name. Seconds
are processor seconds of one thread for the map alone, connectivity included where it is enforced (SLIC enforces its own).

No map of 28 x 28 values can have a higher ASA than the row "28 x 28 blocks": there each block takes its best region for itself.
Networks are fed a photo stretched to their square, so that their map is 28 x 28 and their tokens 14 x 14 at 224 px; fed twice as
large their map is 56 x 56, and cells twice as wide keep the tokens 14 x 14.
"""

import argparse
import copy
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vitviz.data.batches import to_tensor
from vitviz.data.ground_truth import read_ground_truth
from vitviz.data.images import decode_image, fit_image
from vitviz.errors import Problem
from vitviz.explain.segmentation import (
    SegmentScores,
    enforce_connectivity,
    grid_labels,
    score_segments,
    slic_as_requested,
    slic_labels,
)
from vitviz.explain.supertoken_features import Features, features_of_pixels, features_of_run
from vitviz.nn.supertokens import cluster_pixels, hard_labels
from vitviz.nn.vit import VisionTransformer
from vitviz.runs.folder import find_run
from vitviz.training.supertokens import build_model, load_model
from vitviz.training.supertokens_config import SuperTokensConfig

DEFAULT_RUN = "clothing-supertoken"
NUM_SEGMENTS, GRID = 196, (14, 14)
SEEDS = (0, 1, 2)

Maker = Callable[[np.ndarray], np.ndarray]
"""An image (H, W, 3) uint8 to a map of segments (H, W)."""


@dataclass(frozen=True)
class Photo:
    """A photograph (H, W, 3) uint8 and the maps (H, W) that people drew of it."""

    image: np.ndarray
    truths: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Measured:
    """Means over photos, and over seeds where there are several; ``asa_spread``: standard deviation over the seeds."""

    figure: str
    raw: dict[str, float]
    connected: dict[str, float]
    seconds: float
    asa_spread: float | None


def measure(num_images: int, run_name: str | None) -> Iterator[Measured]:
    """One row after the other. Raises Problem when the photos or the run are not there."""
    torch.set_num_threads(1)
    photos = load_photos(num_images)
    rows = (*_plain_makers(), *_untrained_makers(photos), *_trained_makers(run_name))
    for figure, makers in rows:
        yield _measure_row(figure, makers, photos)


def load_photos(num_images: int) -> list[Photo]:
    """``num_images`` photos of the validation set, evenly spaced among the sorted names."""
    folder = Path(os.environ.get("VITVIZ_DATA", ".")) / "bsds500"
    paths = sorted(folder.glob("images/val/*.jpg"))
    if not 1 <= num_images <= len(paths):
        why = f"{len(paths)} photos lie in {Path('bsds500/images/val')} of the folder named by VITVIZ_DATA"
        raise Problem(
            f"{num_images} photos of BSDS500 could not be read", why, "put images/val and groundTruth/val there"
        )
    return [_load_photo(path, folder) for path in paths[:: len(paths) // num_images][:num_images]]


def voronoi_labels(height: int, width: int, num_segments: int, *, seed: int) -> np.ndarray:
    """Segments that know nothing of the picture: each pixel goes to the nearest of ``num_segments`` random points."""
    from scipy.spatial import cKDTree

    points = np.random.default_rng(seed).uniform((0, 0), (height, width), (num_segments, 2))
    pixels = np.stack(np.mgrid[:height, :width], axis=-1) + 0.5
    return cKDTree(points).query(pixels.reshape(-1, 2))[1].reshape(height, width).astype(np.int32)


def _load_photo(path: Path, folder: Path) -> Photo:
    drawn = folder / "groundTruth" / "val" / f"{path.stem}.mat"
    return Photo(decode_image(path).pixels, read_ground_truth(drawn.read_bytes(), name=drawn.name))


def _plain_makers() -> list[tuple[str, list[Maker]]]:
    """Maps that need no network."""
    return [
        (
            "random Voronoi cells, 196",
            [lambda image: voronoi_labels(*image.shape[:2], NUM_SEGMENTS, seed=0)],
        ),
        ("patch grid 14 x 14", [lambda image: grid_labels(*image.shape[:2], GRID)]),
        ("28 x 28 blocks (ceiling of a 28 x 28 map)", [lambda image: grid_labels(*image.shape[:2], (28, 28))]),
        ("SLIC, compactness 20, request 290", [lambda image: slic_as_requested(image, 290)]),
        ("SLIC, compactness 20, matched to 196", [lambda image: slic_labels(image, NUM_SEGMENTS)]),
        ("Lab + xy, squared distance, t = 10", [_of_pixels("neg_sq_distance", 10, None)]),
        ("Lab + xy, dot product, t = 10", [_of_pixels("dot", 10, None)]),
        ("Lab + xy, cosine x 20, t = 10", [_of_pixels("cosine", 10, 20.0)]),
    ]


def _untrained_makers(photos: Sequence[Photo]) -> list[tuple[str, list[Maker]]]:
    """Super tokens of networks as they are drawn from each seed, and with BatchNorm fitted to the photos."""
    config = SuperTokensConfig()
    drawn = [build_model(config, img_size=224, num_classes=10, seed=seed).eval() for seed in SEEDS]
    fitted = [_fit_batch_norm(copy.deepcopy(model), photos) for model in drawn]
    return [
        (f"untrained{how}, {similarity}, t = {t}", [_of_model(model, similarity, t) for model in models])
        for how, models, similarity, t in (
            ("", drawn, "dot", 1),
            ("", drawn, "dot", 3),
            (", BatchNorm fitted", fitted, "dot", 1),
            (", BatchNorm fitted", fitted, "dot", 3),
            (", BatchNorm fitted", fitted, "neg_sq_distance", 3),
        )
    ]


@torch.no_grad()
def _fit_batch_norm(model: VisionTransformer, photos: Sequence[Photo]) -> VisionTransformer:
    """The model with the running statistics of its stem those of the photos, ten at a time; changes ``model``."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain mean over the batches
        norm.reset_running_stats()
    images = np.stack([fit_image(photo.image, 224, rule="stretch") for photo in photos])
    model.train()
    for batch in np.array_split(images, -(-len(images) // 10)):
        model.patch_embed.stem(to_tensor(batch, torch.device("cpu"), torch.float32))
    return model.eval()


def _trained_makers(run_name: str | None) -> list[tuple[str, list[Maker]]]:
    """Super tokens of a run; none when no run was named and the shipped one is not there yet."""
    try:
        model = load_model(find_run(run_name or DEFAULT_RUN))
    except Problem as problem:
        if run_name:
            raise
        print(f"without trained rows: {problem}", file=sys.stderr)
        return []
    return [
        (
            f"{run_name or DEFAULT_RUN}, {similarity}, t = {t}" + (f", fed {zoom}x" if zoom > 1 else ""),
            [_of_model(model, similarity, t, zoom)],
        )
        for zoom in (1, 2)
        for similarity, t in (("dot", 1), ("dot", 3), ("neg_sq_distance", 3), ("neg_sq_distance", 10))
    ]


def _of_pixels(similarity: str, num_iterations: int, scale: float | None) -> Maker:
    def make(image: np.ndarray) -> np.ndarray:
        features = features_of_pixels(image)
        chosen = features.scale if similarity == features.similarity else scale
        return _clustered(features, image, similarity, num_iterations, chosen)

    return make


def _of_model(model: VisionTransformer, similarity: str, num_iterations: int, zoom: int = 1) -> Maker:
    """Fed ``zoom`` times as large as the model was trained with, in cells that are larger by as much: as many super tokens."""
    side = model.grid[0] * model.patch_embed.stride

    def make(image: np.ndarray) -> np.ndarray:
        fed = fit_image(image, zoom * side, rule="stretch")
        features = features_of_run(model, fed, run_name="", zoom=zoom)
        features = dataclasses.replace(features, cell_size=zoom * features.cell_size)
        return _clustered(features, image, similarity, num_iterations, None)

    return make


def _clustered(
    features: Features, image: np.ndarray, similarity: str, num_iterations: int, scale: float | None
) -> np.ndarray:
    """Hard labels after ``num_iterations``, each picture pixel with the label of the feature pixel that it lies in."""
    clusters = cluster_pixels(
        torch.from_numpy(np.array(features.values))[None],
        cell_size=features.cell_size,
        num_iterations=num_iterations,
        similarity=similarity,
        scale=scale,
        keep=("association",),
    )
    labels = hard_labels(clusters.association, features.cell_size)[0].int().numpy()
    rows, columns = (np.arange(n) * m // n for n, m in zip(image.shape[:2], labels.shape, strict=True))
    return labels[rows[:, None], columns]


def _measure_row(figure: str, makers: Sequence[Maker], photos: Sequence[Photo]) -> Measured:
    raw, connected, seconds, per_seed = [], [], [], []
    for make in makers:
        for photo in photos:
            start = time.thread_time()
            labels = make(photo.image)
            joined = enforce_connectivity(labels)
            seconds.append(time.thread_time() - start)
            raw.append(score_segments(labels, photo.truths, photo.image))
            unchanged = raw[-1].num_labels == raw[-1].num_components == joined.max() + 1
            connected.append(raw[-1] if unchanged else score_segments(joined, photo.truths, photo.image))
        per_seed.append(statistics.mean(scores.asa for scores in raw[-len(photos) :]))
    spread = statistics.stdev(per_seed) if len(per_seed) > 1 else None
    return Measured(figure, _means(raw), _means(connected), statistics.mean(seconds), spread)


def _means(scores: Sequence[SegmentScores]) -> dict[str, float]:
    names = [field.name for field in dataclasses.fields(SegmentScores)]
    return {name: statistics.mean(getattr(one, name) for one in scores) for name in names}


def _print_row(row: Measured) -> None:
    spread = "" if row.asa_spread is None else f"  ASA +- {row.asa_spread:.4f} over {len(SEEDS)} seeds"
    print(f"{row.figure:44}{_cells(row.raw)}  |{_cells(row.connected)}  |{row.seconds:6.2f} s{spread}", flush=True)


def _cells(scores: dict[str, float]) -> str:
    shares = ("asa", "undersegmentation_error", "boundary_recall", "explained_variation")
    return "".join(f"{scores[name]:7.4f}" for name in shares) + "".join(
        f"{scores[name]:7.0f}" for name in ("num_labels", "num_components")
    )


def main() -> None:
    """Print the table, row by row, or with ``--json`` one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50, help="how many of the 100 photos")
    parser.add_argument("--run", help=f"the trained run; {DEFAULT_RUN} when it is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    try:
        rows = measure(options.images, options.run)
        if options.json:
            found = {"images": options.images, "rows": [dataclasses.asdict(row) for row in rows]}
            print(json.dumps(found))
            return
        head = f"{'ASA':>7}{'UE':>7}{'BR':>7}{'EV':>7}{'labels':>7}{'pieces':>7}"
        print(f"{'':44}{'as it comes':42}  |{' connectivity enforced':42}  |\n{'':44}{head}  |{head}  |  seconds")
        for row in rows:
            _print_row(row)
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
