"""Runs of vitviz as models to look inside: those that are shipped, and why some are none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.explain.opened_models import load_run_model
from vitviz.explain.preprocessing import prepare
from vitviz.nn.coat import CoaT
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Samples
from vitviz.training.coat import build_model
from vitviz.training.coat_config import CoatConfig
from vitviz.training.deep_clustering import embed_with

SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture(scope="module")
def digits() -> Run:
    return Run(SHIPPED / "digits")


def pictures(img_size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, img_size, img_size, 3), np.uint8)


@pytest.mark.parametrize("index", [0, 6])
def test_a_round_of_deep_clustering_is_the_network_that_made_its_embeddings(digits, index):
    opened, images = load_run_model(digits, index), pictures(32)
    for pixels, wanted in zip(images, embed_with(digits, index, images), strict=True):
        fed, shown = prepare(opened.model, pixels, opened.preprocessing)
        assert np.array_equal(shown, pixels)
        with torch.inference_mode():
            found = opened.model(fed).embedding[0]
        assert torch.allclose(found, torch.tensor(wanted), atol=1e-5)


def test_without_a_round_it_is_the_network_as_it_is_now(digits):
    now, weights = load_run_model(digits).model.state_dict(), digits.weights()
    assert all(np.array_equal(now[name].numpy(), value) for name, value in weights.items())
    early = load_run_model(digits, 0).model.state_dict()
    assert any(not torch.equal(early[name], now[name]) for name in now)


def test_an_opened_run_says_what_it_is_and_is_read_only(digits):
    opened = load_run_model(digits, 3)
    assert opened.label == "run digits, round 3" and opened.class_names == tuple("0123456789")
    assert opened.is_trained and opened.has_classifier and opened.keys is None
    assert opened.recipe.startswith("run digits, round 3; short side resized to 32 px")
    assert not opened.model.training and not any(one.requires_grad for one in opened.model.parameters())


def test_trained_on_its_own_clusters_its_classes_are_clusters(digits, tmp_path):
    shutil.copytree(SHIPPED / "digits", tmp_path / "own", ignore=shutil.ignore_patterns("rounds"))
    about = (tmp_path / "own" / "run.json").read_text()
    (tmp_path / "own" / "run.json").write_text(about.replace('"targets": "classes"', '"targets": "pseudo_labels"'))
    assert load_run_model(Run(tmp_path / "own")).class_names[:2] == ("cluster 0", "cluster 1")


def test_a_super_token_classifier_is_opened_with_its_classes():
    run = Run(SHIPPED / "clothing-supertoken")
    opened, fed_size = load_run_model(run), run.description().img_size
    fed, _ = prepare(opened.model, pictures(fed_size)[0], opened.preprocessing)
    with torch.inference_mode():
        assert opened.model(fed).logits.shape == (1, len(opened.class_names)) == (1, 10)


COAT = {
    "patch_size": 2,
    "embed_dims": [8, 8, 16, 16],
    "serial_depths": [1, 1, 1, 1],
    "num_heads": 2,
    "kind": "unclustered",
}


def test_a_coat_is_opened_as_its_run_clusters():
    about = Description(
        method="coat",
        settings=COAT,
        dataset="by hand",
        dataset_fingerprint="0123456789abcdef",
        img_size=32,
        num_images=2,
        class_names=("a", "b"),
        num_clusters=2,
        seed=0,
    )
    run = create_run("coat", about, Samples(np.arange(2), np.arange(2), np.zeros(2, bool)))
    with pytest.raises(Problem, match="has no weights yet"):
        load_run_model(run)
    made = build_model(from_plain(CoatConfig, COAT), img_size=32, num_classes=2, seed=5).state_dict()
    run.save_weights({name: value.numpy() for name, value in made.items()})
    opened = load_run_model(run)
    assert isinstance(opened.model, CoaT) and opened.class_names == ("a", "b")
    assert all(torch.equal(value, made[name]) for name, value in opened.model.state_dict().items())


@pytest.mark.parametrize("name", ["digits-unsupervised", "coil20-gated"])
def test_an_autoencoder_has_no_attention(name):
    with pytest.raises(
        Problem, match=f"run '{name}' has no attention to look at: its network is an autoencoder; choose"
    ):
        load_run_model(Run(SHIPPED / name))


def test_a_round_that_is_not_there_is_one_sentence(digits):
    with pytest.raises(Problem, match="kept no weights for round 99"):
        load_run_model(digits, 99)
    with pytest.raises(Problem, match="has no round 1: a classifier has one, number 0"):
        load_run_model(Run(SHIPPED / "clothing-supertoken"), 1)


# Before training


@pytest.mark.parametrize(("name", "method"), [("digits", "deep_clustering"), ("clothing-supertoken", "supertokens")])
def test_untrained_a_run_has_the_weights_that_its_training_began_with(name, method):
    from vitviz.training import deep_clustering, supertokens
    from vitviz.training.methods import config_of

    run = Run(SHIPPED / name)
    about, build = (
        run.description(),
        {"deep_clustering": deep_clustering, "supertokens": supertokens}[method].build_model,
    )
    own = build(config_of(run), img_size=about.img_size, num_classes=len(about.class_names), seed=about.seed)
    opened, trained = load_run_model(run, untrained=True), load_run_model(run)
    for key, value in opened.model.state_dict().items():
        assert torch.equal(value, own.state_dict()[key]), key
    assert any(not torch.equal(v, trained.model.state_dict()[key]) for key, v in own.state_dict().items())
    assert opened.label == f"run {name} before training (random weights of seed {about.seed})"
    assert not opened.is_trained and not opened.has_classifier and opened.class_names == ()
    assert trained.is_trained and trained.class_names == about.class_names


@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
def test_integrated_gradients_of_a_super_token_run_add_up(baseline):
    from vitviz.data.photographs import open_photograph
    from vitviz.explain.attribution import METHODS, class_target

    opened = load_run_model(Run(SHIPPED / "clothing-supertoken"))
    assert opened.model.patch_embed.grad == "full"
    images, _ = prepare(opened.model, open_photograph("cat", max_side=512).pixels, opened.preprocessing)
    attribute = METHODS["integrated_gradients"].attribute
    found = attribute(opened.model, images, class_target(7), baseline=baseline, num_steps=64, max_steps=64)
    assert found.completeness < 0.01
    assert found.map.sum() == pytest.approx(found.score - found.baseline_score, rel=0.01)
