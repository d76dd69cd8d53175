"""A look through a MATLAB file before its reader: every size that it claims must be true.

scipy's reader trusts a file. Cells nested some ten thousand deep end the process, and a few kilobytes may inflate to gigabytes.
"""

import math
import struct
import zlib

MAX_DEPTH = 8
MAX_ARRAYS = 10_000

_HEADER, _MATRIX, _COMPRESSED = 128, 14, 15
_CELL, _STRUCT, _PLAIN = 1, 2, (4, *range(6, 16))  # array classes: 4 is text, 6..15 are numbers
_KINDS = (*range(1, 8), 9, 12, 13, 16, 17, 18)  # of the values of a plain element
_DAMAGED = "the file ends too early or is damaged"


def inflate_mat(content: bytes, *, max_bytes: int) -> bytes:
    """The content of a version 5 to 7 .mat file with nothing compressed, safe to hand to scipy's reader.

    Raises: ValueError with the reason when it is no such file, ends too early, claims more than it holds, inflates to more than
        ``max_bytes``, or has arrays other than numbers, text, cells and structs.
    """
    if content.startswith(b"MATLAB 7.3"):
        raise ValueError("it is of version 7.3; save it again with '-v7'")
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER - 2 : _HEADER])
    if not content.startswith(b"MATLAB 5.0") or order is None:
        raise ValueError("it is not a MATLAB file, or it is damaged")
    try:
        return content[:_HEADER] + b"".join(_variables(content, order, max_bytes))
    except (struct.error, zlib.error) as error:
        raise ValueError(_DAMAGED) from error


def _variables(content: bytes, order: str, max_bytes: int) -> list[bytes]:
    """Each variable as an uncompressed element, looked through."""
    variables, at, left = [], _HEADER, max_bytes
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        body = content[at + 8 : at + 8 + size]
        at += 8 + size
        if at > len(content) or len(variables) == MAX_ARRAYS:
            raise ValueError(_DAMAGED)
        if kind == _COMPRESSED:
            kind, body = _inflated(body, order, left)
        left -= len(body)
        if left < 0:
            raise ValueError(f"it holds more than {max_bytes / 2**20:.0f} MB")
        if kind != _MATRIX or not body:
            raise ValueError(_DAMAGED)
        _Walk(body, order).array(depth=0)
        variables.append(struct.pack(f"{order}II", _MATRIX, len(body)) + body)
    return variables


def _inflated(body: bytes, order: str, left: int) -> tuple[int, bytes]:
    """Kind and body of the element inside a compressed one; one byte more than ``left`` at most."""
    inflated = zlib.decompressobj().decompress(body, left + 9)
    return struct.unpack_from(f"{order}I", inflated)[0], inflated[8:]


class _Walk:
    """A place in the body of one variable, moved on past whole elements as the reader would."""

    def __init__(self, body: bytes, order: str):
        self.body, self.order, self.at, self.num_arrays = body, order, 0, 0

    def array(self, depth: int) -> None:
        """Past the flags, the dimensions, the name and the values of one array."""
        self.num_arrays += 1
        if depth > MAX_DEPTH or self.num_arrays > MAX_ARRAYS:
            raise ValueError(f"it holds cells in cells deeper than {MAX_DEPTH}, or more than {MAX_ARRAYS:,} arrays")
        flags = self._numbers(4)[2]
        kind, is_complex = flags & 0xFF, bool(flags & 0x800)
        length = self._length()
        self._element()
        if kind in _PLAIN:
            for _ in range(1 + is_complex):
                self._element()
        elif kind in (_CELL, _STRUCT):
            self._nested(length * (self._num_fields() if kind == _STRUCT else 1), depth)
        else:
            raise ValueError("it holds arrays other than numbers, text, cells and structs")

    def _nested(self, number: int, depth: int) -> None:
        for _ in range(number):
            kind, size = self._numbers(2)
            if kind != _MATRIX:
                raise ValueError(_DAMAGED)
            if size > 0:
                self.array(depth + 1)

    def _length(self) -> int:
        """The number of values that the dimensions say: no more than there are bytes left for."""
        sizes = self._element()
        dimensions = struct.unpack(f"{self.order}{len(sizes) // 4}i", sizes)
        if not 2 <= len(dimensions) <= 32 or min(dimensions) < 0 or math.prod(dimensions) > len(self.body) - self.at:
            raise ValueError("it claims more values than it holds")
        return math.prod(dimensions)

    def _num_fields(self) -> int:
        (name_length,) = struct.unpack(f"{self.order}i", self._element())
        names = self._element()
        if name_length < 1:
            raise ValueError(_DAMAGED)
        return len(names) // name_length

    def _numbers(self, count: int) -> tuple[int, ...]:
        values = struct.unpack_from(f"{self.order}{count}I", self.body, self.at)
        self.at += 4 * count
        return values

    def _element(self) -> bytes:
        """The data of a plain element, four bytes or fewer of which stand in its tag."""
        (kind,) = self._numbers(1)
        if kind >> 16:
            start, size, step = self.at, kind >> 16, 4
        else:
            (size,) = self._numbers(1)
            start, step = self.at, size + -size % 8
        if kind & 0xFFFF not in _KINDS or size > step:
            raise ValueError(_DAMAGED)
        if start + size > len(self.body):
            raise ValueError("it claims more values than it holds")
        self.at = start + step
        return self.body[start : start + size]
