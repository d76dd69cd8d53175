"""Counts and agreement over many images: each image's own, whatever stands beside it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.explain.coat_images import agreement, answer, counts_of, exact_of
from vitviz.explain.coat_input import AS_TRAINED, to_input
from vitviz.nn.coat import CoaT, init_weights
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.nn.query_groups import Grouping

SINGLETONS = Clustering(grouping=Grouping(r_rel=1e-5), mlp_stages=(2,), mlp_grouping=Grouping(r_rel=1e-5))
COARSE = Clustering(attention=("softmax",) * 4, grouping=Grouping(method="random", num_clusters=2))


@pytest.fixture(scope="module")
def model() -> CoaT:
    sizes = {"embed_dims": (16, 16, 24, 32), "serial_depths": (2, 1, 1, 1), "mlp_ratios": (2, 2, 2, 2)}
    model = init_weights(CoaT(patch_size=2, num_classes=7, **sizes), torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        if "qkv" in name or "head" in name:
            parameter.data.mul_(30)
    return model.eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """From one plain colour to noise of growing strength."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(5, 16, 16, 3)) * np.array([0, 5, 20, 40, 60])[:, None, None, None]
    return np.clip(128 + noise, 0, 255).astype(np.uint8)


def test_the_counts_of_an_image_are_its_own_whatever_the_batch(model, images):
    all_at_once, in_pairs = (counts_of(model, images, batch_size=size) for size in (5, 2))
    assert all_at_once.names == ("stage 1, block 1", "stage 1, block 2", "stage 2, block 1")
    assert all_at_once.num_tokens.tolist() == [64, 64, 16]
    assert all_at_once.counts.shape == (5, 3)
    assert (
        np.abs(all_at_once.counts - in_pairs.counts).max() <= 0.25
    )  # a query on the edge of a bucket may fall either way
    with torch.no_grad():
        blocks = model(to_input(model, images, AS_TRAINED), keep=("groups",)).blocks
    assert np.allclose(all_at_once.counts[:, 0], blocks[0].groups.counts.float().mean(dim=1))
    assert (all_at_once.counts >= 1).all() and (all_at_once.counts <= all_at_once.num_tokens).all()


def test_shares_sort_pictures_from_plain_to_rich_and_are_one_when_every_token_stands_alone(model, images):
    found = counts_of(model, images)
    assert found.shares == pytest.approx(found.counts.sum(axis=1) / 144)
    assert found.shares.argmin() == 0 and (found.shares > 0).all() and (found.shares <= 1).all()
    assert counts_of(model, images[4:], SINGLETONS).shares == pytest.approx(1)


def test_groups_before_a_clustered_mlp_are_counted_apart(model, images):
    found = counts_of(model, images[4:], SINGLETONS, of="mlp")
    assert (found.names, found.num_tokens.tolist(), found.counts.tolist()) == (("stage 2, block 1",), [16], [[16]])
    with pytest.raises(Problem, match="there are no groups of mlp"):
        counts_of(model, images, of="mlp")
    with pytest.raises(Problem, match="there are no groups of queries"):
        counts_of(model, images, UNCLUSTERED)


@pytest.mark.parametrize("clustering", [UNCLUSTERED, SINGLETONS])
def test_a_model_agrees_with_itself(model, images, clustering):
    found = agreement(model, images, clustering, batch_size=2)
    assert found.top1 == 1 and found.kl == pytest.approx(0, abs=1e-6) and found.num_images == 5


def test_agreement_is_that_of_the_logits(model, images):
    found = agreement(model, images, COARSE, batch_size=2)
    with torch.no_grad():
        batch = to_input(model, images, AS_TRAINED)
        exact, clustered = (model(batch, clustering=one).logits.double() for one in (UNCLUSTERED, COARSE))
    divergence = F.kl_div(clustered.log_softmax(1), exact.log_softmax(1), log_target=True, reduction="batchmean")
    assert found.kl == pytest.approx(float(divergence), rel=1e-3) and found.kl > 1e-3
    assert found.top1 == pytest.approx(float((exact.argmax(1) == clustered.argmax(1)).double().mean()))


def test_a_clustered_softmax_of_single_queries_is_the_full_one_and_not_coat_s_own(model, images):
    softmax = Clustering(attention=("softmax", "factorised", "unclustered", "softmax"), grouping=Grouping(r_rel=1e-5))
    exact = exact_of(Clustering(attention=softmax.attention, gate="value", mlp_stages=(1,)))
    assert exact.attention == ("full softmax", "unclustered", "unclustered", "full softmax")
    assert exact.gate == "value" and exact.mlp_stages == ()
    assert agreement(model, images, softmax, against=exact_of(softmax)).kl == pytest.approx(0, abs=1e-6)
    assert agreement(model, images, softmax).kl > 1e-3


def test_the_answer_to_one_picture_is_the_model_s_and_its_divergence_that_of_the_agreement(model, images):
    found = answer(model, images[3], COARSE)
    with torch.no_grad():
        batch = to_input(model, images[3:4], AS_TRAINED)
        exact, clustered = (model(batch, clustering=one).logits[0].double() for one in (UNCLUSTERED, COARSE))
    assert found.exact == pytest.approx(exact.softmax(0).numpy()) and found.exact.shape == (7,)
    assert found.clustered == pytest.approx(clustered.softmax(0).numpy())
    assert found.kl == pytest.approx(agreement(model, images[3:4], COARSE).kl) and found.kl > 1e-3
    same = answer(model, images[3], COARSE, against=COARSE)
    assert same.kl == 0 and (same.exact == same.clustered).all()


@pytest.mark.parametrize("measure", [counts_of, agreement])
def test_no_images_are_a_problem(model, images, measure):
    with pytest.raises(Problem, match="nothing to look at"):
        measure(model, images[:0])
