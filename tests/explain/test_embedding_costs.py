"""Costs of embeddings: counts that can be worked out by hand, and measurements that are there at all."""

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain import embedding_costs
from vitviz.explain.embedding_costs import compare_embeddings, measure_throughput
from vitviz.nn.embed import NormedPatchEmbed, SuperTokenEmbed, paper_vit

IMAGE = np.random.default_rng(0).integers(0, 256, (230, 300, 3), np.uint8)


@pytest.fixture(autouse=True)
def hurry(monkeypatch) -> None:
    monkeypatch.setattr(embedding_costs, "_SECONDS", 0.0)


def test_the_three_embeddings_have_the_paper_s_shapes_counted_exactly():
    costs = {cost.name: cost for cost in compare_embeddings(IMAGE)}
    assert {name: cost.parameters for name, cost in costs.items()} == {
        "patch": 297_600,
        "conv": 3_490_560,
        "supertoken": 132_192,
    }
    assert {cost.tokens for cost in costs.values()} == {196}
    assert costs["patch"].macs == 196 * 768 * 384
    assert all(cost.milliseconds > 0 for cost in costs.values())


def test_the_multiply_adds_of_the_super_token_embedding_are_its_convolutions_its_clustering_and_its_layer():
    strides_and_widths = [(2, 3, 16), (1, 16, 32), (2, 32, 32), (1, 32, 64), (2, 64, 64), (1, 64, 64)]
    side, convolutions = 224, 0
    for stride, before, after in strides_and_widths:
        side //= stride
        convolutions += side**2 * 9 * before * after
    tiles, pixels, candidates, iterations = 49, 16, 16, 3
    per_iteration = 2 * tiles * pixels * candidates * 64 + tiles * pixels * candidates  # X S, Q X, sizes
    (cost,) = compare_embeddings(IMAGE, models={"mine": SuperTokenEmbed().eval()})
    assert cost.macs == convolutions + iterations * per_iteration + 196 * 64 * 384


def test_own_models_are_compared_under_their_names():
    models = {
        "small": NormedPatchEmbed(embed_dim=8).eval(),
        "coarse": NormedPatchEmbed(embed_dim=8, patch_size=32).eval(),
    }
    costs = compare_embeddings(IMAGE, models=models)
    assert [(cost.name, cost.tokens) for cost in costs] == [("small", 196), ("coarse", 49)]


def tiny(num_iterations: int) -> torch.nn.Module:
    return paper_vit(SuperTokenEmbed(embed_dim=16, num_iterations=num_iterations), img_size=32, depth=1, num_heads=2)


def test_throughput_names_every_number_of_iterations_in_the_order_asked():
    found = measure_throughput(tiny, (3, 1), batch_size=2, seconds=0, img_size=32)
    assert [one.num_iterations for one in found] == [3, 1]
    assert all(one.images_per_second > 0 and one.spread == 0 and one.num_rounds == 1 for one in found)


def test_throughput_is_the_mean_over_rounds_with_its_standard_deviation(monkeypatch):
    monkeypatch.setattr(embedding_costs, "_take_turns", lambda runs, *, seconds: [[0.5, 0.25], [1.0, 1.0]])
    first, second = measure_throughput(tiny, (1, 2), batch_size=2, img_size=32)
    assert (first.images_per_second, first.spread) == (6, pytest.approx(2 * 2**0.5))
    assert (second.images_per_second, second.spread) == (2, 0)
    assert first.num_rounds == second.num_rounds == 2


def test_the_models_take_turns_so_that_a_slow_moment_meets_them_all():
    calls = []

    def make(number: int) -> torch.nn.Module:
        model = torch.nn.Flatten()
        model.register_forward_pre_hook(lambda *_: calls.append(number))
        return model

    measure_throughput(make, (1, 2), batch_size=1, seconds=0, img_size=4)
    assert calls == [1, 2, 1, 2]


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"iterations": ()}, {"seconds": -1}])
def test_nothing_to_measure_is_a_problem(wrong):
    with pytest.raises(Problem, match="nothing to measure"):
        measure_throughput(tiny, **wrong)
