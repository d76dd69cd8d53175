"""The small autoencoder: what goes in, what comes out, and where it starts."""

import pytest
import torch
from torch import nn

from vitviz.nn.autoencoder import MlpAutoencoder, init_autoencoder


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hidden", [(), (16,), (16, 12)])
@pytest.mark.parametrize("size", [8, 12, 32])
def test_shapes_are_those_that_are_promised(hidden, size):
    model = MlpAutoencoder(input_size=8, embed_dim=5, hidden=hidden)
    output = model(torch.rand(4, 3, size, size) * 2 - 1)
    assert (output.embedding.shape, output.restored.shape, output.target.shape) == ((4, 5), (4, 64), (4, 64))
    assert output.logits.shape == (4, 1) and not output.logits.any()
    assert output.target.min() >= 0 and output.target.max() <= 1


def test_widths_narrow_to_the_embedding_and_widen_again():
    model = MlpAutoencoder(input_size=4, embed_dim=3, hidden=(9, 7))
    widths = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert widths == [(16, 9), (9, 7), (7, 3), (3, 7), (7, 9), (9, 16)]


def test_the_target_is_the_image_in_grey_at_its_size():
    image = torch.zeros(1, 3, 4, 4)
    image[0, :, :2, :2] = torch.tensor([1.0, 0.0, -0.25])[:, None, None]
    target = MlpAutoencoder(input_size=2, embed_dim=1, hidden=())(image).target
    assert target.tolist() == [pytest.approx([0.625, 0.5, 0.5, 0.5])]


def test_the_start_is_a_function_of_the_generator_alone():
    model = MlpAutoencoder(input_size=8, embed_dim=5, hidden=(16,))
    first = {name: value.clone() for name, value in init_autoencoder(model, seeded(1)).state_dict().items()}
    for value in model.parameters():
        value.data.fill_(3)
    again = init_autoencoder(model, seeded(1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = init_autoencoder(model, seeded(2)).state_dict()
    assert not torch.equal(first["encoder.0.weight"], other["encoder.0.weight"])
