"""Photographs that lie in the wheels of scikit-image and scikit-learn: shown without a network and without their loaders.

scikit-image's own functions may download what is missing; these files are opened where they lie, or are not offered.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from vitviz.data.images import DecodedImage, decode_image
from vitviz.errors import Problem


@dataclass(frozen=True)
class Photograph:
    """A bundled photograph: ``name`` for addresses, ``title`` and whose it is for captions, and the package's file."""

    name: str
    title: str
    credit: str
    package: str
    file: str


_BY_ATTRIBUTION = "CC BY 2.0"
_ALL = (
    Photograph("cat", "Chelsea the cat", "Stefan van der Walt, CC0", "skimage", "data/chelsea.png"),
    Photograph("coffee", "A cup of coffee", "Rachel Michetti, Pikolo Espresso Bar, CC0", "skimage", "data/coffee.png"),
    Photograph("astronaut", "Eileen Collins, astronaut", "NASA, public domain", "skimage", "data/astronaut.png"),
    Photograph("rocket", "Launch of a Falcon 9", "SpaceX, public domain", "skimage", "data/rocket.jpg"),
    Photograph(
        "temple", "A temple in China", f"danielbuechele, {_BY_ATTRIBUTION}", "sklearn", "datasets/images/china.jpg"
    ),
    Photograph("flower", "A flower", f"vultilion, {_BY_ATTRIBUTION}", "sklearn", "datasets/images/flower.jpg"),
    Photograph("cameraman", "A man with a camera, grey", "Lav Varshney, CC0", "skimage", "data/camera.png"),
    Photograph("galaxies", "Hubble's deep field", "NASA, public domain", "skimage", "data/hubble_deep_field.jpg"),
)


@lru_cache(maxsize=1)
def list_photographs() -> tuple[Photograph, ...]:
    """The photographs whose files are on this machine, the best known first."""
    return tuple(one for one in _ALL if _path(one).is_file())


def find_photograph(name: str) -> Photograph:
    """The photograph of that name. Raises: Problem when there is none."""
    found = {one.name: one for one in list_photographs()}
    if name not in found:
        raise Problem(f"there is no photograph named {name!r}", "", f"there are {', '.join(found) or 'none'}")
    return found[name]


def open_photograph(name: str, *, max_side: int | None = None) -> DecodedImage:
    """The photograph (H, W, 3) uint8, its long side at most ``max_side`` pixels. Raises: Problem when there is none."""
    found = find_photograph(name)
    return decode_image(_path(found), name=found.title, max_side=max_side)


def _path(photograph: Photograph) -> Path:
    """Where the file lies, found without importing the package; an unlikely place when the package is missing."""
    spec = find_spec(photograph.package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return Path(next(iter(folders), "/nowhere")) / photograph.file
