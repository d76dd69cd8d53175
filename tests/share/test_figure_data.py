"""The numbers of a figure: every mark a row, every trace its arrays, whatever kinds stand side by side."""

import io

import numpy as np
import pandas
import pyarrow.parquet as parquet

from vitviz.figures.deep_clustering import distances_to_centers
from vitviz.share.figure_data import arrays_of, columns_of
from vitviz.share.recipe import to_csv, to_npz, to_parquet

BARS = {"type": "bar", "name": "ours", "x": ("a", "b"), "y": [1, None], "error_y": {"array": [0.1, 0.2]}}
LINE = {"type": "scatter", "x": np.array([0, 1, 2]), "y": np.array([0.5, np.nan, 0.7])}
HEAT = {"type": "heatmap", "name": "heat", "x": ["p", "q"], "z": np.array([[1, 2], [3, 4]])}


def test_every_mark_is_a_row_and_every_cell_of_a_heat_map():
    columns = columns_of([LINE, HEAT])
    assert columns["trace"].tolist() == ["trace 0"] * 3 + ["heat"] * 4
    assert columns["x"].tolist() == ["0", "1", "2", "p", "q", "p", "q"]
    assert columns["y"].tolist()[3:] == [0, 0, 1, 1]
    assert np.isnan(columns["z"][:3]).all() and columns["z"].tolist()[3:] == [1, 2, 3, 4]


def test_gaps_and_errors_are_kept():
    columns = columns_of([BARS])
    assert columns["x"].tolist() == ["a", "b"] and columns["error_y"].tolist() == [0.1, 0.2]
    assert columns["y"][0] == 1 and np.isnan(columns["y"][1])
    arrays = arrays_of([LINE, HEAT])
    assert arrays["trace_01_z"].tolist() == [[1, 2], [3, 4]] and str(arrays["trace_01_name"]) == "heat"


def test_a_figure_of_the_app_goes_into_every_format_and_back():
    distances = np.arange(6, dtype=np.float32).reshape(3, 2)
    traces = distances_to_centers(distances, names=["one", "two"]).to_plotly_json()["data"]
    table = pandas.read_csv(io.BytesIO(to_csv(columns_of(traces), "how")), skiprows=1)
    assert sorted(table["y"]) == [0, 1, 2, 3, 4, 5] and set(table["trace"]) == {"one", "two"}
    assert parquet.read_table(io.BytesIO(to_parquet(columns_of(traces), "how"))).num_rows == 6
    kept = np.load(io.BytesIO(to_npz(arrays_of(traces), "how")))
    assert str(kept["recipe"]) == "how" and len(kept["trace_00_y"]) == 3


def test_a_figure_without_a_trace_is_an_empty_table():
    assert {name: len(column) for name, column in columns_of([]).items()} == {"trace": 0}
