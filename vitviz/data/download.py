"""Fetch a named data set into the data folder."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from vitviz.config import unknown_name
from vitviz.data.sets import SETS, data_folder
from vitviz.errors import Problem


def download(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetch the data set ``name`` and return its folder; nothing half-written is left behind.

    ``progress`` is called with (files done, files in all). A set that is there already is not fetched again.

    Raises: Problem when the name is unknown, the set has no download (saying where to put it), or the network fails.
    """
    if name not in SETS:
        raise unknown_name("data set", name, list(SETS))
    source = SETS[name].find()
    if source is not None:
        return source.files[0].parent if source.files else data_folder()
    if name not in _FETCH:
        raise Problem(f"the data set '{name}' has no download", SETS[name].how_to_get)
    if progress:
        progress(0, 1)
    folder = _fetch_whole(name, _FETCH[name])
    if progress:
        progress(1, 1)
    return folder


def _fetch_whole(name: str, fetch: Callable[[Path], Path]) -> Path:
    """Fetch into a temporary folder of the data folder and rename what ``fetch`` returns to its place."""
    place = data_folder() / name
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=data_folder()) as temporary:
            fetched = fetch(Path(temporary))
            target = place / fetched.name
            shutil.rmtree(target, ignore_errors=True)
            os.replace(fetched, target)
            return target
    except (OSError, RuntimeError) as error:
        why = str(error) or type(error).__name__
        raise Problem(
            f"the data set '{name}' could not be fetched", why, "check the network and the folder named by VITVIZ_DATA"
        ) from error
    finally:
        _remove_if_empty(place)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _fetch_cifar10(folder: Path) -> Path:
    """CIFAR-10 by torchvision, which verifies the archive's md5 before it unpacks it."""
    from vitviz.nn.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.datasets import CIFAR10

    CIFAR10(folder, download=True)
    return folder / CIFAR10.base_folder


_FETCH: dict[str, Callable[[Path], Path]] = {"cifar10": _fetch_cifar10}
