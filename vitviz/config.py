"""Frozen dataclasses to plain values and back, with errors that name the nearest known setting.

A config is a ``@dataclass(frozen=True, kw_only=True)`` whose fields are ``int``, ``float``, ``bool``, ``str``, a ``Literal``
of those, an optional of those, or a tuple of those. Rules between fields stand in its ``__post_init__``.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from vitviz.errors import Problem

Config = TypeVar("Config")
Plain = bool | int | float | str | None | list

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def to_plain(config: Any) -> dict[str, Plain]:
    """The settings of ``config`` as JSON-ready values, in field order."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def from_plain(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a config from plain values; missing ones keep their defaults.

    Raises: Problem for an unknown name (naming the nearest known one), a wrong type, or a broken rule.
    """
    hints = typing.get_type_hints(config_class)
    known = [field.name for field in dataclasses.fields(config_class)]
    for name in values:
        if name not in known:
            raise unknown_name("setting", name, known)
    return config_class(**{name: _convert(name, value, hints[name]) for name, value in values.items()})


def parse_settings(config_class: type, assignments: list[str]) -> dict[str, Any]:
    """``["num-rounds=3", "alpha=0"]`` to ``{"num_rounds": 3, "alpha": 0.0}``, typed by the fields of ``config_class``."""
    hints = typing.get_type_hints(config_class)
    known = [field.name for field in dataclasses.fields(config_class)]
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise Problem(f"--set {assignment} is not a setting", "it has no '='", "write it as --set name=value")
        if name not in known:
            raise unknown_name("setting", name, known)
        values[name] = _convert(name, _read_text(text.strip(), hints[name]), hints[name])
    return values


def unknown_name(kind: str, name: str, known: list[str]) -> Problem:
    """The error for a name that is not among ``known``: it names the nearest one, or lists them all."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
    return Problem(f"unknown {kind} '{name}'", hint)


def _read_text(text: str, hint: Any) -> Any:
    if _allows_none(hint) and text.lower() in ("none", ""):
        return None
    if typing.get_origin(hint) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _allows_none(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType) and type(None) in typing.get_args(hint)


def _convert(name: str, value: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _convert(name, value, inner)
    if origin is Literal:
        for choice in args:
            if (type(value) is type(choice) and value == choice) or value == str(choice):
                return choice
        raise Problem(f"{name}={value} is not a choice", f"choose one of {', '.join(map(str, args))}")
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise Problem(f"{name}={value!r} must be a list")
        return tuple(_convert(name, item, args[0]) for item in value)
    return _convert_scalar(name, value, hint)


def _convert_scalar(name: str, value: Any, kind: type) -> Any:
    problem = Problem(f"{name}={value!r} must be {_article(kind)}")
    if kind is bool:
        if isinstance(value, str):
            value = _WORDS.get(value.lower(), value)
        if not isinstance(value, bool):
            raise problem
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise problem
    if kind is str:
        if not isinstance(value, str):
            raise problem
        return value
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise problem from None
    if not math.isfinite(number):
        raise problem
    if kind is int:
        if not number.is_integer():
            raise problem
        return int(value) if isinstance(value, (int, str)) and str(value).lstrip("+-").isdigit() else int(number)
    return number


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))
