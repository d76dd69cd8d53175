"""Open a data set by its name or its path: the one door to images for everything above.

The size of the images is asked for or chosen: a named set has its own, any other keeps the square size its images share
(8 to 256 pixels), or else 64. Images of another size are resized to it by their shorter side and cropped at the centre.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vitviz.config import unknown_name
from vitviz.data.arrays import find_digits
from vitviz.data.cache import open_decoded
from vitviz.data.decoding import Progress, Request, own_size
from vitviz.data.image_set import ImageSet, LoadReport
from vitviz.data.listing import Source
from vitviz.data.sources import find_source
from vitviz.errors import Problem

__all__ = ["SETS", "ImageSet", "LoadReport", "NamedSet", "data_folder", "open_image_set"]

MIN_SIZE, MAX_SIZE = 8, 1024


@dataclass(frozen=True)
class NamedSet:
    """A data set with a name: what it is, its usual size in pixels, and how it comes to this machine."""

    name: str
    title: str
    description: str
    img_size: int
    how_to_get: str
    find: Callable[[], Source | None]

    def available(self) -> bool:
        """Whether the data set is on this machine."""
        return self.find() is not None

    def load(
        self, img_size: int | None = None, *, limit: int | None = None, progress: Progress | None = None
    ) -> ImageSet:
        """The images, at ``self.img_size`` unless another is given. Raises Problem when they are not on this machine."""
        source = self.find_here()
        size = self.img_size if img_size is None else img_size
        return open_decoded(source, Request(_check_size(size), _check_limit(limit), progress))

    def find_here(self) -> Source:
        """Where it lies, not yet looked into. Raises Problem when it is not on this machine."""
        source = self.find()
        if source is None:
            why = f"the data folder has no {self.name}; VITVIZ_DATA names the folder to look in"
            hint = f"get it with 'python -m vitviz data get {self.name}': {self.how_to_get}"
            raise Problem(f"the data set '{self.name}' is not on this machine", why, hint)
        return source


def data_folder() -> Path:
    """Where named data sets lie: ``VITVIZ_DATA``, else ``vitviz/data`` in the user's cache folder."""
    given = os.environ.get("VITVIZ_DATA")
    return Path(given).expanduser() if given else _user_cache() / "vitviz" / "data"


def open_image_set(
    source: str | Path, *, img_size: int | None = None, limit: int | None = None, progress: Progress | None = None
) -> ImageSet:
    """The images of a data set, all of one size.

    Args:
        source: a name in ``SETS``; or the path of a folder with one subfolder per class (or ``train`` and ``test`` or
            ``val`` folders of them, or just images), a .zip of such a folder, a .parquet file or a folder of them, a
            .mat file with ``fea`` and ``gnd``, or CIFAR-10's original ``cifar-10-batches-py``.
        img_size: the side in pixels, 8 to 1024; see the head of this file for the default.
        limit: use about this many images: a fixed choice that keeps the proportions of the classes and of the test part.
        progress: called with (images decoded, images in all); not at all when the decoded images are in the cache.

    Raises: Problem when the source is unknown or missing, holds no image, or more than 1 % of its images are unreadable.
        Up to 1 % are left out, and the report lists every one.
    """
    if isinstance(source, str) and source in SETS:
        return SETS[source].load(img_size, limit=limit, progress=progress)
    found = find_images(source)
    size = own_size(found.list_images()) if img_size is None else _check_size(img_size)
    return open_decoded(found, Request(size, _check_limit(limit), progress))


def find_images(source: str | Path) -> Source:
    """What lies under that name or path, not yet looked into. Raises Problem when there is nothing of a kind that is read."""
    if isinstance(source, str) and source in SETS:
        return SETS[source].find_here()
    path = Path(source).expanduser()
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        raise unknown_name("data set", str(source), list(SETS))
    return find_source(path)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _check_size(img_size: int) -> int:
    if not MIN_SIZE <= img_size <= MAX_SIZE:
        raise Problem(f"img_size={img_size} must be {MIN_SIZE} to {MAX_SIZE} pixels")
    return img_size


def _check_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise Problem(f"limit={limit} must be at least 1")
    return limit


def _find_by_marker(name: str, *markers: str) -> Source | None:
    """The named set in the data folder, known by a file that it must have; its folder, or a .mat file itself, is opened."""
    for marker in markers:
        path = data_folder() / marker
        if path.is_file():
            return find_source(path if path.suffix == ".mat" else path.parent, name)
    return None


_DIGITS = NamedSet(
    name="digits",
    title="Handwritten digits",
    description="1,797 grey 8 x 8 images of the digits 0 to 9, enlarged to 32 x 32; they ship with scikit-learn (BSD).",
    img_size=32,
    how_to_get="it ships with scikit-learn",
    find=find_digits,
)
_CIFAR10 = NamedSet(
    name="cifar10",
    title="CIFAR-10",
    description="60,000 photographs of 32 x 32 in 10 classes, 10,000 of them held out as its test part "
    "(Krizhevsky, 2009; no licence stated).",
    img_size=32,
    how_to_get="it is downloaded from its author's site, about 170 MB",
    find=functools.partial(
        _find_by_marker,
        "cifar10",
        "cifar10/train.parquet",
        "cifar10/cifar-10-batches-py/data_batch_1",
        "cifar-10-batches-py/data_batch_1",
    ),
)
_COIL20 = NamedSet(
    name="coil20",
    title="COIL-20 objects",
    description="1,440 grey images of 32 x 32: 20 objects, each turned through 72 positions "
    "(Nene, Nayar and Murase, 1996; for research).",
    img_size=32,
    how_to_get="put COIL20.mat, the processed images with arrays 'fea' and 'gnd', into the folder coil20 of VITVIZ_DATA",
    find=functools.partial(_find_by_marker, "coil20", "coil20/COIL20.mat"),
)
_CLOTHING = NamedSet(
    name="clothing",
    title="Clothing",
    description="3,781 photographs of clothes in 10 unbalanced classes, 372 of them held out as its test part "
    "(clothing-dataset-small; free for any use).",
    img_size=64,
    how_to_get="put train, validation and test.parquet of clothing-dataset-small into the folder clothing of VITVIZ_DATA",
    find=functools.partial(_find_by_marker, "clothing", "clothing/train.parquet"),
)

SETS: dict[str, NamedSet] = {known.name: known for known in (_DIGITS, _CIFAR10, _COIL20, _CLOTHING)}
