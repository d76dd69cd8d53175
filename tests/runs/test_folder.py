"""A run folder: made, listed, found, read, gone on with; and names that are none."""

import dataclasses
import json
import os
import shutil
import sys

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import Run, create_run, find_run, list_runs
from vitviz.runs.records import Progress, Projection, Round

BAD_NAMES = [
    *(
        "",
        " ",
        ".",
        "..",
        "...",
        "-",
        "_",
        "-a",
        "_a",
        ".a",
        "a.",
        "a.b",
        "a b",
        " a",
        "a ",
        "a\n",
        "\na",
        "a\tb",
        "A",
        "aB",
    ),
    *("../outside", "../../outside", "./inside", "inside/", "inside/.", "/inside", "inside/../inside", "..//outside"),
    *(
        "/etc",
        "/etc/passwd",
        "//etc/passwd",
        "~",
        "~/outside",
        "~root",
        "$HOME",
        "${HOME}",
        "%2e%2e%2foutside",
        "..%2foutside",
    ),
    *(
        "..\\outside",
        "C:\\outside",
        "\\\\host\\outside",
        "file:///etc/passwd",
        "http://a/b",
        "a:b",
        "a*",
        "a?",
        "[a]",
        "{a}",
    ),
    *(
        "inside\0",
        "\0",
        "..\0/outside",
        "ａ",
        "é",
        "а",
        "１",
        "a\u202eb",
        "․․/outside",
        "a" * 65,
        "a" * 5000,
        "a,b",
        "a;b",
    ),
    *("a|b", "a&b", "'a'", '"a"', "<a>", "`a`", "a=b", "#a", "!a", "@a"),
]
opened: list[str] | None = None


def _record(event: str, arguments: tuple) -> None:
    if opened is not None and event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove"):
        opened.extend(os.fspath(part) for part in arguments[:2] if isinstance(part, (str, os.PathLike)))


@pytest.fixture
def files_opened(monkeypatch):
    """The paths that are opened, listed, made, renamed or removed while the test runs."""
    if not getattr(sys, "_vitviz_audit", False):
        sys.addaudithook(_record)
        sys._vitviz_audit = True
    seen: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "opened", seen)
    return seen


def equal_rounds(first: Round, second: Round) -> bool:
    pairs = [(getattr(first, field.name), getattr(second, field.name)) for field in dataclasses.fields(Round)]
    return all((a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b)) for a, b in pairs)


# Made, listed and found


def test_a_new_run_is_listed_found_and_read_back(new_run, description, samples):
    new_run("my-run")
    (listed,) = list_runs()
    found = find_run("my-run")
    assert listed.path == found.path and found.name == "my-run"
    assert found.description() == description
    for part in ("indices", "classes", "held_out"):
        assert np.array_equal(getattr(found.samples(), part), getattr(samples, part))
    assert (found.num_rounds(), found.metrics(), found.projection(), found.resume_point()) == (0, [], None, None)
    assert not found.is_shipped()


def test_a_name_is_taken_once(new_run):
    new_run("twice")
    with pytest.raises(Problem, match=r"run 'twice' exists.*--resume"):
        new_run("twice")


def test_a_run_whose_making_was_cut_short_can_be_made_again(new_run, roots):
    (roots[0] / "cut" / "rounds").mkdir(parents=True)
    assert list_runs() == []
    assert new_run("cut").num_rounds() == 0


def test_a_folder_that_cannot_be_written_is_named(new_run, roots):
    roots[0].write_text("this is no folder")
    with pytest.raises(Problem, match=f"run 'first' cannot be written to {roots[0]}: Not a directory"):
        new_run()
    assert list_runs() == []


def test_there_are_no_runs_where_there_is_no_folder():
    assert list_runs() == []
    with pytest.raises(Problem, match="there is no run named 'any'"):
        find_run("any")


def test_only_folders_with_a_description_and_a_proper_name_are_runs(new_run, roots):
    new_run("real")
    (roots[0] / "empty").mkdir()
    (roots[0] / "file").write_text("{}")
    shutil.copytree(roots[0] / "real", roots[0] / "Not A Name")
    assert [run.name for run in list_runs()] == ["real"]


def test_own_runs_come_newest_first_then_shipped_ones_by_name(new_run, roots):
    for age, name in enumerate(("newest", "middle", "oldest")):
        os.utime(new_run(name).path, (1e9 - age, 1e9 - age))
    for name in ("zebra", "ant"):
        shutil.copytree(roots[0] / "oldest", roots[1] / name)
    assert [run.name for run in list_runs()] == ["newest", "middle", "oldest", "ant", "zebra"]


def test_an_own_run_hides_a_shipped_one_of_its_name(new_run, roots):
    new_run("digits")
    shutil.copytree(roots[0] / "digits", roots[1] / "digits")
    shutil.copytree(roots[0] / "digits", roots[1] / "other")
    assert [(run.name, run.is_shipped()) for run in list_runs()] == [("digits", False), ("other", True)]
    assert find_run("digits").path.parent == roots[0]
    shutil.rmtree(roots[0] / "digits")
    assert find_run("digits").is_shipped()


# Names


def test_there_are_enough_bad_names_and_each_is_bad_once():
    assert len(BAD_NAMES) == len(set(BAD_NAMES)) >= 60


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_bad_name_makes_finds_and_opens_nothing_outside(name, new_run, roots, tmp_path, files_opened):
    new_run("inside")
    shutil.copytree(roots[0] / "inside", tmp_path / "outside")
    before = sorted(tmp_path.rglob("*"))
    files_opened.clear()
    with pytest.raises(Problem):
        find_run(name)
    with pytest.raises(Problem, match="cannot name a run"):
        new_run(name)
    touched = [path for path in files_opened if not path.startswith((str(roots[0]), str(roots[1])))]
    assert files_opened and touched == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "9" * 64, "con", "run-json"])
def test_proper_names_are_taken(name, new_run):
    assert new_run(name).name == name == find_run(name).name


def test_the_message_about_a_missing_run_holds_no_more_than_the_start_of_its_name():
    with pytest.raises(Problem) as caught:
        find_run("a" * 100_000)
    assert len(str(caught.value)) < 200


# Descriptions


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"{}",
        b'{"schema": null}',
        b'{"schema": 1}',
        b'{"schema": "1"}',
        b'{"schema": 0}',
        b'{"schema": -3, "class_names": []}',
        b'{"schema": 1, "class_names": 5}',
        b'{"schema": 1, "class_names": [], "surprise": 1}',
    ],
)
def test_a_damaged_description_is_a_problem_that_names_the_run_and_hides_no_other(content, new_run, roots):
    new_run("broken")
    new_run("whole")
    (roots[0] / "broken" / "run.json").write_bytes(content)
    assert {run.name for run in list_runs()} == {"broken", "whole"}
    with pytest.raises(Problem, match="run 'broken' cannot be read"):
        find_run("broken").description()
    assert find_run("whole").description().num_images == 20


# Records


def test_records_come_back_in_order_and_rounds_by_themselves(new_run):
    run = new_run()
    records = [
        {"kind": "epoch", "index": 0, "loss": 1.5},
        {"kind": "round", "index": 0, "nmi": None, "warnings": ["é"]},
    ]
    for record in records:
        run.append_metrics(record)
    assert run.metrics() == records
    assert run.round_metrics() == records[1:]


def test_a_last_line_cut_anywhere_costs_that_record_only(new_run):
    run = new_run()
    records = [{"kind": "epoch", "index": index, "loss": 0.5} for index in range(3)]
    for record in records:
        run.append_metrics(record)
    path = run.path / "metrics.jsonl"
    content = path.read_bytes()
    last = content.rstrip().rfind(b"\n") + 1
    for length in range(last, len(content) - 1):
        path.write_bytes(content[:length])
        assert run.metrics() == records[:2]
    run.append_metrics(records[2])
    assert path.read_bytes() == content


def test_a_record_that_is_no_json_is_refused_and_leaves_the_others(new_run):
    run = new_run()
    run.append_metrics({"kind": "epoch", "loss": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.append_metrics({"kind": "epoch", "loss": float("nan")})
    assert run.metrics() == [{"kind": "epoch", "loss": 1.0}]
    assert not list(run.path.glob(".tmp-*"))


# Rounds


@pytest.mark.parametrize("decoder", [True, False])
def test_a_round_comes_back_as_it_was_memory_mapped(new_run, new_round, decoder):
    run, arrays = new_run(), new_round(3, decoder=decoder)
    run.save_round(0, arrays, {"head.bias": np.arange(3.0)})
    back = run.round(0)
    assert equal_rounds(back, arrays)
    assert isinstance(back.embeddings, np.memmap) and not back.embeddings.flags.writeable
    assert run.has_weights(0) and run.weights(0)["head.bias"].tolist() == [0, 1, 2]


def test_a_round_that_is_not_there_is_named_with_those_that_are(new_run, new_round):
    run = new_run()
    run.save_round(0, new_round())
    for index in (1, 7, -1):
        with pytest.raises(Problem, match=f"run 'first' has no round {index}: its rounds are 0 to 0"):
            run.round(index)


def test_weights_that_were_not_kept_are_named(new_run, new_round):
    run = new_run()
    run.save_round(0, new_round())
    assert not run.has_weights(0)
    with pytest.raises(Problem, match="run 'first' kept no weights for round 0"):
        run.weights(0)
    with pytest.raises(Problem, match=r"run 'first' kept no weights$"):
        run.weights()
    run.save_weights({"a": np.ones(2)})
    assert run.weights()["a"].tolist() == [1, 1]


def test_a_round_cannot_be_written_twice(new_run, new_round):
    run = new_run()
    run.save_round(0, new_round(0))
    with pytest.raises(OSError, match="not empty"):
        run.save_round(0, new_round(1))
    assert equal_rounds(run.round(0), new_round(0))


# Maps


def test_maps_come_back_with_what_made_them(new_run):
    run = new_run()
    points = np.random.default_rng(0).normal(size=(2, 20, 2)).astype(np.float32)
    run.save_projection(Projection(points=points, engine="pca", seed=3, settings={"components": "first"}))
    back = run.projection()
    assert np.array_equal(back.points, points)
    assert (back.engine, back.seed, back.settings) == ("pca", 3, {"components": "first"})


def test_the_version_changes_with_every_round_and_map_and_not_otherwise(new_run, new_round):
    run = new_run()
    versions = [run.version()]
    run.save_round(0, new_round())
    versions.append(run.version())
    run.append_metrics({"kind": "round", "index": 0})
    run.set_status("running")
    assert run.version() == versions[-1] == Run(run.path).version()
    for engine in ("pca", "umap"):
        run.save_projection(Projection(points=np.zeros((1, 20, 2)), engine=engine, seed=0, settings={}))
        versions.append(run.version())
    assert len(set(versions)) == len(versions)


# Going on


def test_a_resume_point_comes_back_bit_by_bit(new_run):
    run, rng = new_run(), np.random.default_rng(0)
    tensors = {
        "model.weight": rng.normal(size=(4, 3)).astype(np.float32),
        "model.turned": rng.normal(size=(4, 3)).T,
        "model.count": np.array(7, dtype=np.int64),
        "model.mask": np.array([True, False]),
        "optimizer.0.step": np.array(3.0, dtype=np.float32),
        "model.half": rng.normal(size=5).astype(np.float16),
        "model.none": np.zeros((0, 3), np.float32),
    }
    run.append_metrics({"kind": "epoch"})
    run.save_resume_point(tensors, {"round": 2, "epoch": 1, "num_rounds": 2})
    back, place = run.resume_point()
    assert place == {"round": 2, "epoch": 1, "num_rounds": 2, "num_records": 1}
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape), name
        assert back[name].tobytes() == value.tobytes(), name


def test_a_damaged_resume_point_is_named(new_run):
    run = new_run()
    (run.path / "resume.safetensors").write_bytes(b"damaged")
    with pytest.raises(Problem, match=r"resume\.safetensors of run 'first' cannot be read"):
        run.resume_point()


def test_rewinding_drops_what_came_after(new_run, new_round):
    run = new_run()
    for index in range(3):
        run.save_round(index, new_round(index))
        run.append_metrics({"kind": "round", "index": index})
    run.save_projection(Projection(points=np.zeros((3, 20, 2)), engine="pca", seed=0, settings={}))
    run.rewind(num_records=1, num_rounds=1)
    assert run.metrics() == [{"kind": "round", "index": 0}]
    assert (run.num_rounds(), run.projection()) == (1, None)
    assert equal_rounds(run.round(0), new_round(0))
    run.save_round(1, new_round(9))
    assert equal_rounds(run.round(1), new_round(9))


def test_rewinding_to_the_present_changes_no_record_and_no_round(new_run, new_round):
    run = new_run()
    run.save_round(0, new_round())
    run.append_metrics({"kind": "round", "index": 0})
    run.rewind(num_records=1, num_rounds=1)
    assert run.metrics() == [{"kind": "round", "index": 0}] and run.num_rounds() == 1


def test_a_rewinding_cut_short_leaves_no_half_round_in_the_way(new_run, new_round, monkeypatch):
    run = new_run()
    for index in range(2):
        run.save_round(index, new_round(index))

    def cut(folder, **options):
        (folder / "manifest.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            run.rewind(num_records=0, num_rounds=1)
    with run.owned():
        run.rewind(num_records=0, num_rounds=1)
        run.save_round(1, new_round(5))
    assert equal_rounds(run.round(1), new_round(5))
    assert not list(run.path.rglob(".tmp-*"))


def test_the_owner_sweeps_what_a_killed_writer_left(new_run, new_round):
    run = new_run()
    run.save_round(0, new_round())
    (run.path / ".tmp-abc").write_text("half a file")
    (run.path / "rounds" / ".tmp-001-9").mkdir()
    (run.path / "rounds" / ".tmp-001-9" / "labels.npy").write_text("half a round")
    kept = {path for path in run.path.rglob("*") if ".tmp-" not in str(path)}
    assert run.num_rounds() == 1
    with run.owned():
        assert set(run.path.rglob("*")) == kept | {run.path / "owner.lock"}


def test_progress_stays_when_only_the_state_changes(new_run):
    run = new_run()
    run.set_status("running", progress=Progress(done=3, total=9, note="round 1"))
    run.set_status("cancelled")
    status = run.status()
    assert (status.state, status.progress) == ("cancelled", Progress(done=3, total=9, note="round 1"))


def test_what_a_run_holds_is_named_by_its_own_folder_only(new_run, description, samples, roots):
    run = create_run("plain", description, samples)
    assert json.loads((run.path / "run.json").read_text())["schema"] == 1
    assert sorted(path.name for path in run.path.iterdir()) == ["rounds", "run.json", "samples.npz"]
