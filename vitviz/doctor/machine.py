"""The machine: Python, libraries, where tensors are computed, memory."""

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vitviz.doctor.findings import Finding

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
_LEAST_PYTHON = (3, 11)
_LEAST_MEMORY = 2 * 2**30
_INSTALL = "python -m pip install -r requirements.txt, or make app"


def check_python() -> Finding:
    """The interpreter is new enough."""
    what = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _LEAST_PYTHON:
        return Finding("python", "broken", what, "use Python 3.11 or newer")
    return Finding("python", "ok", what)


def check_libraries() -> Iterator[Finding]:
    """What requirements.txt names is installed, in the version it names."""
    if not REQUIREMENTS.exists():
        yield Finding("libraries", "hint", "there is no requirements.txt beside vitviz to compare with")
        return
    wanted = dict(re.findall(r"^([\w.-]+)==([\w.]+)", REQUIREMENTS.read_text(), re.MULTILINE))
    found = {name: _version(name) for name in wanted}
    missing = [name for name, version in found.items() if version is None]
    others = [
        f"{name} {found[name]} instead of {wanted[name]}" for name in wanted if found[name] not in (None, wanted[name])
    ]
    if missing:
        yield Finding("libraries", "broken", f"{', '.join(missing)} is missing", _INSTALL)
    if others:
        yield Finding("libraries", "hint", ", ".join(others), f"{_INSTALL}: other versions were not tried")
    if not missing and not others:
        yield Finding("libraries", "ok", f"all {len(wanted)} in the versions of requirements.txt")


def check_device() -> Iterator[Finding]:
    """torch, the device that ``auto`` takes, and whether bfloat16 is worth using on it."""
    try:
        import torch

        from vitviz.data.device import describe_device, gains_from_bfloat16, pick_device

        device = pick_device()
    except ImportError as error:
        yield Finding("torch", "broken", f"it cannot be imported: {_first_line(error)}", _INSTALL)
        return
    yield Finding("torch", "ok", torch.__version__)
    if torch.version.cuda and device.type != "cuda":
        do = "if there is one, look at its driver with nvidia-smi; else nothing: everything runs on the processor"
        yield Finding("device", "hint", f"{describe_device(device)}; torch was built for CUDA, but sees no GPU", do)
    else:
        yield Finding("device", "ok", describe_device(device))
    gains = "is faster" if gains_from_bfloat16(device) else "is not faster, so bfloat16=auto trains in float32"
    yield Finding("bfloat16", "ok", f"{gains} here")


def check_torchvision() -> Finding:
    """torchvision, which timm imports, can be imported, repaired where it does not fit torch."""
    from vitviz.nn.torchvision_import import import_torchvision, is_repaired

    try:
        version = import_torchvision().__version__
    except Exception as error:  # two builds that do not fit fail in many ways
        return Finding("torchvision", "broken", f"it cannot be imported: {_first_line(error)}", _INSTALL)
    if is_repaired():
        what = f"{version}, built for another torch; vitviz mends its import, and uses nothing that stays broken"
        return Finding("torchvision", "ok", what)
    return Finding("torchvision", "ok", version)


def check_memory() -> Finding:
    """There is memory for a page with a model, or for training a small one."""
    import psutil

    memory = psutil.virtual_memory()
    what = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB are free"
    if memory.available < _LEAST_MEMORY:
        return Finding("memory", "hint", what, "close other programs, or train with a smaller batch_size")
    return Finding("memory", "ok", what)


def check_browser() -> Finding:
    """What cannot be seen from here."""
    what = "the map of rounds draws with WebGL2, and slower without"
    return Finding("browser", "ok", what, "when it is slow, look at chrome://gpu or about:support")


def check_chromium(place: Path = Path("/usr/bin/chromium")) -> Finding:
    """The browser that the tests drive."""
    if place.exists():
        return Finding("chromium", "ok", f"{place}, for the tests that drive a browser")
    return Finding(
        "chromium", "hint", f"{place} is missing: the tests that drive a browser are skipped", "needed for nothing else"
    )


def _version(name: str) -> str | None:
    """As it was published, without the part behind ``+`` that tells builds apart; None when it is not installed."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
