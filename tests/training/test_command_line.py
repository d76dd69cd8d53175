"""``python -m vitviz``, called in this process: each command once, and each mistake in one line."""

import dataclasses
import json
import shlex
import shutil
import zipfile

import numpy as np
import pandas
import pytest
from PIL import Image

from vitviz.__main__ import main
from vitviz.data.sets import open_image_set
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.runs.records import Progress
from vitviz.training.methods import METHODS

TINY = shlex.split(
    "--set limit=200 --set patch-size=16 --set embed-dim=16 --set depth=1 --set epochs=2 --set extra-epochs=0 "
    "--set max-rounds=2 --set epochs-per-round=1 --set num-restarts=2 --set stop-rule=max_rounds --set projection=none"
)


pytestmark = pytest.mark.usefixtures("same_signals")


@pytest.fixture
def call(capsys):
    """``call("runs --json")``: what the command returned and printed, to stdout and to stderr."""

    def run(line: str, *more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*shlex.split(line), *more])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


# Help and mistakes


@pytest.mark.parametrize("verb", ["", "train", "runs", "embed", "project", "export", "data", "data get"])
def test_help_is_given_and_names_every_argument(call, capsys, verb):
    with pytest.raises(SystemExit) as done:
        call(f"{verb} --help")
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "usage: python -m vitviz" in text
    if verb == "train":
        assert {"digits", "--resume", "--no-control", "--preset", "cluster-weight=0.1"} <= set(text.split())
        assert set(METHODS) <= set(text.replace(",", " ").split())


def test_an_unknown_command_is_refused_with_those_there_are(call, capsys):
    with pytest.raises(SystemExit) as done:
        call("trian")
    assert done.value.code == 2 and "train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "train deep_clustering --set cluster-wieght=1",
            "unknown setting 'cluster_wieght': did you mean 'cluster_weight'?",
        ),
        ("train deep_clustring", "unknown method 'deep_clustring': did you mean 'deep_clustering'?"),
        ("train deep_clustering --preset digit", "unknown preset 'digit': did you mean 'digits'?"),
        ("train deep_clustering --set epochs=few", "epochs='few' must be a whole number"),
        ("train deep_clustering --set epochs", "--set epochs is not a setting"),
        ("train deep_clustering --set embed-dim=50", "embed_dim=50 must be divisible by num_heads=4"),
        ("train deep_clustering --set dataset=digit", "did you mean 'digits'?"),
        ("train deep_clustering --run ../outside", "'../outside' cannot name a run"),
        ("train deep_clustering --set device=gpu", "device 'gpu' cannot be used"),
        ("runs nothing", "there is no run named 'nothing'"),
        ("embed nothing digits out.npz", "there is no run named 'nothing'"),
        ("export nothing out.zip", "there is no run named 'nothing'"),
        ("project nothing", "there is no run named 'nothing'"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_makes_no_run(call, line, sentence):
    code, out, err = call(line)
    assert (code, out) == (1, "")
    assert err.startswith("vitviz: ") and sentence in err and err.count("\n") == 1
    assert list_runs() == []


# Training


def test_a_run_is_trained_with_its_control_and_can_be_made_again_by_its_command(call):
    code, out, _ = call("train deep_clustering --run mine --set cluster-weight=0.1", *TINY)
    assert code == 0
    assert "now its control, mine-control: cluster_weight = 0" in out
    run, control = find_run("mine"), find_run("mine-control")
    assert (run.status().state, control.status().state) == ("finished", "finished")
    settings, changed = run.description().settings, control.description().settings
    assert {key for key in settings if settings[key] != changed[key]} == {"cluster_weight"}
    for made in (run, control):
        words = shlex.split(made.description().command)
        assert words[:4] == ["python", "-m", "vitviz", "train"]
        code, printed, _ = call(shlex.join(words[3:]), "--settings")
        assert code == 0
        assert dict(line.split("=", 1) for line in printed.splitlines())["cluster-weight"] == str(
            made.description().settings["cluster_weight"]
        )


def test_a_second_run_of_that_name_is_refused_and_the_first_kept(call, own_copy, content_of, finished):
    code, _, err = call("train deep_clustering --run tiny --no-control", *TINY)
    assert code == 1 and "run 'tiny' exists" in err and "--resume" in err
    assert content_of(own_copy) == content_of(finished)


def test_resuming_a_finished_run_finishes_it_again_and_takes_no_settings(call, own_copy, content_of, finished):
    code, out, _ = call("train deep_clustering --run tiny --no-control --resume")
    assert code == 0 and "finished" in out
    assert content_of(own_copy) == content_of(finished)
    code, _, err = call("train deep_clustering --run tiny --resume --set seed=1")
    assert code == 1 and "--resume takes no --set of another value, seed=1: run 'tiny' keeps the seed=0" in err


def test_the_line_that_began_a_run_goes_on_with_it(call, own_copy):
    kept = own_copy.description().settings
    settings = [word for name in ("limit", "epochs", "stop_rule") for word in ("--set", f"{name}={kept[name]}")]
    code, out, err = call("train deep_clustering --run tiny --no-control --resume", *settings)
    assert (code, err) == (0, "") and "finished" in out


def test_resuming_what_is_not_there_starts_it(call):
    assert call("train deep_clustering --run new --no-control --resume", *TINY)[0] == 0
    assert find_run("new").num_rounds() == 3


def test_settings_are_printed_without_training(call):
    code, out, _ = call("train deep_clustering --preset digits --set alpha-is-not=1 --settings")
    assert code == 1
    code, out, _ = call("train deep_clustering --preset digits --set cluster-weight=0.5 --settings")
    printed = dict(line.split("=", 1) for line in out.splitlines())
    assert code == 0 and printed["cluster-weight"] == "0.5" and printed["stop-rule"] == "max_rounds"
    assert list_runs() == []


def test_a_preset_runs_the_method_it_belongs_to(call):
    code, out, _ = call("train deep_clustering --preset digits-unsupervised --settings")
    printed = {line.split("=")[0].replace("-", "_") for line in out.splitlines()}
    assert code == 0 and printed == {field.name for field in dataclasses.fields(METHODS["idec"].config)}


# Looking


def test_runs_are_listed_and_one_is_printed_with_its_rounds(call, own_copy):
    code, out, _ = call("runs")
    assert code == 0 and out.startswith("tiny ") and "3 rounds" in out
    code, out, _ = call("runs tiny")
    assert code == 0 and "held_out_nmi" in out and len(out.splitlines()) > 10
    top1 = own_copy.round_metrics()[-1]["held_out_top1"]
    assert f"held-out top-1 {top1:.3f}" in out and "held_out_top1" in out and "its control" not in out


def test_a_run_is_printed_beside_its_control_and_with_how_far_it_is(call, own_copy):
    control = Run(shutil.copytree(own_copy.path, own_copy.path.with_name("pulled-by-nothing")))
    record = json.loads((control.path / "run.json").read_text())
    record["settings"]["cluster_weight"] = 0.0
    (control.path / "run.json").write_text(json.dumps(record))
    Run(control.path).set_status("failed", progress=Progress(done=2, total=9), error="the disk is full")
    code, out, _ = call("runs tiny")
    assert code == 0 and "its control  pulled-by-nothing" in out and "state" not in out
    code, out, _ = call("runs pulled-by-nothing")
    assert code == 0 and "failed after 2 of at most 9 records: the disk is full" in out


def test_a_run_that_was_handed_on_for_its_records_says_so(call, own_copy, monkeypatch, tmp_path):
    assert call(f"export tiny {tmp_path / 'scores'} --scores")[0] == 0
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path))
    assert call("runs scores --check")[1] == "scores: settings and records alone, every file as it was written\n"
    for line in (
        f"embed scores digits {tmp_path / 'out.npz'}",
        f"export scores {tmp_path / 'out.csv'}",
        "project scores",
    ):
        code, _, err = call(line)
        assert code == 1 and "run 'scores' has no rounds to look into: it was handed on for its records" in err


def test_a_run_as_json_has_its_settings_rounds_and_scores(call, own_copy):
    code, out, _ = call("runs tiny --json")
    told = json.loads(out)
    assert code == 0
    assert told["settings"] == own_copy.description().settings and told["method"] == "deep_clustering"
    assert told["rounds"] == own_copy.round_metrics() and len(told["epochs"]) == 4
    assert told["status"]["state"] == "finished" and told["name"] == "tiny"
    keys = {"held_out_nmi", "held_out_acc", "held_out_ari", "train_nmi", "within_share", "nmi_previous", "loss", "stop"}
    assert keys | {"cluster_loss", "cross_entropy", "warnings", "index"} <= told["rounds"][-1].keys()


def test_a_run_is_checked_byte_by_byte(call, own_copy):
    code, out, _ = call("runs tiny --check")
    assert (code, out) == (0, "tiny: 3 rounds, every file as it was written\n")
    path = own_copy.path / "rounds" / "001" / "labels.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    code, _, err = call("runs tiny --check")
    assert code == 1 and "run 'tiny' is damaged: rounds/001/labels.npy" in err


def test_a_damaged_run_is_listed_beside_the_whole_ones(call, own_copy, start):
    start("broken")
    code, out, _ = call("runs --json")
    told = {run["name"]: run for run in json.loads(out)}
    assert (
        code == 0
        and told["tiny"]["last_round"] == own_copy.round_metrics()[-1]
        and told["broken"]["last_round"] is None
    )
    (find_run("broken").path / "samples.npz").write_bytes(b"x")
    code, out, err = call("runs --check")
    assert code == 1 and out.startswith("tiny: 3 rounds, every file") and "run 'broken' is damaged: samples.npz" in err
    (find_run("broken").path / "run.json").write_text("{")
    assert (
        "cannot be read" in next(run for run in json.loads(call("runs --json")[1]) if run["name"] == "broken")["error"]
    )
    assert call("runs --check")[2].startswith("vitviz: run 'broken' cannot be read")
    code, out, _ = call("runs")
    assert code == 0 and "run 'broken' cannot be read" in out and "3 rounds" in out


# Making


@pytest.mark.parametrize("index", [None, 0])
def test_a_data_set_is_embedded_with_the_nearest_clusters(call, own_copy, tmp_path, index):
    out = tmp_path / "out.npz"
    code, printed, _ = call(f"embed tiny digits {out}", *([] if index is None else ["--round", str(index)]))
    assert code == 0 and "1,797 embeddings of 16 numbers" in printed
    with np.load(out) as arrays:
        embeddings, clusters, distances = (arrays[name] for name in ("embeddings", "clusters", "distances"))
        assert np.array_equal(arrays["labels"], open_image_set("digits").labels)
        assert len(arrays["names"]) == 1797 and arrays["class_names"].tolist() == [str(digit) for digit in range(10)]
    centers = np.asarray(own_copy.round(2 if index is None else index).centers)
    exact = np.linalg.norm(embeddings[:, None] - centers, axis=2)
    assert (exact.argmin(axis=1) == clusters).mean() > 0.999
    assert np.allclose(exact.min(axis=1), distances, atol=1e-3)


def test_an_embedding_of_a_folder_says_which_file_a_row_is(call, own_copy, tmp_path):
    folder = tmp_path / "pets" / "cat"
    folder.mkdir(parents=True)
    for number in range(101):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(folder / f"{number:03}.png")
    (folder / "007.png").write_bytes(b"not an image")
    assert call(f"embed tiny {tmp_path / 'pets'} {tmp_path / 'out.npz'}")[0] == 0
    with np.load(tmp_path / "out.npz") as arrays:
        assert len(arrays["embeddings"]) == len(arrays["names"]) == 100
        assert arrays["names"][6:8].tolist() == ["cat/006.png", "cat/008.png"]


def test_a_round_that_is_not_there_is_not_embedded_with(call, own_copy, tmp_path):
    code, _, err = call(f"embed tiny digits {tmp_path / 'out.npz'} --round 9")
    assert code == 1 and "run 'tiny' has no round 9: its rounds are 0 to 2" in err


def test_maps_are_drawn_by_pca(call, own_copy):
    code, out, _ = call("project tiny --engine pca --seed 2")
    assert (code, out) == (0, "tiny: 3 maps by pca\n")
    assert own_copy.projection().points.shape == (3, 200, 2)


def test_a_shipped_run_is_not_drawn_upon(call, own_copy, monkeypatch, tmp_path):
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: own_copy.path.parent)
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "none"))
    code, _, err = call("project tiny --engine pca")
    assert code == 1 and "run 'tiny' came with vitviz and is read-only" in err
    assert own_copy.projection() is None


def test_a_run_is_exported_as_folder_zip_and_table(call, own_copy, tmp_path):
    for name in ("folder", "out.zip", "out.csv", "out.parquet"):
        code, printed, _ = call(f"export tiny {tmp_path / name}")
        assert (code, printed) == (0, f"tiny -> {tmp_path / name}\n")
    assert Run(tmp_path / "folder").damaged_files() == []
    assert len(pandas.read_csv(tmp_path / "out.csv")) == len(pandas.read_parquet(tmp_path / "out.parquet")) == 3 * 200
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "tiny/run.json" in archive.namelist() and "tiny/resume.safetensors" not in archive.namelist()


def test_a_run_is_exported_as_a_page_and_for_embedding_atlas(call, own_copy, tmp_path):
    code, printed, _ = call(f"export tiny {tmp_path / 'tiny.html'}")
    assert code == 0 and printed.startswith(f"tiny -> {tmp_path / 'tiny.html'}, ")
    assert call("project tiny --engine pca")[0] == 0
    code, printed, err = call(f"export tiny {tmp_path / 'atlas.parquet'} --atlas --round 1")
    assert (code, err) == (0, "") and "round 1" in printed
    assert f"embedding-atlas {tmp_path / 'atlas.parquet'} --x projection_x --y projection_y --neighbors" in printed
    assert {"projection_x", "neighbors"} <= set(pandas.read_parquet(tmp_path / "atlas.parquet").columns)
    for line, sentence in (("out.csv --atlas", "--atlas is for a .parquet"), ("out.zip --thumbnails", "for a .html")):
        code, _, err = call(f"export tiny {tmp_path}/{line}")
        assert code == 1 and sentence in err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("export tiny {folder}/tiny.txt", "tiny.txt is not written: a run is not exported as .txt"),
        ("export tiny {folder}/none/tiny.zip", "its folder does not exist; make {folder}/none first"),
        ("embed tiny digits {folder}/none/out.npz", "its folder does not exist; make {folder}/none first"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_done(call, own_copy, tmp_path, line, sentence):
    code, out, err = call(line.format(folder=tmp_path))
    assert (code, out) == (1, "") and sentence.format(folder=tmp_path) in err
    assert not (tmp_path / "tiny.txt").exists()


def test_data_sets_are_listed_and_checked(call):
    code, out, _ = call("data list")
    assert code == 0 and "digits     here" in out and "cifar10    not here" in out
    code, out, _ = call("data check digits")
    assert code == 0 and "1,797 of 1,797 images are used" in out and "fingerprint" in out


# Presets that stand for several runs


ROWS = shlex.split(
    "--set dataset=digits --set limit=120 --set stride=8 --set embed-dim=16 --set depth=1 --set num-heads=2 --set epochs=1 "
    "--set num-restarts=2 --set batch-size=64"
)


def test_every_chosen_row_of_a_table_becomes_a_run_of_its_own(call):
    code, _, err = call("train supertokens --preset table6 --rows patch,conv --seeds 0,1 --run t", *ROWS)
    assert (code, err) == (0, "")
    runs = {run.name: run.description() for run in list_runs()}
    assert set(runs) == {"t-patch-s0", "t-conv-s0", "t-patch-s1", "t-conv-s1"}
    about = runs["t-conv-s1"]
    assert (about.preset, about.variant, about.seed, about.settings["embedding"]) == ("table6", "conv", 1, "conv")
    assert "--run t --preset table6 --rows conv --seeds 1" in about.command


def test_resuming_a_table_finishes_what_is_begun_and_makes_what_is_missing(call):
    assert call("train supertokens --preset table6 --rows patch --seeds 0 --run t", *ROWS)[0] == 0
    before = (find_run("t-patch-s0").path / "metrics.jsonl").stat().st_mtime_ns
    code, _, err = call("train supertokens --preset table6 --rows patch,conv --seeds 0 --run t", *ROWS)
    assert code == 1 and "run 't-patch-s0' exists" in err
    assert call("train supertokens --preset table6 --rows patch,conv --seeds 0 --run t --resume")[0] == 1
    assert call("train supertokens --preset table6 --rows patch,conv --seeds 0 --run t --resume", *ROWS)[0] == 0
    assert (find_run("t-patch-s0").path / "metrics.jsonl").stat().st_mtime_ns == before
    assert find_run("t-conv-s0").status().state == "finished"


def test_a_row_that_a_table_does_not_have_is_refused_with_those_it_has(call):
    code, _, err = call("train supertokens --preset table8 --rows t9")
    assert code == 1 and "preset 'table8' has no such rows: it has t1, t2, t3, t4" in err


def test_a_folder_is_exported_with_halved_weights(call, finished_supertokens, monkeypatch, tmp_path):
    monkeypatch.setenv("VITVIZ_RUNS", str(finished_supertokens.path.parent))
    assert call(f"export tiny {tmp_path / 'half'} --half")[0] == 0
    whole, half = finished_supertokens.weights(), Run(tmp_path / "half").weights()
    assert half.keys() == whole.keys() and half["head.weight"].dtype == np.float16
    assert all(np.allclose(half[name], whole[name], rtol=1e-3, atol=1e-3) for name in whole)
    code, _, err = call(f"export tiny {tmp_path / 'half.zip'} --half")
    assert code == 1 and "--half is for a folder" in err


def test_a_run_is_exported_for_its_scores_alone(call, own_copy, tmp_path):
    assert call(f"export tiny {tmp_path / 'scores'} --scores")[0] == 0
    kept = Run(tmp_path / "scores")
    assert kept.metrics() == own_copy.metrics() and kept.description() == own_copy.description()
    assert not kept.has_weights() and not kept.has_resume_point() and kept.num_rounds() == 0
    assert kept.status().state == "finished"
    code, _, err = call(f"export tiny {tmp_path / 'scores'} --scores")
    assert code == 1 and "scores exists" in err


# Lessons


def test_lessons_are_listed_and_a_file_is_checked_in_one_line(call, tmp_path):
    code, out, _ = call("lessons")
    assert code == 0 and "1-feedback" in out and "reshapes an embedding" in out
    (tmp_path / "mine.toml").write_text("minutes = 5\n")
    code, _, err = call(f"lessons check {tmp_path / 'mine.toml'}")
    assert code == 1 and "mine.toml is no lesson: it has no steps" in err
    step = '[[step]]\npage = "home"\ntext.en = "a"\ntext.ko = "가"\n'
    words = "".join(f'{key}.{language} = "a"\n' for key in ("title", "summary") for language in ("en", "ko"))
    (tmp_path / "mine.toml").write_text(f"minutes = 5\n{words}{step}", encoding="utf-8")
    code, out, _ = call(f"lessons check {tmp_path / 'mine.toml'}")
    assert code == 0 and "1 steps, about 5 minutes" in out
