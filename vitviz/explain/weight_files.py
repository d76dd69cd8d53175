"""The tensors of a file of weights that somebody gave, within bounds, and without running anything the file says.

Two formats are read. safetensors has nothing to run. What ``torch.save`` writes is a pickle in a zip archive: the pickle's
opcodes are listed first, without performing them, and only if all they name is tensors is it opened, by
``torch.load(weights_only=True)``. Older pickles, which are no archive, are named and refused.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

MAX_BYTES = 2 * 2**30
MAX_TENSORS = 20_000
_MAX_HEADER = 2**20  # of a safetensors file: names, types, shapes; a ViT with 24 blocks takes 40 kB
_MAX_PICKLE = 8 * 2**20  # of data.pkl, which holds names and shapes but no numbers
_MAX_DEPTH = 5
_MAX_NAME = 500
_KINDS = ["Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool"]
_TENSOR_NAMES = {
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in _KINDS),
    *(f"torch {dtype}" for dtype in ("float16", "bfloat16", "float32", "float64")),
}
_OTHER_WAYS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}


def read_weights(weights: bytes | Path, name: str = "") -> dict[str, torch.Tensor]:
    """The tensors by name, on the CPU; those of nested dictionaries as ``outer.inner.name``, what is no tensor left out.

    Every one is dense, and no larger than what is stored for it; whether its numbers are finite is for the one who uses it.

    Args:
        weights: the content of the file, or where it lies.
        name: what errors call it; the file's name when empty.

    Raises: Problem, a ValueError, for anything but a safetensors file or an archive of ``torch.save`` that holds tensors and
        plain values alone, is at most 2 GiB, and has at most 20,000 of them.
    """
    name = name or (weights.name if isinstance(weights, Path) else "the weights")
    content = weights if isinstance(weights, bytes) else _content(weights, name)
    _check_size(len(content), name)
    if _is_safetensors(content):
        found = _read_safetensors(content, name)
    elif content.startswith(b"PK\x03\x04"):
        found = dict(_named_tensors(_read_archive(content, name), "", name))
    elif content.startswith((b"PK", b"\x80")):
        what = "the weights are a pickle" if name == "the weights" else f"{name} is a pickle"
        raise Problem(what, "opening one can run code", "save its tensors as safetensors")
    else:
        raise Problem(f"{name} could not be read", "it is not a safetensors file, nor one that torch.save wrote")
    if not found:
        raise Problem(f"{name} cannot be used", "there are no tensors with names")
    if len(found) > MAX_TENSORS:
        raise Problem(f"{name} cannot be opened", f"more than {MAX_TENSORS:,} tensors")
    if max(map(len, found)) > _MAX_NAME:
        raise Problem(f"{name} cannot be opened", f"a tensor's name is longer than {_MAX_NAME} characters")
    return found


def _content(path: Path, name: str) -> bytes:
    try:
        _check_size(path.stat().st_size, name)
        return path.read_bytes()
    except OSError as error:
        raise Problem(f"{name} could not be read", error.strerror or "") from error


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise Problem(f"{name} cannot be opened", f"{size / 2**30:.1f} GiB, at most {MAX_BYTES / 2**30:.0f} are read")


def _is_safetensors(content: bytes) -> bool:
    """Whether the first eight bytes are the length of a header that is there; those of the other formats are too large."""
    return content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8


def _read_safetensors(content: bytes, name: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    header = int.from_bytes(content[:8], "little")
    if header > _MAX_HEADER:
        raise Problem(f"{name} could not be read", f"a header of {header / 2**20:.1f} MiB, at most 1 is read")
    try:
        return load(content)
    except Exception as error:  # the reader of safetensors raises its own errors, and KeyError on a new dtype
        raise Problem(f"{name} could not be read", "it begins as a safetensors file, but is damaged") from error


def _read_archive(content: bytes, name: str) -> object:
    """What ``torch.save`` saved, once it is known that it is made of tensors and plain values."""
    import torch

    _check_names(_pickle_of(content, name), name)
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged archives raise anything from RuntimeError to struct.error
        raise Problem(f"{name} could not be read", "the archive is damaged") from error


def _pickle_of(content: bytes, name: str) -> bytes:
    """The archive's one pickle, after its members were found to be stored as they are, and together no larger than the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise Problem(f"{name} cannot be opened", "it is compressed, which torch.save never does")
            if sum(member.file_size for member in members) > len(content):
                raise Problem(f"{name} cannot be opened", "unpacked it is larger than the file")
            pickles = [member for member in members if member.filename.endswith("/data.pkl")]
            # zipfile and torch must find the same directory: nothing may follow its end
            if len(pickles) != 1 or content[-22:-18] != b"PK\x05\x06":
                raise zipfile.BadZipFile
            if pickles[0].file_size > _MAX_PICKLE:
                raise Problem(f"{name} cannot be opened", f"a list of contents above {_MAX_PICKLE >> 20} MiB")
            return archive.read(pickles[0])
    except Problem:
        raise
    except Exception as error:  # a damaged directory makes zipfile raise anything from BadZipFile to UnicodeDecodeError
        raise Problem(f"{name} could not be read", "it is not an archive that torch.save wrote") from error


def _check_names(pickled: bytes, name: str) -> None:
    """Raises: Problem when the pickle names anything to call but what tensors are made with. Nothing is performed."""
    hint = "save its state_dict alone, or its tensors as safetensors"
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL" and argument not in _TENSOR_NAMES:
                what = argument.replace(" ", ".")
                raise Problem(f"{name} cannot be opened", f"beside tensors there is {what}, which is code to run", hint)
            if opcode.name in _OTHER_WAYS:
                raise Problem(f"{name} cannot be opened", f"there is more than tensors ({opcode.name})", hint)
    except Problem:
        raise
    except Exception as error:  # genops raises anything from ValueError to UnicodeDecodeError
        raise Problem(f"{name} could not be read", "its list of contents is damaged") from error


def _named_tensors(
    value: object, prefix: str, name: str, depth: int = 0, seen: set[int] | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor under a text key, by the path to it. A dictionary that stands in several places is read in the first."""
    import torch

    seen = set() if seen is None else seen
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    for key, inner in value.items():
        if isinstance(key, str) and isinstance(inner, torch.Tensor):
            _check_tensor(inner, f"{prefix}{key}", name)
            yield f"{prefix}{key}", inner.detach()
        elif isinstance(key, str):
            yield from _named_tensors(inner, f"{prefix}{key}.", name, depth + 1, seen)


def _check_tensor(tensor: torch.Tensor, key: str, name: str) -> None:
    """Raises: Problem for a tensor that claims more than is stored, or is not plain numbers on the CPU."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise Problem(f"{name} cannot be opened", f"{key[:80]} is no dense tensor")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise Problem(f"{name} cannot be opened", f"{key[:80]} claims more numbers than are stored")
