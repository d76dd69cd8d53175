"""timm's ViTs by name: untrained and said so, or with weights that are safetensors and fit."""

import io
import pickle

import pytest
import torch
from safetensors.torch import save

from vitviz.errors import Problem
from vitviz.explain.timm_models import list_timm_vits, load_timm

NAME = "test_vit"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in load_timm(NAME, seed=7).model.state_dict().items()}


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in first.state_dict().items())


def test_the_list_holds_vits_and_nothing_else():
    names = list_timm_vits()
    assert {NAME, "vit_tiny_patch16_224", "deit_tiny_patch16_224", "beit_base_patch16_224"} <= set(names)
    assert not [name for name in names if name.startswith(("resnet", "swin", "convnext"))]
    assert names == sorted(set(names))
    assert list_timm_vits("deit") == [name for name in names if name.startswith("deit")]


def test_an_untrained_model_is_called_untrained_and_is_a_function_of_its_seed():
    first, again, other = load_timm(NAME), load_timm(NAME), load_timm(NAME, seed=1)
    assert "untrained" in first.label and NAME in first.label
    assert first.keys is None and not first.model.training
    assert same(first.model, again.model)
    assert not same(first.model, other.model)


def test_loading_a_model_leaves_the_global_randomness_as_it_was():
    before = torch.get_rng_state()
    load_timm(NAME)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("from_file", [False, True])
def test_weights_of_one_s_own_arrive(tensors, tmp_path, from_file):
    content = save(tensors)
    (tmp_path / "own.safetensors").write_bytes(content)
    loaded = load_timm(NAME, weights=tmp_path / "own.safetensors" if from_file else content)
    assert all(torch.equal(value, tensors[key]) for key, value in loaded.model.state_dict().items())
    assert set(loaded.keys.loaded) == set(tensors)
    assert loaded.keys.missing == loaded.keys.unexpected == loaded.keys.reshaped == ()
    assert "weights of your own" in loaded.label and "untrained" not in loaded.label


def test_weights_in_half_precision_become_single(tensors):
    loaded = load_timm(NAME, weights=save({key: value.half() for key, value in tensors.items()}))
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}


def test_what_the_classifier_lacks_and_what_is_left_over_is_reported(tensors):
    given = {key: value for key, value in tensors.items() if key != "head.bias"}
    given |= {"head.weight": torch.zeros(2, 2), "decoder.weight": torch.zeros(3)}
    keys = load_timm(NAME, weights=save(given)).keys
    assert keys.missing == ("head.bias",)
    assert keys.reshaped == ("head.weight",)
    assert keys.unexpected == ("decoder.weight",)
    assert set(keys.loaded) == set(tensors) - {"head.bias", "head.weight"}


@pytest.mark.parametrize("broken", ["missing", "reshaped", "another model"])
def test_weights_that_do_not_fit_are_refused(tensors, broken):
    given = {key: value for key, value in tensors.items() if key != "norm.weight"}
    if broken == "reshaped":
        given["norm.weight"] = torch.ones(3)
    if broken == "another model":
        given = {"conv1.weight": torch.ones(2, 2)}
    with pytest.raises(Problem, match=f"do not fit {NAME}"):
        load_timm(NAME, weights=save(given))


def test_weights_that_are_not_numbers_are_refused(tensors):
    given = {**tensors, "norm.weight": torch.full_like(tensors["norm.weight"], torch.nan)}
    with pytest.raises(Problem, match="NaN or infinite"):
        load_timm(NAME, weights=save(given))


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("make", [pickle.dumps, torch_file])
def test_a_pickle_is_refused_and_never_opened(make):
    with pytest.raises(Problem, match="pickle"):
        load_timm(NAME, weights=make(Trap()))
    assert not Trap.opened


@pytest.mark.parametrize("content", [b"", b"{}", b"not weights at all", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_no_weights_is_refused(content):
    with pytest.raises(Problem, match="not a safetensors file"):
        load_timm(NAME, weights=content)


@pytest.mark.parametrize("length", [0x4280, 0x4B50])
def test_a_safetensors_file_whose_first_bytes_look_like_a_pickle_is_read(tensors, length):
    content = save(tensors)
    start = 8 + int.from_bytes(content[:8], "little")
    padded = length.to_bytes(8, "little") + content[8:start].rstrip().ljust(length) + content[start:]
    assert padded.startswith((b"\x80", b"PK"))
    assert set(load_timm(NAME, weights=padded).keys.loaded) == set(tensors)


def test_a_path_that_leads_nowhere_is_a_problem(tmp_path):
    with pytest.raises(Problem, match=r"gone\.safetensors could not be read"):
        load_timm(NAME, weights=tmp_path / "gone.safetensors")


@pytest.mark.parametrize("name", ["vit_tiny_patch16_225", "hf-hub:someone/model", "resnet18", ""])
def test_an_unknown_name_is_a_problem_before_anything_is_fetched(name):
    with pytest.raises(Problem, match="no ViT named"):
        load_timm(name)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(Problem, match="did you mean 'vit_tiny_patch16_224'"):
        load_timm("vit_tiny_patch16_2244")


def test_a_model_that_would_fill_the_memory_is_refused_before_it_is_built():
    with pytest.raises(Problem, match=r"too large: .* million parameters"):
        load_timm("vit_giant_patch14_224")
