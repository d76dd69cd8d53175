"""What a network is fed: as timm feeds it, to the last bit of the picture, and told in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vitviz.errors import Problem
from vitviz.explain.preprocessing import AS_TRAINED, IMAGENET, Preprocessing, frame, prepare, preprocessing_of, to_input
from vitviz.explain.timm_names import import_timm


class Model(torch.nn.Module):
    """Nothing but a place, a precision and what timm keeps beside a model."""

    def __init__(self, **about):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.pretrained_cfg = {"input_size": (3, 32, 32), **about}


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(50, 90), (91, 40), (32, 32), (33, 33), (20, 47), (12, 90)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.9, 0.875])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_picture_is_fed_as_timm_feeds_it(size, crop_pct, crop_mode, interpolation):
    import_timm()
    from timm.data import create_transform, resolve_model_data_config

    model = Model(crop_pct=crop_pct, crop_mode=crop_mode, interpolation=interpolation, mean=(0.1, 0.2, 0.3))
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    pixels = picture(*size)
    found, shown = prepare(model, pixels, preprocessing_of(model))
    assert found.shape == (1, 3, 32, 32) and shown.shape == (32, 32, 3) and shown.dtype == np.uint8
    assert torch.allclose(found[0], transform(Image.fromarray(pixels)), atol=2e-6)


def test_what_is_shown_is_what_the_network_saw():
    found, shown = prepare(Model(), picture(40, 70), replace(IMAGENET, img_size=24))
    mean, std = (np.array(of, np.float32)[:, None, None] for of in (IMAGENET.mean, IMAGENET.std))
    seen = (found[0].numpy() * std + mean) * 255
    assert np.allclose(seen.transpose(1, 2, 0), shown, atol=1e-3)


def test_a_picture_of_the_right_size_is_not_touched():
    pixels = picture(24, 24)
    assert np.array_equal(frame(pixels, replace(AS_TRAINED, img_size=24)), pixels)


def test_squashed_all_of_the_picture_is_seen_and_in_the_centre_only_the_centre():
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, :30, 0] = pixels[:, -30:, 0] = 255
    fed = Preprocessing("any", img_size=30, crop_share=0.9)
    assert frame(pixels, fed, "centre").max() == 0
    whole = frame(pixels, fed, "squash")
    assert whole[:, :9].min(axis=(0, 1))[0] == whole[:, -9:].min(axis=(0, 1))[0] == 255
    assert whole[:, 12:18].max() == 0


@pytest.mark.parametrize("size", [(1, 900), (900, 1), (2, 700)])
@pytest.mark.parametrize("framing", ["centre", "squash"])
def test_a_strip_is_a_square_too(size, framing):
    assert frame(picture(*size), replace(IMAGENET, crop_share=0.9), framing).shape == (224, 224, 3)


def test_an_unknown_framing_is_one_sentence():
    with pytest.raises(Problem, match="framing='whole' must be one of centre, squash"):
        frame(picture(4, 4), AS_TRAINED, "whole")


def test_it_is_told_in_one_line():
    fed = replace(IMAGENET, crop_share=0.9)
    assert fed.sentence() == (
        "short side resized to 248 px (bicubic), of that the centre 224 x 224; "
        "ImageNet's mean and deviation: mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    )
    assert fed.sentence("squash").startswith("stretched to 224 x 224 px (bicubic); ImageNet's")
    squashing = replace(fed, framing="squash")
    assert squashing.sentence().startswith("stretched to 248 x 248 px (bicubic), of that the centre 224 x 224; ")


def test_what_timm_knows_of_a_model_is_taken_over():
    known = preprocessing_of(Model(mean=IMAGENET.mean, std=IMAGENET.std, crop_pct=0.95, crop_mode="squash"))
    assert known == replace(IMAGENET, img_size=32, crop_share=0.95, framing="squash")
    assert preprocessing_of(Model(mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0), 48) == replace(
        AS_TRAINED, img_size=48
    )
    assert preprocessing_of(Model(mean=(0.4, 0.5, 0.6))).name == "the model's own mean and deviation"


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 32, 48)])
def test_a_model_of_other_pictures_is_refused(size):
    with pytest.raises(Problem, match="no square colour pictures"):
        preprocessing_of(Model(input_size=size))


def test_the_tensor_has_the_model_s_precision():
    assert to_input(Model().double(), picture(8, 8)[None], AS_TRAINED).dtype == torch.float64
