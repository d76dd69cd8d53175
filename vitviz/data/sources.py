"""A path to a data source: which kind of data set lies there, told by its name and the files in it."""

from pathlib import Path

from vitviz.data.archives import find_zip
from vitviz.data.arrays import find_mat
from vitviz.data.cifar_batches import find_batches
from vitviz.data.folders import find_folder
from vitviz.data.listing import Source
from vitviz.data.tables import find_parquet, find_parquet_folder
from vitviz.errors import Problem

KINDS = "a folder of images, a .zip of one, a .parquet or a .mat file"

_FILES = {".zip": find_zip, ".parquet": find_parquet, ".mat": find_mat}
_TAR = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def find_source(path: Path, name: str = "") -> Source:
    """The data set at ``path``, called ``name`` or else like its file. Raises Problem when it is of no kind that is read."""
    if path.is_dir():
        return _find_in_folder(path, name or path.absolute().name)
    if not path.exists():
        raise Problem(f"{path} could not be opened", "there is no such file or folder")
    if path.name.lower().endswith(_TAR):
        raise Problem(f"{path.name} is not read", "tar archives are not accepted", "unpack it, or make a .zip of it")
    if path.suffix.lower() not in _FILES:
        raise Problem(f"{path.name} is not read", "it is not a data set of a known kind", f"give {KINDS}")
    return _FILES[path.suffix.lower()](path, name or path.stem)


def _find_in_folder(path: Path, name: str) -> Source:
    for folder in (path, path / "cifar-10-batches-py"):
        if (folder / "data_batch_1").is_file():
            return find_batches(folder, name)
    if any(path.glob("*.parquet")):
        return find_parquet_folder(path, name)
    return find_folder(path, name)
