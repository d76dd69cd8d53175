"""The ridge decoder against the normal equations, solved slowly in float64."""

import numpy as np
import pytest
import torch

from vitviz.nn.ridge_decoder import RIDGE, decode, fit_ridge_decoder


def samples(num: int = 200, dim: int = 7, pixels: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(num, dim, generator=generator) * torch.arange(1, dim + 1) + 5
    return embeddings, torch.rand(num, pixels, generator=generator)


def reference(embeddings: np.ndarray, pixels: np.ndarray, ridge: float) -> np.ndarray:
    """min_W sum |[z, 1] W - x|^2 + strength |W without its last row|^2, by its normal equations."""
    strength = ridge * embeddings.var(axis=0).mean() * len(embeddings)
    design = np.hstack([embeddings, np.ones((len(embeddings), 1))])
    penalty = strength * np.eye(design.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.inv(design.T @ design + penalty) @ design.T @ pixels


@pytest.mark.parametrize("ridge", [RIDGE, 1e-8, 1.0, 100.0])
def test_it_solves_the_normal_equations(ridge):
    embeddings, pixels = samples()
    expected = reference(embeddings.double().numpy(), pixels.double().numpy(), ridge)
    assert np.allclose(fit_ridge_decoder(embeddings.double(), pixels, ridge=ridge).numpy(), expected, atol=1e-9)
    single = fit_ridge_decoder(embeddings, pixels, ridge=ridge)
    assert single.dtype == torch.float32 and single.shape == (8, 12)
    assert np.allclose(single.numpy(), expected, atol=1e-5)


def test_images_that_are_linear_in_the_embedding_are_restored():
    embeddings, _ = samples()
    pixels = ((embeddings @ torch.randn(7, 12, generator=torch.Generator().manual_seed(1))) / 200 + 0.5).clamp(0, 1)
    decoder = fit_ridge_decoder(embeddings, pixels, ridge=1e-9)
    assert (decode(embeddings, decoder) - pixels).abs().max() < 1e-4


def test_an_embedding_that_says_nothing_restores_the_mean_image():
    _, pixels = samples()
    decoder = fit_ridge_decoder(torch.full((200, 7), 3.0), pixels)
    assert torch.allclose(decode(torch.full((2, 7), 3.0), decoder), pixels.mean(dim=0).expand(2, -1), atol=1e-5)


def test_more_numbers_than_images_give_a_finite_decoder():
    embeddings, pixels = samples(num=5, dim=20)
    decoder = fit_ridge_decoder(embeddings, pixels)
    assert torch.isfinite(decoder).all()
    assert (decode(embeddings, decoder) - pixels).abs().mean() < pixels.std()


def test_restored_pixels_stay_between_black_and_white():
    decoder = torch.tensor([[100.0, -100.0, 0.0], [0.0, 0.0, 0.25]])
    assert decode(torch.ones(1, 1), decoder).tolist() == [[1.0, 0.0, 0.25]]
