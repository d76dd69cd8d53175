"""The autoencoder of subspace clustering: its padding by hand, its gate as equation 1, its losses, and its guards."""

import pytest
import torch
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.subspace import (
    ChannelAttention,
    SubspaceAutoencoder,
    gate_spread,
    init_attention,
    init_subspace,
    is_dead_encoder,
    is_dead_gate,
    self_expression_loss,
    subspace_loss,
    with_attention,
)

SIZES = [32, 31, (8, 6), (7, 6), (5, 9), 1]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def started(seed: int = 0, **settings) -> SubspaceAutoencoder:
    identity_gate = settings.pop("identity_gate", False)
    return init_subspace(SubspaceAutoencoder(**settings), seeded(seed), identity_gate=identity_gate).double()


def images_of(size, *, number: int = 4, in_chans: int = 1) -> torch.Tensor:
    height, width = (size, size) if isinstance(size, int) else size
    return torch.rand(number, in_chans, height, width, generator=seeded(9), dtype=torch.float64)


@pytest.mark.parametrize("in_chans", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_shapes_are_those_that_are_promised(size, in_chans):
    model = started(img_size=size, in_chans=in_chans, channels=5, attention=True)
    images = images_of(size, in_chans=in_chans)
    output = model(images, torch.eye(4).double(), keep=("features", "gate", "expressed"))
    rows, columns = model.grid
    assert (rows, columns) == tuple(-(-side // 2) for side in images.shape[-2:])
    assert output.features.shape == (4, 5, rows, columns) and output.features.min() >= 0
    assert output.latent.shape == output.expressed.shape == (4, 5 * rows * columns)
    assert output.gate.shape == (4, 5) and output.gate.min() >= 0 and output.gate.max() <= 1
    assert output.restored.shape == images.shape


def test_what_is_not_asked_for_is_none():
    output = started(img_size=8, channels=2, attention=True)(images_of(8))
    assert (output.features, output.gate, output.expressed) == (None, None, None)
    plain = started(img_size=8, channels=2)(images_of(8), keep=("gate", "expressed"))
    assert (plain.gate, plain.expressed) == (None, None)


@pytest.mark.parametrize("size", SIZES)
def test_the_encoder_sees_three_by_three_pixels_from_every_second_one_and_nothing_past_the_end(size):
    model = started(img_size=size, channels=2)
    image = images_of(size)[0, 0]
    height, width = image.shape
    expected = torch.zeros(2, *model.grid, dtype=torch.float64)
    for channel in range(2):
        for row in range(model.grid[0]):
            for column in range(model.grid[1]):
                for y in range(3):
                    for x in range(3):
                        if 2 * row + y < height and 2 * column + x < width:
                            weight = model.encoder.weight[channel, 0, y, x]
                            expected[channel, row, column] += weight * image[2 * row + y, 2 * column + x]
    found = model(image[None, None], keep=("features",)).features[0]
    assert torch.allclose(found, F.relu(expected), atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_with_shared_weights_the_decoder_is_the_transpose_of_the_encoder(size):
    model = started(img_size=size, channels=3)
    model.decoder.weight.data = model.encoder.weight.data
    images, latent = images_of(size), torch.randn(4, 3 * model.grid[0] * model.grid[1], generator=seeded()).double()
    linear = model.encoder(F.pad(images, (0, 1 + images.shape[3] % 2, 0, 1 + images.shape[2] % 2))).flatten(1)
    assert torch.allclose((linear * latent).sum(), (images * model.decode(latent)).sum(), atol=1e-9)


@pytest.mark.parametrize(("channels", "hidden"), [(1, 1), (2, 1), (3, 1), (15, 3)])
def test_the_gate_is_two_linear_layers_on_the_channel_means(channels, hidden):
    attention = init_attention(ChannelAttention(channels), seeded(3)).double()
    assert attention.fc1.out_channels == attention.fc2.in_channels == hidden
    features = torch.rand(6, channels, 4, 5, generator=seeded()).double()
    means = features.flatten(2).mean(dim=2)
    inner = F.relu(F.linear(means, attention.fc1.weight.flatten(1), attention.fc1.bias))
    gate = torch.sigmoid(F.linear(inner, attention.fc2.weight.flatten(1), attention.fc2.bias))
    assert torch.allclose(attention.gate(features), gate, atol=1e-12)
    assert torch.allclose(attention(features), features * gate[:, :, None, None], atol=1e-12)


def test_the_gate_has_as_many_hidden_units_as_are_asked_for_at_least():
    assert ChannelAttention(2, min_hidden=2).fc1.out_channels == 2
    assert ChannelAttention(15, min_hidden=2).fc1.out_channels == 3
    with pytest.raises(Problem, match="min_hidden=0"):
        ChannelAttention(2, min_hidden=0)


@pytest.mark.parametrize("seed", range(5))
def test_an_identity_gate_starts_open_and_can_learn(seed):
    model = started(seed, img_size=8, channels=2, attention=True, identity_gate=True)
    output = model(images_of(8), keep=("features", "gate"))
    assert output.gate.min() > 0.95
    assert torch.allclose(output.latent, output.features.flatten(1), atol=0.06 * output.features.max().item())
    output.latent.sum().backward()
    alive = output.features.flatten(2).any(dim=2).any(dim=0)
    assert model.attn.fc2.weight.grad[alive].abs().min() > 0


def test_the_latent_is_the_gated_features():
    output = started(img_size=8, channels=3, attention=True)(images_of(8), keep=("features", "gate"))
    assert torch.equal(output.latent, (output.features * output.gate[:, :, None, None]).flatten(1))


def test_with_coefficients_each_image_is_decoded_from_its_row_of_them():
    model = started(img_size=8, channels=3)
    images = images_of(8)
    swap = torch.eye(4).double()[[1, 0, 3, 2]]
    output = model(images, swap, keep=("expressed",))
    assert torch.equal(output.expressed, output.latent[[1, 0, 3, 2]])
    assert torch.allclose(output.restored, model(images).restored[[1, 0, 3, 2]])


def test_adding_a_gate_leaves_the_pretrained_model_as_it_was():
    model = started(img_size=8, channels=3)
    gated = with_attention(model, seeded(4), min_hidden=2)
    assert model.attn is None and gated.attn.fc1.out_channels == 2
    assert torch.equal(gated.encoder.weight, model.encoder.weight) and gated.encoder.weight is not model.encoder.weight
    same = with_attention(model, seeded(4), min_hidden=2)
    assert torch.equal(gated.attn.fc1.weight, same.attn.fc1.weight)


def test_the_start_is_a_function_of_the_generator_alone():
    model = SubspaceAutoencoder(img_size=8, channels=3, attention=True)
    first = {name: value.clone() for name, value in init_subspace(model, seeded(1)).state_dict().items()}
    for value in model.parameters():
        value.data.fill_(3)
    again = init_subspace(model, seeded(1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.weight"], init_subspace(model, seeded(2)).state_dict()["encoder.weight"])


def test_the_squared_loss_is_the_formula():
    model, coefficients = started(img_size=6, channels=2), 0.1 * torch.randn(4, 4, generator=seeded()).double()
    images = images_of(6)
    output = model(images, coefficients)
    loss = subspace_loss(images, output, coefficients, coefficient_weight=2.0, expression_weight=30.0)
    latent = output.latent
    assert torch.allclose(loss.reconstruction, 0.5 * torch.linalg.norm(images - output.restored) ** 2)
    assert torch.allclose(loss.regularization, 2 * torch.linalg.norm(coefficients) ** 2)
    assert torch.allclose(loss.expression, 15 * torch.linalg.norm(latent - coefficients @ latent) ** 2)
    assert torch.allclose(loss.total, loss.reconstruction + loss.regularization + loss.expression)


@pytest.mark.parametrize("form", ["squared", "literal"])
def test_the_loss_and_its_gradients_are_the_same_with_what_was_kept(form):
    found = []
    for keep in ((), ("expressed",)):
        model = started(img_size=6, channels=2, attention=True)
        coefficients = (0.1 * torch.randn(4, 4, generator=seeded()).double()).requires_grad_()
        images = images_of(6)
        loss = subspace_loss(images, model(images, coefficients, keep=keep), coefficients, form=form).total
        loss.backward()
        found.append([loss, coefficients.grad, *(value.grad for value in model.parameters())])
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(*found, strict=True))


def test_the_literal_loss_has_the_norms_of_the_squared_one_without_the_squares():
    coefficients, latent = (torch.randn(5, n, generator=seeded(n)).double() for n in (5, 7))
    weights = {"coefficient_weight": 1.0, "expression_weight": 2.0}
    squared = self_expression_loss(coefficients, latent, **weights)
    literal = self_expression_loss(coefficients, latent, form="literal", **weights)
    assert all(torch.allclose(a, b.sqrt()) for a, b in zip(literal, squared, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["squared", "literal"])
def test_both_losses_and_their_gradients_are_finite_at_no_coefficients_and_a_perfect_fit(form, dtype):
    coefficients = torch.zeros(3, 3, dtype=dtype, requires_grad=True)
    latent = torch.zeros(3, 4, dtype=dtype, requires_grad=True)
    loss = sum(self_expression_loss(coefficients, latent, form=form))
    loss.backward()
    assert loss.isfinite() and not coefficients.grad.any() and not latent.grad.any()


@pytest.mark.parametrize(
    ("latent", "is_dead"),
    [
        (torch.zeros(3, 4), True),
        (torch.ones(3, 4), True),
        (torch.full((3, 4), float("nan")), True),
        (torch.eye(3, 4), False),
    ],
)
def test_an_encoder_that_tells_nothing_is_called_dead(latent, is_dead):
    assert is_dead_encoder(latent) is is_dead


def test_a_gate_that_is_the_same_for_all_images_is_called_dead():
    flat = torch.tensor([[0.5, 0.2], [0.5005, 0.2]])
    assert is_dead_gate(flat)
    assert not is_dead_gate(torch.tensor([[0.5, 0.2], [0.5, 0.3]]))
    assert gate_spread(flat).tolist() == pytest.approx([0.00025, 0.0], abs=1e-7)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: SubspaceAutoencoder(channels=0), "channels=0 must be at least 1"),
        (lambda: SubspaceAutoencoder(img_size=(4, 0)), "at least 1"),
        (
            lambda: SubspaceAutoencoder(img_size=8)(torch.zeros(1, 1, 8, 9)),
            r"\(8, 9\) pixels must be of img_size=\(8, 8\)",
        ),
        (lambda: self_expression_loss(torch.zeros(2, 2), torch.zeros(2, 2), form="cubed"), "form='cubed'"),
    ],
)
def test_what_does_not_fit_is_refused(make, rule):
    with pytest.raises(Problem, match=rule):
        make()
