"""A run handed on: a folder or zip that is a run again, or a table of its points."""

import zipfile

import numpy as np
import pandas
import pytest

from vitviz.errors import Problem
from vitviz.runs.export import export_folder, export_table, export_zip
from vitviz.runs.folder import Run, find_run
from vitviz.runs.records import Projection

LEFT_OUT = {"resume.safetensors", "owner.lock", "job.json", "job.log", ".tmp-half"}


@pytest.fixture
def run(new_run, new_round):
    """A run of two rounds with weights, a map, a resume point, and what a killed writer left."""
    run = new_run()
    with run.owned():
        for index in range(2):
            run.save_round(index, new_round(index), {"a": np.ones(3)})
            run.append_metrics({"kind": "round", "index": index})
        points = np.random.default_rng(0).normal(size=(2, 20, 2))
        run.save_projection(Projection(points=points, engine="pca", seed=0, settings={}))
        run.save_weights({"a": np.ones(3)})
        run.save_resume_point({"a": np.ones(3)}, {"round": 2, "epoch": 0, "num_rounds": 2})
        run.set_status("finished")
    for name in (".tmp-half", "job.json", "job.log"):
        (run.path / name).write_text("half")
    return run


def files_below(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_exported_folder_is_the_run_without_what_only_resuming_needs(run, tmp_path):
    export_folder(run, tmp_path / "out")
    assert files_below(tmp_path / "out") == {k: v for k, v in files_below(run.path).items() if k not in LEFT_OUT}
    copy = Run(tmp_path / "out")
    assert copy.description() == run.description() and copy.metrics() == run.metrics()
    assert (copy.num_rounds(), copy.damaged_files(), copy.status().state) == (2, [], "finished")


def test_an_existing_folder_is_not_exported_into(run, tmp_path):
    with pytest.raises(Problem, match=r"exists.*choose another name"):
        export_folder(run, tmp_path)


def test_an_exported_zip_unpacks_to_the_run(run, roots, tmp_path):
    export_zip(run, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert not {name.rpartition("/")[2] for name in archive.namelist()} & LEFT_OUT
        content = {name: archive.read(name) for name in archive.namelist()}
    assert content == {f"first/{k}": v for k, v in files_below(run.path).items() if k not in LEFT_OUT}
    for name, data in content.items():
        (roots[1] / name).parent.mkdir(parents=True, exist_ok=True)
        (roots[1] / name).write_bytes(data)
    run.path.rename(tmp_path / "away")
    assert find_run("first").is_shipped() and find_run("first").damaged_files() == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_a_row_for_every_image_and_round(run, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    export_table(run, out)
    table = pandas.read_csv(out) if kind == "csv" else pandas.read_parquet(out)
    assert len(table) == 2 * 20
    for index, part in table.groupby("round"):
        arrays = run.round(index)
        assert part["sample"].tolist() == list(range(20))
        assert part["dataset_index"].tolist() == run.samples().indices.tolist()
        assert part["cluster"].tolist() == arrays.matched_labels.tolist()
        assert part["raw_cluster"].tolist() == arrays.labels.tolist()
        assert part["class"].tolist() == run.samples().classes.tolist()
        assert part["held_out"].tolist() == run.samples().held_out.tolist()
        assert np.allclose(part[["x", "y"]], run.projection().points[index])
        assert np.allclose(part["distance"], arrays.distances)
        assert np.allclose(part["runner_up_distance"], arrays.runner_up_distances)


def test_a_table_without_maps_has_no_places(run, tmp_path):
    (run.path / "projection.npz").unlink()
    export_table(run, tmp_path / "out.csv")
    assert pandas.read_csv(tmp_path / "out.csv")[["x", "y"]].isna().all(axis=None)


def test_a_run_without_rounds_has_no_table(new_run, tmp_path):
    with pytest.raises(Problem, match="run 'empty' has no round yet"):
        export_table(new_run("empty"), tmp_path / "out.csv")
    assert list(tmp_path.glob("out*")) == []
