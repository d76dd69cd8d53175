"""A config of the hub becomes a known name and a few checked values, or one sentence."""

import pytest

from vitviz.errors import Problem
from vitviz.explain.timm_configs import arguments_of

KNOWN = ("test_vit", "vit_tiny_patch16_224")


def test_a_config_of_timm_is_read():
    config = {
        "architecture": "test_vit",
        "num_classes": 10,
        "num_features": 64,
        "global_pool": "token",
        "model_args": {"img_size": [192, 192], "global_pool": "avg"},
        "pretrained_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.5, 0.5],
            "crop_pct": 0.9,
            "crop_mode": "squash",
            "interpolation": "bilinear",
            "input_size": [3, 192, 192],
            "url": "/etc/passwd",
            "file": "/etc/passwd",
        },
    }
    name, arguments = arguments_of(config, KNOWN)
    overlay = arguments.pop("pretrained_cfg_overlay")
    assert name == "test_vit" and arguments == {"num_classes": 10, "img_size": 192, "global_pool": "avg"}
    assert overlay == {
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.5, 0.5),
        "crop_pct": 0.9,
        "crop_mode": "squash",
        "interpolation": "bilinear",
        "input_size": (3, 192, 192),
    }


def test_the_name_suffices():
    assert arguments_of({"architecture": "test_vit"}, KNOWN) == ("test_vit", {})


@pytest.mark.parametrize("name", [None, 3, "", "resnet18", "hf-hub:a/b", ["test_vit"]])
def test_a_config_without_a_vision_transformer_is_refused(name):
    with pytest.raises(Problem, match="names no vision transformer of timm"):
        arguments_of({"architecture": name}, KNOWN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_classes": 10**9}, "num_classes=1000000000 .* a whole number, 0 to 50000"),
        ({"num_classes": True}, "num_classes=True"),
        ({"num_classes": "10"}, "num_classes=10 of the config"),
        ({"model_args": [1]}, "model_args=.* must be a table"),
        ({"model_args": {"embed_dim": 10**6}}, "unknown argument 'embed_dim'"),
        ({"model_args": {"img_size": 100_000}}, "img_size=100000 .* 16 to 1024"),
        ({"model_args": {"img_size": [224, 192]}}, "img_size"),
        ({"model_args": {"global_pool": "eval"}}, "global_pool=eval .* one of"),
        ({"pretrained_cfg": {"mean": [0.5, 0.5]}}, "mean"),
        ({"pretrained_cfg": {"mean": [0.5, 0.5, float("nan")]}}, "mean"),
        ({"pretrained_cfg": {"std": [0, 0.5, 0.5]}}, "std"),
        ({"pretrained_cfg": {"crop_pct": 0}}, r"crop_pct=0 .* 0\.1 to 1"),
        ({"pretrained_cfg": {"crop_pct": float("nan")}}, "crop_pct"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "crop_mode"),
        ({"pretrained_cfg": {"interpolation": ["bicubic"]}}, "interpolation"),
        ({"pretrained_cfg": {"input_size": [1, 224, 224]}}, "input_size"),
        ({"pretrained_cfg": {"input_size": [3, 10**6, 10**6]}}, "input_size"),
    ],
)
def test_what_is_out_of_range_or_unknown_is_named(change, words):
    with pytest.raises(Problem, match=words):
        arguments_of({"architecture": "test_vit", **change}, KNOWN)
