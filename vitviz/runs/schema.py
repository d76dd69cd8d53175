"""The version of the run folder: older records are brought up to date on reading, newer ones are refused by name."""

import typing
from collections.abc import Callable
from typing import Any

from vitviz.errors import Problem
from vitviz.runs.records import Description

SCHEMA = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Version n to the function that turns its ``run.json`` record into one of version n + 1."""


def migrate(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """``record`` in the present schema. Raises Problem for a newer schema, or none at all."""
    version = record.get("schema")
    if not isinstance(version, int):
        raise Problem(f"run '{name}' cannot be read", "its run.json names no schema version")
    if version > SCHEMA:
        raise Problem(
            f"run '{name}' was made by a newer vitviz (schema {version}, this one reads {SCHEMA})", "", "update vitviz"
        )
    while version < SCHEMA:
        if version not in MIGRATIONS:
            raise Problem(f"run '{name}' cannot be read", f"its run.json names schema {version}, which there never was")
        record = MIGRATIONS[version](record)
        version += 1
    return {**record, "schema": SCHEMA}


def check_kinds(description: Description) -> Description:
    """``description``, whose values came from a file that anybody may have written. Raises TypeError for one of another kind."""
    for name, hint in typing.get_type_hints(Description).items():
        value, kind = getattr(description, name), typing.get_origin(hint) or hint
        if type(value) is not kind or (kind is tuple and not all(isinstance(one, str) for one in value)):
            raise TypeError(f"{name} must be {_KINDS[kind]}")
    if not 1 <= description.img_size <= _MAX_SIZE:
        raise TypeError(f"img_size must be 1 to {_MAX_SIZE}")
    return description


_MAX_SIZE = 1024
_KINDS = {int: "a whole number", str: "text", dict: "a table", tuple: "a list of texts"}
