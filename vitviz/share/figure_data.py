"""The numbers of a plotly figure, taken from its plain JSON: as one long table, and as arrays."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_AXES = ("x", "y", "z")


def columns_of(traces: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """One row a mark: columns ``trace`` (its name), ``x``, ``y``, and where a trace has them ``z`` and ``error_y``.

    A heat map gives one row a cell. What a trace lacks is None.
    """
    tables = [(_name(index, trace), _table(trace)) for index, trace in enumerate(traces)]
    names = [name for name in (*_AXES, "error_y") if any(name in table for _, table in tables)]
    lengths = [max((len(column) for column in table.values()), default=0) for _, table in tables]
    columns = {"trace": np.repeat(np.array([name for name, _ in tables], object), lengths)}
    for name in names:
        parts = [table.get(name, [None] * num) for (_, table), num in zip(tables, lengths, strict=True)]
        columns[name] = _tidy([value for part in parts for value in part])
    return columns


def arrays_of(traces: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays of every trace as they were drawn: ``trace_00_x``, ``trace_00_y``, ... and ``trace_00_name``."""
    arrays: dict[str, np.ndarray] = {}
    for index, trace in enumerate(traces):
        arrays[f"trace_{index:02d}_name"] = np.array(_name(index, trace))
        for axis, values in _drawn(trace):
            arrays[f"trace_{index:02d}_{axis}"] = _tidy(values)
    return arrays


def _name(index: int, trace: Mapping[str, Any]) -> str:
    return str(trace.get("name") or f"trace {index}")


def _drawn(trace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for axis in _AXES:
        if trace.get(axis) is not None:
            yield axis, _plain(trace[axis])
    error = (trace.get("error_y") or {}).get("array")
    if error is not None:
        yield "error_y", _plain(error)


def _plain(values: Any) -> Any:
    """An array that plotly has written as base64, undone; anything else as it is."""
    if not isinstance(values, Mapping):
        return values
    flat = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return flat.reshape([int(one) for one in values["shape"].split(",")]) if values.get("shape") else flat


def _table(trace: Mapping[str, Any]) -> dict[str, list]:
    drawn = {axis: list(values) for axis, values in _drawn(trace)}
    if "z" not in drawn:
        return drawn
    rows, columns = len(drawn["z"]), max((len(row) for row in drawn["z"]), default=0)
    y = drawn.get("y") or list(range(rows))
    x = drawn.get("x") or list(range(columns))
    return {
        "x": [x[column] for _ in range(rows) for column in range(columns)],
        "y": [y[row] for row in range(rows) for _ in range(columns)],
        "z": [value for row in drawn["z"] for value in row],
    }


def _tidy(values: Any) -> np.ndarray:
    """Numbers as float64, anything else as text, which is what every format can hold."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return np.array(["" if one is None else str(one) for one in np.ravel(np.asarray(values, object))])
