"""A run's parameters against the network of its settings, and how large that network may be."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from vitviz.errors import Problem
from vitviz.nn.vit import VisionTransformer
from vitviz.runs.folder import Run
from vitviz.training.coat_config import CoatConfig
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.idec import IdecConfig
from vitviz.training.run_weights import put_weights, shape_of
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.supertokens_config import SuperTokensConfig

RUN = Run(Path("mine"))


def weights(**changes) -> dict[str, np.ndarray]:
    given = {"weight": np.ones((3, 2), np.float16), "bias": np.arange(3, dtype=np.float32), **changes}
    return {name: value for name, value in given.items() if value is not None}


def test_weights_of_the_right_names_and_shapes_become_the_models():
    model = nn.Linear(2, 3)
    put_weights(model, weights(), RUN)
    assert (model.weight == 1).all() and model.bias.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias": None}, "do not fit its settings: bias is missing"),
        ({"more": np.ones(1)}, "do not fit its settings: more is not part of the network"),
        ({"weight": np.ones((10, 2))}, "do not fit its settings: weight is 10 x 2, the settings say 3 x 2"),
        ({"bias": np.ones(())}, "do not fit its settings: bias is 1, the settings say 3"),
        ({"bias": np.array([0, np.nan, 1])}, "cannot be used: some of bias are NaN or infinite"),
        ({"weight": np.full((3, 2), np.inf)}, "cannot be used: some of weight are NaN or infinite"),
    ],
)
def test_weights_of_another_network_are_one_sentence_and_change_nothing(changes, words):
    model = nn.Linear(2, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Problem, match=f"the weights of run 'mine' {words}"):
        put_weights(model, weights(**changes), RUN)
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_the_shape_by_which_a_network_is_built_is_bounded():
    assert shape_of(weights(), "weight", 2, RUN) == (3, 2)
    for broken in ({"bias": None}, {"bias": np.ones((3, 3))}, {"bias": np.ones(50_001)}, {"bias": np.ones(0)}):
        with pytest.raises(Problem, match="bias is missing or of another shape"):
            shape_of(weights(**broken), "bias", 1, RUN)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (DeepClusteringConfig, {"depth": 49}),
        (DeepClusteringConfig, {"embed_dim": 2049, "num_heads": 1}),
        (DeepClusteringConfig, {"patch_size": 65}),
        (DeepClusteringConfig, {"mlp_ratio": 17}),
        (DeepClusteringConfig, {"num_heads": 65, "embed_dim": 650}),
        (SuperTokensConfig, {"depth": 10**9}),
        (SuperTokensConfig, {"embed_dim": 30_000}),
        (SubspaceConfig, {"channels": 257}),
        (SubspaceConfig, {"min_hidden": 5000}),
        (CoatConfig, {"embed_dims": (64, 128, 256, 4096)}),
        (CoatConfig, {"serial_depths": (2, 2, 2, 49)}),
        (CoatConfig, {"mlp_ratios": (8, 8, 4, 17)}),
        (CoatConfig, {"patch_size": 65}),
    ],
)
def test_settings_beyond_the_bounds_of_a_network_name_the_bound(config, settings):
    with pytest.raises(Problem, match="must be at most"):
        config(**settings)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (DeepClusteringConfig, {"depth": 48, "embed_dim": 2048, "num_heads": 8}),
        (SuperTokensConfig, {"depth": 40, "embed_dim": 1024, "num_heads": 8}),
        (CoatConfig, {"embed_dims": (2048,) * 4, "serial_depths": (8,) * 4}),
    ],
)
def test_settings_within_the_bounds_may_still_make_too_large_a_network(config, settings):
    with pytest.raises(Problem, match=r"make a network of [\d,]+ million parameters: at most 350 are built"):
        config(**settings)


def test_an_autoencoder_of_gigabytes_is_refused():
    with pytest.raises(Problem, match="too large a network"):
        IdecConfig(hidden=(20_000, 20_000))


def test_more_tokens_than_are_ever_fed_are_refused():
    with pytest.raises(Problem, match="img_size=1024 and patch_size=1 make 1,048,576 tokens, at most 65,536"):
        VisionTransformer(img_size=1024, patch_size=1, embed_dim=8, depth=1, num_heads=1)
