"""The process that decodes what somebody gave, and the messages that go to and from it.

A message is two lengths, a header in JSON and plain bytes, never a pickle: whoever takes the child over can send pixels and
sentences, no more. The child bounds itself: little memory, a few seconds a file, others first. It ends when its socket does,
so never outlives the server (a death signal would be sent by the end of the thread that started it, and macOS has none).

``python -m vitviz.data.decoding_child`` is started by :mod:`vitviz.data.decoding_apart`, with a socket as its standard input.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vitviz.data.ground_truth import read_ground_truth
from vitviz.data.images import decode_image
from vitviz.errors import Problem

MEMORY = 2**30
"""Bytes of address space; Python, numpy and Pillow take 120 MB of it."""
NICENESS = 5

_MAX_HEADER, _MAX_BODY = 2**16, 2**28
_LENGTHS = struct.Struct("<II")

Answer = tuple[list[np.ndarray], tuple[str, ...]]
"""Pictures (H, W, 3) uint8 or maps of labels (H, W) int32, and notes."""


def send_message(connection: socket.socket, header: dict[str, Any], body: Iterable[Any] = ()) -> None:
    """Send a header and a body of bytes or C-contiguous arrays."""
    packed, parts = json.dumps(header).encode(), [memoryview(part).cast("B") for part in body]
    connection.sendall(_LENGTHS.pack(len(packed), sum(len(part) for part in parts)) + packed)
    for part in parts:
        connection.sendall(part)


def receive_message(connection: socket.socket, seconds: float | None = None) -> tuple[dict[str, Any], bytearray]:
    """The next header and body.

    Raises: EOFError when the other side is gone, TimeoutError after ``seconds``, ValueError for what is no message.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    header_length, body_length = _LENGTHS.unpack(_read(connection, _LENGTHS.size, deadline))
    if header_length > _MAX_HEADER or body_length > _MAX_BODY:
        raise ValueError("a message beyond all bounds")
    header = json.loads(_read(connection, header_length, deadline))
    if not isinstance(header, dict):
        raise ValueError("a message without a header")
    return header, _read(connection, body_length, deadline)


def serve(connection: socket.socket) -> None:
    """Answer one request after another, until the other side is gone."""
    send_message(connection, {"ready": True})
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            header, content = receive_message(connection)
            signal.setitimer(signal.ITIMER_REAL, header["seconds"])
            answer, arrays = _answer(header, bytes(content))
            signal.setitimer(signal.ITIMER_REAL, 0)
            send_message(connection, answer, arrays)


def _read(connection: socket.socket, length: int, deadline: float | None) -> bytearray:
    content, done = bytearray(length), 0
    while done < length:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 1e-3))
        got = connection.recv_into(memoryview(content)[done:])
        if not got:
            raise EOFError
        done += got
    return content


def _answer(header: dict[str, Any], content: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    name = header["name"]
    try:
        arrays, notes = TASKS[header["task"]](content, name, **header["settings"])
    except MemoryError:
        return {"problem": [f"{name} could not be read", "there is not enough memory for it", ""]}, []
    except Problem as problem:
        return {"problem": [problem.what, problem.why, problem.hint]}, []
    arrays = [np.ascontiguousarray(array) for array in arrays]
    return {"arrays": [array.shape for array in arrays], "notes": notes}, arrays


def _decode(content: bytes, name: str, max_side: int) -> Answer:
    decoded = decode_image(content, name=name, max_side=max_side)
    return [decoded.pixels], decoded.notes


def _read_truths(content: bytes, name: str) -> Answer:
    return list(read_ground_truth(content, name=name)), ()


TASKS: dict[str, Callable[..., Answer]] = {"image": _decode, "ground_truth": _read_truths}
"""What the child can be asked: a function of a file's content, its name and plain settings."""


def _bound_this_process() -> None:
    """An alarm ends it, an interrupt meant for the server does not."""
    os.nice(NICENESS)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS does not bound the address space
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    from PIL import Image

    _bound_this_process()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # what is too large gets a sentence
    serve(socket.socket(fileno=0))
