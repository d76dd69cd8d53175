"""What a ``config.json`` of the hub may say of a model of timm, checked value by value: nothing else reaches timm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitviz.errors import Problem

_POOLS = ("", "token", "avg", "avgmax", "max", "map")
_FRAMINGS = ("center", "squash")
_INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "nearest")
_MAX_CLASSES = 50_000
_SIDES = range(16, 1025)


def arguments_of(config: Mapping[str, Any], known: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """timm's name of the model that the config describes, and arguments for ``timm.create_model``.

    Read are ``architecture``; ``num_classes``; of ``model_args`` ``img_size``, ``global_pool`` and ``num_classes``; and of
    ``pretrained_cfg`` how pictures are fed. Other arguments of a model are refused: they would make another network.

    Raises: Problem naming what is missing, unknown or out of range.
    """
    name = config.get("architecture")
    if not isinstance(name, str) or name not in known:
        raise Problem("the config names no vision transformer of timm", f"architecture={str(name)[:80]!r}")
    arguments: dict[str, Any] = {}
    given = _table(config, "model_args")
    classes = given.get("num_classes", config.get("num_classes"))
    if classes is not None:
        arguments["num_classes"] = _whole("num_classes", classes, range(_MAX_CLASSES + 1))
    for key, value in given.items():
        if key == "img_size":
            arguments[key] = _side(key, value)
        elif key == "global_pool":
            arguments[key] = _one_of(key, value, _POOLS)
        elif key != "num_classes":
            raise Problem("the config asks for a model that is not read", f"unknown argument {str(key)[:60]!r}")
    overlay = _feeding(_table(config, "pretrained_cfg"))
    return name, {**arguments, "pretrained_cfg_overlay": overlay} if overlay else arguments


def _feeding(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``pretrained_cfg`` what says how pictures are fed."""
    found: dict[str, Any] = {}
    for key in ("mean", "std"):
        if given.get(key) is not None:
            found[key] = _three(key, given[key])
    if given.get("crop_pct") is not None:
        found["crop_pct"] = _share("crop_pct", given["crop_pct"])
    if given.get("crop_mode") is not None:
        found["crop_mode"] = _one_of("crop_mode", given["crop_mode"], _FRAMINGS)
    if given.get("interpolation") is not None:
        found["interpolation"] = _one_of("interpolation", given["interpolation"], _INTERPOLATIONS)
    if given.get("input_size") is not None:
        size = given["input_size"]
        if not isinstance(size, list) or len(size) != 3 or size[0] != 3:
            raise _bad("input_size", size, "3, a side and the same side")
        found["input_size"] = (3, *[_side("input_size", size[1:])] * 2)
    return found


def _table(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, Mapping):
        raise _bad(key, value, "a table")
    return value


def _whole(key: str, value: Any, allowed: range) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise _bad(key, value, f"a whole number, {allowed.start} to {allowed.stop - 1}")
    return value


def _side(key: str, value: Any) -> int:
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return _whole(key, value, _SIDES)


def _one_of(key: str, value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise _bad(key, value, f"one of {', '.join(allowed)}")
    return value


def _share(key: str, value: Any) -> float:
    if not _is_number(value) or not 0.1 <= value <= 1:
        raise _bad(key, value, "0.1 to 1")
    return float(value)


def _three(key: str, value: Any) -> tuple[float, ...]:
    fits = isinstance(value, list) and len(value) == 3 and all(_is_number(one) and abs(one) <= 10 for one in value)
    if not fits or (key == "std" and min(value) < 1e-3):
        raise _bad(key, value, "three numbers, a deviation above 0")
    return tuple(float(one) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad(key: str, value: Any, rule: str) -> Problem:
    return Problem(f"{key}={str(value)[:60]} of the config is not read", f"it must be {rule}")
