"""What somebody gave in the app, decoded in a process of its own: an overflow in a decoder meets no data and ends no server.

One child (:mod:`vitviz.data.decoding_child`) serves all sessions. It starts with the first picture, and again after a file
has ended it. What it answers is checked before it is used.
"""

import atexit
import contextlib
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vitviz.data.decoding_child import Answer, receive_message, send_message
from vitviz.data.ground_truth import MAX_TRUTHS
from vitviz.data.images import DecodedImage
from vitviz.errors import Problem

SECONDS = 5.0
"""What a file may take."""
MAX_MEGABYTES = 20
"""What a file may have; the server takes larger ones, of weights."""

_WAIT_SECONDS = 20.0
_START_SECONDS = 60.0  # a busy machine may take long to import numpy
_SPARE_SECONDS = 2.0  # beyond the child's own alarm: for sending and receiving
_MAX_NAME = 300
_MAX_NOTES, _MAX_WORDS = 16, 1000
_EXPECTED = {"image": ("|u1", 3, 1), "ground_truth": ("<i4", 2, MAX_TRUTHS)}  # type, axes and number of the arrays
_NOTE = re.compile(r"[A-Za-z0-9 ()-]+")  # pages show notes as they are: nothing that could be a link
_PROJECT = Path(__file__).resolve().parents[2]


def decode_image_apart(content: bytes, *, name: str, max_side: int) -> DecodedImage:
    """What ``decode_image`` makes of an image file's content, made by the child that all sessions share.

    Raises: Problem as ``decode_image`` does; and when the file ends the decoder, takes longer than ``SECONDS``, needs more than
        the child's memory, or others are waited for too long.
    """
    (pixels,), notes = _shared_child().ask("image", content, name=name, max_side=max_side)
    return DecodedImage(pixels, notes)


def read_ground_truth_apart(content: bytes, *, name: str) -> tuple[np.ndarray, ...]:
    """What ``read_ground_truth`` makes of a file's content, made by the same child. Raises Problem as it does, and as above."""
    maps, _ = _shared_child().ask("ground_truth", content, name=name)
    return tuple(maps)


class DecodingChild:
    """A process that decodes, started when it is first asked and again when it has died. Safe to share between threads.

    seconds: what a file may take; wait_seconds: how long to stand in line for the child.
    """

    def __init__(self, *, seconds: float = SECONDS, wait_seconds: float = _WAIT_SECONDS):
        self._seconds, self._wait_seconds = seconds, wait_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def ask(self, task: str, content: bytes, *, name: str, **settings: Any) -> Answer:
        """What ``decoding_child.TASKS[task]`` makes of ``content``. Raises Problem as ``decode_image_apart`` does."""
        name = name[:_MAX_NAME]
        if len(content) > MAX_MEGABYTES * 2**20:
            raise Problem(f"{name} was not read", f"{len(content) / 2**20:.1f} MB, at most {MAX_MEGABYTES} are read")
        header = {"task": task, "name": name, "settings": settings, "seconds": self._seconds}
        if not self._lock.acquire(timeout=self._wait_seconds):
            raise Problem(f"{name} was not read", "this server is busy with other files", "try again in a moment")
        try:
            return self._ask_twice(header, content)
        except _Ended as error:
            raise Problem(f"{name} could not be read", "it ended the program that decodes", "save it anew") from error
        except TimeoutError as error:
            why = f"decoding it takes longer than {self._seconds:g} seconds"
            raise Problem(f"{name} could not be read", why, "make it smaller, or save it anew") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    def _ask_twice(self, header: dict[str, Any], content: bytes) -> Answer:
        """By a new child if the one that was there ends: an earlier file may have harmed it, and this one may be innocent."""
        was_there = self.pid is not None
        try:
            return self._exchange(header, content)
        except _Ended:
            if not was_there:
                raise
        return self._exchange(header, content)

    def _exchange(self, header: dict[str, Any], content: bytes) -> Answer:
        """Ask and await the answer. Raises TimeoutError, _Ended, and the Problem that the child found."""
        if self.pid is None:
            self._start()
        seconds = self._seconds + _SPARE_SECONDS
        try:
            self._socket.settimeout(seconds)
            send_message(self._socket, header, [content])
            found = check_answer(header["task"], *receive_message(self._socket, seconds))
        except TimeoutError:
            self.close()
            raise
        except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
            raise self._how_it_ended() from error
        if isinstance(found, Problem):
            raise found
        return found

    def _start(self) -> None:
        """A new child that is ready, of this very project whatever the working folder is."""
        self.close()
        ours, theirs = socket.socketpair()
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-P", "-m", "vitviz.data.decoding_child"]
        with theirs:
            self._socket = ours
            self._process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, env=environment)
        try:
            receive_message(ours, _START_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise RuntimeError("the program that decodes did not start") from error

    def _how_it_ended(self) -> Exception:
        """Of a child that is gone or sends nonsense: whether its own alarm ended it, or the file."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        self.close()
        return TimeoutError() if code == -signal.SIGALRM else _Ended(f"it ended with {code}")


def check_answer(task: str, answer: dict[str, Any], body: bytearray) -> Answer | Problem:
    """What an answer of the child says. Raises ValueError, TypeError or KeyError for what no honest one sends."""
    if "problem" in answer:
        return Problem(*_words(answer["problem"], at_most=3))
    dtype, num_axes, most = _EXPECTED[task]
    if not 1 <= len(answer["arrays"]) <= most:
        raise ValueError("another number of arrays")
    arrays, start = [], 0
    for shape in answer["arrays"]:
        if len(shape) != num_axes or shape[2:] not in ([], [3]) or not all(_is_side(number) for number in shape):
            raise ValueError("no picture or map of labels")
        arrays.append(np.frombuffer(body, dtype, math.prod(shape), start).reshape(shape))
        arrays[-1].flags.writeable = False
        start += arrays[-1].nbytes
    if start != len(body):
        raise ValueError("other bytes than the arrays'")
    notes = _words(answer["notes"], at_most=_MAX_NOTES)
    if not all(_NOTE.fullmatch(note) for note in notes):
        raise ValueError("no notes of decode_image")
    return arrays, notes


class _Ended(Exception):
    """The child ended without an answer, or sent what is none."""


def _is_side(number: Any) -> bool:
    return type(number) is int and 0 < number < 2**26


@lru_cache(maxsize=1)
def _shared_child() -> DecodingChild:
    child = DecodingChild()
    atexit.register(child.close)
    return child


def _words(values: Any, *, at_most: int) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > at_most or not all(isinstance(one, str) for one in values):
        raise ValueError("no sentences")
    return tuple(one[:_MAX_WORDS] for one in values)
