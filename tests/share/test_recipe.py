"""The recipe in every file, and the table that Embedding Atlas opens."""

import io
import json

import numpy as np
import pandas
import pytest
from pyarrow import parquet

from vitviz.errors import Problem
from vitviz.runs.folder import find_run
from vitviz.share.atlas import NUM_NEIGHBORS, write_atlas_table
from vitviz.share.recipe import recipe_of, to_csv, to_npz, to_parquet, without_folders

COLUMNS = {"x": np.arange(3), "name": ["a", "b,c", "#d"]}
RECIPE = "attention; run digits; layer 2"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    out = tmp_path_factory.mktemp("atlas") / "digits.parquet"
    assert write_atlas_table(find_run("digits"), out) == 6
    return out


def test_a_recipe_names_run_view_seed_settings_and_version():
    line = recipe_of(find_run("digits"), "attention", {"layer": 2, "round": None})
    for part in ("attention", "run digits", "layer 2", "seed 0", "cluster_weight=0.01", "vitviz 0.1.0"):
        assert part in line
    assert "round" not in line.partition("settings:")[0] and "\n" not in line


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("--set dataset=/home/me/photos --run a", "--set dataset=photos --run a"),
        (r"C:\Users\me\photos", "photos"),
        ("~/data/photos.zip", "photos.zip"),
        ("W/T and train/test", "W/T and train/test"),
    ],
)
def test_no_folder_of_a_machine_is_handed_on(text, cut):
    assert without_folders(text) == cut


def test_a_table_carries_its_recipe_and_reads_back():
    content = to_csv(COLUMNS, RECIPE)
    assert content.decode().splitlines()[0] == f"# {RECIPE}"
    assert pandas.read_csv(io.BytesIO(content), skiprows=1)["name"].tolist() == COLUMNS["name"]
    table = parquet.read_table(io.BytesIO(to_parquet(COLUMNS, RECIPE)))
    assert table.schema.metadata[b"recipe"].decode() == RECIPE and table.column_names == ["x", "name"]
    arrays = np.load(io.BytesIO(to_npz({"x": COLUMNS["x"]}, RECIPE)))
    assert str(arrays["recipe"]) == RECIPE and arrays["x"].tolist() == [0, 1, 2]


def test_the_table_for_embedding_atlas_has_places_and_neighbours_by_row(atlas):
    table, run = pandas.read_parquet(atlas), find_run("digits")
    points, embeddings = run.projection().points[6], np.asarray(run.round(6).embeddings, np.float64)
    assert np.allclose(table[["projection_x", "projection_y"]], points)
    for row in (0, 900, 1796):
        found = table["neighbors"][row]
        distances = np.linalg.norm(embeddings - embeddings[row], axis=1)
        distances[row] = np.inf
        assert len(found["ids"]) == NUM_NEIGHBORS and row not in found["ids"]
        assert np.allclose(found["distances"], np.sort(distances)[:NUM_NEIGHBORS], atol=1e-4)
        assert np.allclose(distances[found["ids"]], found["distances"], atol=1e-4)


def test_its_classes_and_clusters_are_those_of_the_run(atlas):
    table, run = pandas.read_parquet(atlas), find_run("digits")
    last = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    held_out = table[table["part"] == "held out"]
    assert held_out["right"].mean() == pytest.approx(last["held_out_acc"], abs=0.01)
    assert table["moved"].mean() == pytest.approx(last["changed_share"], abs=1e-6)
    assert set(table["class"]) == set("0123456789")
    assert b"run digits" in parquet.read_schema(atlas).metadata[b"recipe"]


def test_a_run_without_maps_or_a_round_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Problem, match="has no maps"):
        write_atlas_table(find_run("digits-subspace-steps"), tmp_path / "a.parquet")
    with pytest.raises(Problem, match=r"no map of round 9.*0 to 6"):
        write_atlas_table(find_run("digits"), tmp_path / "a.parquet", round_index=9)
