"""Faults of every kind: in a quick form always; in a long one, which prints what it measured, with ``pytest -m full``."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

Mutate = Callable[[bytes, np.random.Generator], bytes]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> None:
    """Runs, caches and data sets lie in the folder of the test."""
    for name in ("runs", "cache", "data"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))


@pytest.fixture
def tell(capsys) -> Callable[[str], None]:
    """``tell("a line")``: into the report of the long form, which pytest would otherwise keep to itself."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    return write


@pytest.fixture(scope="session")
def mutants() -> Callable[..., Iterator[bytes]]:
    """``mutants(contents, 100, seed=0, near=60)``: as many contents with a few bytes changed, cut, doubled, moved or put in.

    ``near``: most changes fall into the first and last so many bytes, where formats say what they are.
    """

    def make(contents: list[bytes], number: int, *, seed: int, near: int = 64) -> Iterator[bytes]:
        for index in range(number):
            random = np.random.default_rng((seed, index))
            content = contents[index % len(contents)]
            for _ in range(random.integers(1, 4)):
                content = _CHANGES[random.integers(len(_CHANGES))](content, random, near)
            yield content

    return make


def _place(content: bytes, random: np.random.Generator, near: int) -> int:
    low, high = [(0, near), (len(content) - near, len(content)), (0, len(content))][random.integers(3)]
    return int(random.integers(max(low, 0), max(min(high, len(content)), 1)))


def _change_bytes(content: bytes, random: np.random.Generator, near: int) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(random.integers(1, 7)):
        changed[_place(bytes(changed), random, near)] = random.integers(256)
    return bytes(changed)


def _change_number(content: bytes, random: np.random.Generator, near: int) -> bytes:
    """An edge of what fits into one, two or four bytes, where a size may stand."""
    size = int(random.choice([1, 2, 4]))
    value = int(random.choice([0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1]))
    place = _place(content, random, near)
    return content[:place] + value.to_bytes(size, random.choice(["little", "big"])) + content[place + size :]


def _cut(content: bytes, random: np.random.Generator, near: int) -> bytes:
    return content[: _place(content, random, near)]


def _double(content: bytes, random: np.random.Generator, near: int) -> bytes:
    start, length = _place(content, random, near), int(random.integers(1, 200))
    return content[: start + length] + content[start:]


def _drop(content: bytes, random: np.random.Generator, near: int) -> bytes:
    start, length = _place(content, random, near), int(random.integers(1, 40))
    return content[:start] + content[start + length :]


def _put_in(content: bytes, random: np.random.Generator, near: int) -> bytes:
    place = _place(content, random, near)
    return content[:place] + random.bytes(int(random.integers(1, 40))) + content[place:]


_CHANGES = (_change_bytes, _change_bytes, _change_bytes, _change_number, _change_number, _cut, _double, _drop, _put_in)
