"""Out of memory, told as what was needed, what there was, and what would fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50, "EiB": 2**60}
# torch on a CPU, on CUDA, and numpy
_ASKED = re.compile(r"(?:tried to allocate|Tried to allocate|Unable to allocate) ([\d.]+) (\w+)")
_REFUSED = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is torch's or numpy's way of saying that there is no memory left."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _REFUSED)


def memory_problem(where: str, error: BaseException, device: torch.device, hint: str) -> Problem:
    """``where`` it happened, how much was asked for at once, how much is available on the ``device``, and the ``hint``."""
    asked, there = _asked_bytes(error), available_bytes(device)
    needed = "" if asked is None else f"{in_words(asked)} more were needed at once, "
    return Problem(where, f"out of memory ({needed}{in_words(there)} are available)", hint)


def available_bytes(device: torch.device) -> int:
    """What is free on a CUDA device, else what this machine could still give."""
    import psutil
    import torch

    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def in_words(num_bytes: float) -> str:
    """A number of bytes to two digits: ``3.2 GiB``."""
    unit = next((word for word in list(_UNITS)[:0:-1] if num_bytes >= _UNITS[word]), "bytes")
    return f"{num_bytes / _UNITS[unit]:.{0 if unit == 'bytes' else 1}f} {unit}"


def batch_hint(batch_size: int, try_batch: Callable[[int], None], *, num_ranks: int = 1) -> str:
    """What to do about a batch that does not fit: ``try_batch`` is called with half of it, and half of that, until one does.

    ``batch_size`` and what is tried are one process's part of ``num_ranks``; what is told is the whole batch.
    """
    size = batch_size // 2
    while size:
        try:
            try_batch(size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            size //= 2
        else:
            return f"set batch_size={size * num_ranks}, which fits"
    return "not even one image fits: choose smaller images or a smaller network"


def _asked_bytes(error: BaseException) -> int | None:
    found = _ASKED.search(str(error))
    return int(float(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else None
