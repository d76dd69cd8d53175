"""A foreign checkpoint becomes a safetensors file that opens anywhere, or is refused in a sentence; nothing in it is run."""

import io
import os
import pickle
import signal
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vitviz.__main__ import main
from vitviz.errors import Problem
from vitviz.explain.timm_models import load_model_by_name, load_timm
from vitviz.explain.weight_conversion import convert_weights
from vitviz.explain.weight_files import read_weights

NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return load_timm(NAME, seed=3).model.state_dict()


@pytest.fixture
def saved(tmp_path):
    """``saved(content, name)``: the file that ``torch.save`` makes of it."""

    def write(content: object, name: str = "source.pth", **settings) -> Path:
        torch.save(content, tmp_path / name, **settings)
        return tmp_path / name

    return write


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out.safetensors"


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def test_tensors_are_written_as_they_were_with_types_of_their_own(saved, out):
    content = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16), "c": torch.tensor(7)}
    done = convert_weights(saved({"state_dict": content, "epoch": 3}), out, part="state_dict")
    found = load_file(out)
    assert found.keys() == content.keys() and done.num_tensors == 3
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in content.items())
    assert read_weights(out).keys() == content.keys()


def test_a_part_of_a_large_tensor_is_written_alone_and_turned_ones_as_they_read(saved, out):
    large = torch.arange(10_000.0).reshape(100, 100)
    convert_weights(saved({"slice": large[3, :5], "turned": large[:2, :3].T}), out)
    found = load_file(out)
    assert torch.equal(found["slice"], large[3, :5]) and torch.equal(found["turned"], large[:2, :3].T)
    assert out.stat().st_size < 500


def test_a_tensor_under_two_names_is_written_once_and_the_other_name_noted(saved, out):
    tied = torch.randn(50, 50)
    done = convert_weights(saved({"head.weight": tied, "embed.weight": tied, "other": tied.clone()}), out)
    assert done.shared == {"embed.weight": "head.weight"} and done.num_tensors == 2
    with safe_open(out, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "embed.weight": "head.weight"}
        assert set(file.keys()) == {"head.weight", "other"}
    assert "embed.weight that of head.weight" in done.lines()[1]


def test_without_a_part_the_parts_there_are_are_told(saved, out):
    done = convert_weights(
        saved({"teacher": {"a": torch.ones(1), "b": torch.ones(1)}, "student": {"a": torch.ones(1)}}), out
    )
    assert done.lines()[-1] == "the names in the source begin with teacher (2), student (1); --part writes one of them"


def test_as_a_model_the_names_are_timms_and_what_did_not_fit_is_told(tensors, saved, out):
    backbone = {f"module.backbone.{key}": value for key, value in tensors.items() if key != "head.bias"}
    done = convert_weights(saved({"student": backbone, "decoder": {"weight": torch.ones(3)}}), out, model_name=NAME)
    assert done.keys.part == "student.module.backbone." and done.keys.missing == ("head.bias",)
    assert "  missing in the file: head.bias" in done.lines()
    found = load_file(out)
    assert found.keys() == tensors.keys() - {"head.bias"}
    assert all(torch.equal(found[name], tensors[name]) for name in found)
    assert set(load_model_by_name(NAME, weights=out).keys.loaded) == set(found)


def test_what_is_another_model_is_refused_and_nothing_is_written(saved, out):
    with pytest.raises(Problem, match=f"do not fit {NAME}"):
        convert_weights(saved({"weight": torch.ones(3)}), out, model_name=NAME)
    assert not out.exists()


@pytest.mark.parametrize("kind", ["code", "old", "pickle"])
def test_a_file_that_could_run_code_is_explained_and_never_opened(saved, out, tmp_path, kind):
    if kind == "code":
        source = saved({"a": torch.ones(1), "trap": Trap()})
    elif kind == "old":
        source = saved({"a": torch.ones(1)}, _use_new_zipfile_serialization=False)
    else:
        source = tmp_path / "own.pkl"
        source.write_bytes(pickle.dumps({"trap": Trap()}))
    with pytest.raises(Problem, match=r"code.*no file that could run code is opened here") as raised:
        convert_weights(source, out)
    assert source.name in str(raised.value) and "weights_only" not in str(raised.value)
    assert not Trap.opened and not out.exists()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ({"a": torch.tensor([1.0, float("nan")])}, "some numbers of 'a' are NaN or infinite"),
        ({"a": torch.ones(2).to_sparse()}, r"cannot be opened|could not be read"),
        ({"epoch": 3}, "there are no tensors with names"),
    ],
)
def test_what_would_be_of_no_use_is_refused(saved, out, content, rule):
    with pytest.raises(Problem, match=rule):
        convert_weights(saved(content), out)
    assert not out.exists()


def test_a_part_that_is_not_there_is_refused_naming_those_that_are(saved, out):
    with pytest.raises(Problem, match="no part 'ema': its names begin with model"):
        convert_weights(saved({"model": {"a": torch.ones(1)}}), out, part="ema")


def test_a_file_that_exists_a_folder_that_does_not_and_another_ending_are_refused(saved, out, tmp_path):
    source = saved({"a": torch.ones(1)})
    out.write_bytes(b"mine")
    for place, rule in (
        (out, "exists"),
        (tmp_path / "no" / "a.safetensors", "does not exist"),
        (tmp_path / "a.pt", "ends with"),
    ):
        with pytest.raises(Problem, match=rule):
            convert_weights(source, place)
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_file_may_be_read_by_whom_the_umask_says_and_nothing_is_left_beside_it(saved, out, tmp_path, mask):
    source, before = saved({"a": torch.ones(1)}), os.umask(mask)
    try:
        convert_weights(source, out)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.safetensors", "source.pth"]


def test_the_command_says_what_it_wrote_and_refuses_in_one_line(saved, out, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    save_file({"x.a": torch.ones(2)}, tmp_path / "in.safetensors")
    assert main(["convert", str(tmp_path / "in.safetensors"), str(out), "--part", "x"]) == 0
    assert "1 tensor, " in capsys.readouterr().out and list(load_file(out)) == ["a"]
    assert main(["convert", str(tmp_path / "in.safetensors"), str(out)]) == 1
    assert capsys.readouterr().err.startswith(f"vitviz: {out} exists")


def test_a_file_that_is_damaged_is_refused_as_the_reader_says(tmp_path, out):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(100)}, buffer)
    (tmp_path / "cut.pth").write_bytes(buffer.getvalue()[:-40])
    with pytest.raises(Problem, match=r"cut\.pth could not be read"):
        convert_weights(tmp_path / "cut.pth", out)
