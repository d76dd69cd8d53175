"""DSC-Net's recipe for COIL-20, written again as a rival: dense C, 30 steps of everything, thresholded, SVD, discretised.

Source: Ji et al., "Deep subspace clustering networks" (NIPS 2017), and the settings published with it. What differs from our own
``adam``: a ReLU behind the decoder, a truncated SVD in place of eigenvectors, a threshold that walks down one column after the
other, and scikit-learn's spectral clustering with discretised eigenvectors in place of k-means.

Rows = images, Z = C Z.
"""

import numpy as np
import torch
from scipy.sparse.linalg import svds
from sklearn.cluster import SpectralClustering
from torch import Tensor
from torch.nn import functional as F

from vitviz.nn.subspace import SubspaceAutoencoder

NUM_STEPS, LR, START = 30, 1e-3, 1e-8
COEFFICIENT_WEIGHT, EXPRESSION_WEIGHT = 1.0, 150.0
SHARE, DIM, POWER = 0.04, 12, 8


def parameters_of(model: SubspaceAutoencoder) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Copies of weight (c, 1, 3, 3) and bias (c,) of the encoder, and weight (c, 1, 3, 3) and bias (1,) of the decoder."""
    parts = (model.encoder.weight, model.encoder.bias, model.decoder.weight, model.decoder.bias)
    return tuple(part.detach().clone().requires_grad_() for part in parts)


def fine_tune(
    encoder: Tensor, encoder_bias: Tensor, decoder: Tensor, decoder_bias: Tensor, images: Tensor
) -> np.ndarray:
    """C (N, N) float32 after 30 steps of Adam on the network and C at once; images (N, 1, H, W), H and W even, 0..1."""
    coefficients = torch.full((len(images),) * 2, START, requires_grad=True)
    optimizer = torch.optim.Adam([encoder, encoder_bias, decoder, decoder_bias, coefficients], lr=LR)
    for _ in range(NUM_STEPS):
        features = F.relu(F.conv2d(F.pad(images, (0, 1, 0, 1)), encoder, encoder_bias, stride=2))
        latent = features.flatten(1)
        expressed = coefficients @ latent
        grown = F.conv_transpose2d(expressed.view_as(features), decoder, decoder_bias, stride=2)
        restored = F.relu(grown[:, :, : images.shape[2], : images.shape[3]])
        loss = (
            0.5 * (images - restored).square().sum()
            + COEFFICIENT_WEIGHT * coefficients.square().sum()
            + EXPRESSION_WEIGHT * 0.5 * (latent - expressed).square().sum()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return coefficients.detach().numpy()


def fine_tune_coefficients(latent: Tensor) -> np.ndarray:
    """C (N, N) float32 after 30 steps of Adam on C alone, for a given Z (N, D)."""
    coefficients = torch.full((len(latent),) * 2, START, requires_grad=True)
    optimizer = torch.optim.Adam([coefficients], lr=LR)
    for _ in range(NUM_STEPS):
        loss = COEFFICIENT_WEIGHT * coefficients.square().sum()
        loss = loss + EXPRESSION_WEIGHT * 0.5 * (latent - coefficients @ latent).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return coefficients.detach().numpy()


def cluster(coefficients: np.ndarray, num_clusters: int, *, seed: int, dim: int = DIM) -> np.ndarray:
    """Labels (N,) of C (N, N); ``dim``: the dimensions of a cluster's subspace."""
    affinity = _affinity(_threshold(coefficients), dim * num_clusters + 1)
    spectral = SpectralClustering(
        num_clusters, affinity="precomputed", eigen_solver="arpack", assign_labels="discretize", random_state=seed
    )
    return spectral.fit_predict(affinity)


def _threshold(coefficients: np.ndarray) -> np.ndarray:
    """Of each column, the diagonal with the rest, the largest magnitudes until they exceed a share of their sum."""
    order = np.argsort(-np.abs(coefficients), axis=0)
    kept = np.zeros(coefficients.shape)
    for column, ids in enumerate(order.T):
        sizes = np.abs(coefficients[ids, column])
        limit, running, count = SHARE * sizes.sum(), 0.0, 0
        while running <= limit and count < len(sizes):
            running += sizes[count]
            count += 1
        kept[ids[:count], column] = coefficients[ids[:count], column]
    return kept


def _affinity(coefficients: np.ndarray, rank: int) -> np.ndarray:
    symmetric = (coefficients + coefficients.T) / 2
    np.fill_diagonal(symmetric, 1)
    left, sizes, _ = svds(symmetric, rank, v0=np.ones(len(symmetric)))
    rows = left * np.sqrt(sizes)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    affinity = np.maximum(rows @ rows.T, 0) ** POWER
    affinity /= affinity.max()
    return (affinity + affinity.T) / 2
