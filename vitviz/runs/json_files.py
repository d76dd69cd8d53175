"""The JSON files of a run, read so that a damaged one is named."""

import contextlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from vitviz.errors import Problem


@lru_cache(maxsize=64)
def read_records(path: Path, modified: int, size: int) -> list[dict[str, Any]]:
    """The lines of a file that was last changed then and is as long: a page asks for them several times in every rerun."""
    return _parse(path.read_text().splitlines())


@lru_cache(maxsize=1024)
def read_rounds(path: Path, modified: int, size: int) -> list[dict[str, Any]]:
    """Those of rounds alone: few, so a gallery of all runs keeps them, and need not read a thousand epochs each."""
    lines = [line for line in path.read_text().splitlines() if '"round"' in line]
    return [record for record in _parse(lines) if record["kind"] == "round"]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a run. Raises Problem, naming the run and the file, when there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"run '{path.parent.name}' cannot be read", f"{path.name} is damaged or missing") from error
    if not isinstance(value, dict):
        raise Problem(f"run '{path.parent.name}' cannot be read", f"{path.name} holds no settings")
    return value


def _parse(lines: Iterable[str]) -> list[dict[str, Any]]:
    """One record a line; a line that was cut short is left out."""
    records = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records
