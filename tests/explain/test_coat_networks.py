"""CoaT-Lite with weights of one's own: what fits is loaded and told, what does not is one sentence."""

import pytest
import torch
from safetensors.torch import save

from vitviz.errors import Problem
from vitviz.explain.coat_networks import SIZES, load_lite
from vitviz.nn import coat


@pytest.fixture(scope="module")
def tensors() -> dict:
    return {name: value.clone() for name, value in load_lite("tiny", seed=5).model.state_dict().items()}


def test_the_sizes_are_those_of_the_network():
    assert tuple(coat.SIZES) == SIZES


def test_without_a_file_the_weights_are_the_seed_s_and_the_label_says_so():
    first, again, other = (load_lite("tiny", seed=seed) for seed in (1, 1, 2))
    weights = [one.model.serial_blocks1[0].mlp.fc1.weight for one in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.label == "CoaT-Lite Tiny, untrained (random weights of seed 1)" and first.keys is None
    assert not first.model.training and not any(one.requires_grad for one in first.model.parameters())


def test_a_file_is_loaded_tensor_by_tensor(tensors):
    found = load_lite("tiny", weights=save(tensors))
    assert all(torch.equal(value, tensors[name]) for name, value in found.model.state_dict().items())
    assert set(found.keys.loaded) == set(tensors)
    assert found.keys.missing == found.keys.unexpected == found.keys.reshaped == ()
    assert f"weights of your own ({len(tensors)} tensors)" in found.label


def test_a_file_that_names_a_shared_tensor_once_is_whole(tensors):
    once = {name: value for name, value in tensors.items() if ".cpe." not in name and ".crpe." not in name}
    found = load_lite("tiny", weights=save(once))
    assert found.keys.missing == () and len(found.keys.loaded) == len(once) < len(tensors)
    assert all(torch.equal(value, tensors[name]) for name, value in found.model.state_dict().items())


def test_a_classifier_of_other_classes_is_taken_and_one_that_lacks_is_zero(tensors):
    other = {**tensors, "head.weight": torch.ones(7, 320), "head.bias": torch.zeros(7), "more": torch.zeros(1)}
    found = load_lite("tiny", weights=save(other))
    assert found.model.head.out_features == 7 and found.keys.unexpected == ("more",)
    headless = load_lite("tiny", weights=save({k: v for k, v in tensors.items() if not k.startswith("head.")}))
    assert headless.keys.missing == ("head.bias", "head.weight")
    odd = load_lite("tiny", weights=save({**tensors, "head.weight": torch.zeros(())}))
    assert odd.keys.reshaped == ("head.weight",) and not odd.model.head.weight.any()
    assert not headless.model.head.weight.any() and not headless.model.head.bias.any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: {"more": torch.zeros(1)}, "do not fit CoaT-Lite Tiny: .*tensors lack"),
        (lambda tensors: {**tensors, "cpe1.proj.bias": torch.zeros(3)}, "'cpe1.proj.bias' first"),
        (lambda tensors: {**tensors, "norm4.bias": torch.full((320,), torch.nan)}, "NaN or infinite"),
    ],
    ids=["nothing of it", "another shape", "NaN"],
)
def test_what_does_not_fit_is_refused_by_name(tensors, change, sentence):
    with pytest.raises(Problem, match=sentence):
        load_lite("tiny", weights=save(change(tensors)))


def test_another_size_a_pickle_and_a_text_are_one_sentence(tensors):
    with pytest.raises(Problem, match="do not fit CoaT-Lite Mini"):
        load_lite("mini", weights=save(tensors))
    with pytest.raises(Problem, match="are a pickle"):
        load_lite("tiny", weights=b"\x80\x02}q\x00.")
    with pytest.raises(Problem, match="the weights could not be read"):
        load_lite("tiny", weights=b"I am a text.")
    with pytest.raises(Problem, match="size='huge'"):
        load_lite("huge")


def test_a_head_of_another_width_makes_no_network_of_its_size(tensors):
    found = load_lite("tiny", weights=save({**tensors, "head.weight": torch.zeros(3_000_000, 1, dtype=torch.int8)}))
    assert found.keys.reshaped == ("head.weight",) and found.model.head.out_features == 1000


@pytest.mark.parametrize("kind", [torch.complex64, torch.int32])
def test_numbers_that_are_no_fractions_are_one_sentence(tensors, kind):
    with pytest.raises(Problem, match=f"'norm4.bias' holds {str(kind)[6:]}, not floating-point numbers"):
        load_lite("tiny", weights=save({**tensors, "norm4.bias": torch.zeros(320, dtype=kind)}))
