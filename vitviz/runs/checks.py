"""Whether the files of a run that belong to no round are as they were written."""

import zipfile
from pathlib import Path

from vitviz.runs import tensors

CHECKED_FILES = (
    "samples.npz",
    "projection.npz",
    "coefficients.npz",
    "weights.safetensors",
    "resume.safetensors",
    "start.safetensors",
)
"""Those that carry a sum of their bytes: a CRC of each array in an .npz, a sha256 among the notes of the others."""


def is_damaged(path: Path) -> bool:
    """Whether the file's bytes are not those that were written. One that was written without a sum counts when it opens."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is not None
        tensors.load(path)
    except Exception:  # a damaged file raises anything
        return True
    return False
