"""compile=on: refused where it gains nothing, and elsewhere the same model under the same names."""

import pytest
import torch

from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.nn.vit import VisionTransformer, init_weights
from vitviz.training.coat_config import CoatConfig
from vitviz.training.compiling import check_compile, compiled
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.state import load_state_tensors, make_optimizer, state_tensors
from vitviz.training.supertokens_config import SuperTokensConfig

CUDA, CPU, MPS = map(torch.device, ("cuda", "cpu", "mps"))
CONFIGS = (DeepClusteringConfig, SuperTokensConfig, CoatConfig)


def network() -> VisionTransformer:
    shape = {"img_size": 16, "patch_size": 8, "num_classes": 3, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return init_weights(VisionTransformer(**shape), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("config", CONFIGS)
def test_it_is_off_unless_asked_for_and_takes_no_other_word(config):
    assert config().compile == "off" and config(compile="on").compile == "on"
    with pytest.raises(Problem, match="compile"):
        from_plain(config, {"compile": "maybe"})


@pytest.mark.parametrize(("device", "why"), [(CPU, "measured to gain nothing"), (MPS, "never tried")])
def test_it_is_refused_in_one_sentence_where_it_gains_nothing(device, why):
    with pytest.raises(Problem, match=f"compile=on cannot be used on {device.type}: .*{why}.*compile=off"):
        compiled(network(), "on", device)
    check_compile("off", device)
    check_compile("on", CUDA)


def test_a_run_that_asks_for_it_on_a_cpu_is_not_begun(start):
    with pytest.raises(Problem, match="compile=on cannot be used on cpu"):
        start("compiled", compile="on", device="cpu")


def test_off_leaves_the_model_as_it_is():
    model = network()
    assert compiled(model, "off", CPU) is model and model._compiled_call_impl is None


def test_a_compiled_model_gives_the_same_numbers_gradients_and_names():
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    seen = []

    def watching(graph, inputs):
        seen.append(1)
        return graph.forward

    plain = network()
    # the device is only asked for its kind; a backend that watches computes on the CPU
    model = compiled(network(), "on", CUDA, backend=watching)
    assert torch.equal(model(images).logits, plain(images).logits) and seen
    for one in (model, plain):
        one(images).logits.square().sum().backward()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    assert list(state_tensors(model)) == list(state_tensors(plain))


def test_what_a_compiled_model_saved_a_plain_one_goes_on_from():
    model = compiled(network(), "on", CUDA, backend="eager")
    optimizer = make_optimizer(model, lr=1e-2, weight_decay=0.0)
    model(torch.ones(2, 3, 16, 16)).logits.square().sum().backward()
    optimizer.step()
    plain = network()
    load_state_tensors(state_tensors(model, optimizer), plain, make_optimizer(plain, lr=1e-2, weight_decay=0.0))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
