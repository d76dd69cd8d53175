"""Where tensors are computed: chosen once by name, then passed as an argument."""

from __future__ import annotations

import functools
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

_MIN_GAIN = 1.15


def pick_device(name: str = "auto") -> torch.device:
    """The device called ``name`` ("cpu", "cuda", "cuda:1", "mps"); ``auto`` takes CUDA, else MPS, else the CPU.

    Raises: Problem when the name is unknown or this machine has no such device.
    """
    import torch

    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _count_devices(kind)))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise _no_device(name, "no device has that name") from None
    count = _count_devices(device.type)
    if (device.index or 0) >= count:
        raise _no_device(name, f"this machine has {count or 'no'} {device.type} device{'s' if count > 1 else ''}")
    return device


def describe_device(device: torch.device) -> str:
    """The device in words, e.g. ``"CPU, AMD EPYC, 2 threads"`` or ``"CUDA, NVIDIA H200"``."""
    import torch

    if device.type == "cuda":
        return f"CUDA, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"CPU, {_cpu_name()}, {torch.get_num_threads()} threads"
    return f"{device.type.upper()}, {platform.processor() or platform.machine()}"


def gains_from_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is worth using: on CUDA from compute capability 8, on a CPU when it multiplies 1.15 times faster.

    The CPU is timed once per process (about 0.1 s), float32 and bfloat16 in turns. float16 is never considered: CPUs
    emulate it.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and _cpu_bfloat16_gain() >= _MIN_GAIN


def _count_devices(kind: str) -> int:
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")


def _no_device(name: str, why: str) -> Problem:
    return Problem(f"device '{name}' cannot be used", why, "choose auto, cpu, cuda or mps")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@functools.cache
def _cpu_bfloat16_gain() -> float:
    """How many times faster bfloat16 multiplies (1024, 512) by (512, 512) matrices: the median of seven pairs."""
    import torch

    pairs = {dtype: (torch.ones(1024, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)) for dtype in _dtypes()}
    ratios = []
    for _ in range(8):
        seconds = [_time_product(*pairs[dtype]) for dtype in _dtypes()]
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])  # the first pair warms up


def _dtypes() -> tuple[torch.dtype, torch.dtype]:
    import torch

    return torch.float32, torch.bfloat16


def _time_product(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    for _ in range(2):
        left @ right
    return time.perf_counter() - start
