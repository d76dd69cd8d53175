"""Super-token clustering against its dense form, and the laws it keeps."""

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from vitviz.nn.supertokens import KEEP, cluster_pixels, hard_labels

SIMILARITIES = ("dot", "neg_sq_distance", "cosine")
BORDERS = ("masked", "stvit")
SHAPES = [(8, 8, 2), (7, 9, 2), (12, 6, 3), (5, 11, 4), (3, 2, 5), (1, 13, 2), (6, 5, 1), (17, 16, 4)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def options(**changes):
    return {"cell_size": 2, "num_iterations": 3, "bypass_single_pixels": False, **changes}


def similarity_of(pixels: torch.Tensor, tokens: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "cosine":
        pixels, tokens = F.normalize(pixels, dim=-1), F.normalize(tokens, dim=-1)
    return -torch.cdist(pixels, tokens).square() if kind == "neg_sq_distance" else pixels @ tokens.mT


def rows_and_columns(height: int, width: int, shift: int = 0) -> torch.Tensor:
    return torch.tensor(list(product(range(-shift, height + shift), range(-shift, width + shift))))


def dense_reference(x, *, cell_size, num_iterations, similarity="dot", border="masked", stops=False, **_):
    """Every pixel against every cell, the far ones masked: tokens (B, C, h, w), association (B, H W, cells), sizes."""
    ring = 1 if border == "stvit" else 0
    h, w = -(-x.shape[2] // cell_size), -(-x.shape[3] // cell_size)
    cells, own = rows_and_columns(h, w, ring), rows_and_columns(*x.shape[2:]) // cell_size
    far = (own[:, None] - cells).abs().amax(dim=-1) > 1
    inside = ((cells >= 0) & (cells < torch.tensor([h, w]))).all(dim=-1)
    pixels = x.flatten(2).mT
    q = (own[:, None] == cells).all(dim=-1).to(x).expand(len(x), -1, -1)
    tokens = (q / q.sum(dim=1, keepdim=True).clamp(min=1)).mT @ pixels
    for _ in range(num_iterations):
        with torch.set_grad_enabled(not stops):
            logits = similarity_of(pixels, tokens, similarity) / math.sqrt(x.shape[1])
            q = logits.masked_fill(far, -torch.inf).softmax(dim=-1)
        tokens = inside[:, None] * ((q / q.sum(dim=1, keepdim=True)).mT @ pixels)
    return tokens[:, inside].mT.unflatten(2, (h, w)), q, q.sum(dim=1)[:, inside].unflatten(1, (h, w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("border", BORDERS)
def test_any_size_equals_the_dense_form(shape, similarity, border):
    height, width, cell_size = shape
    x = features(3, 5, height, width)
    for num_iterations in range(4):
        chosen = options(
            cell_size=cell_size, num_iterations=num_iterations, similarity=similarity, border=border
        )
        ours, theirs = cluster_pixels(x, **chosen, keep=("sizes",)), dense_reference(x.double(), **chosen)
        assert torch.allclose(ours.tokens.double(), theirs[0], atol=1e-5)
        assert torch.allclose(ours.sizes.double(), theirs[2], atol=1e-5)
