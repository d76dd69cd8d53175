"""A small fully connected autoencoder over the pixels of an image: what the unsupervised demonstration clusters."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AutoencoderOutput:
    """embedding (B, D); restored and target (B, P): the pixels 0..1 that came out and those that went in; no logits."""

    embedding: Tensor
    restored: Tensor
    target: Tensor
    logits: Tensor


class MlpAutoencoder(nn.Module):
    """Pixels -> hidden -> hidden -> D -> hidden -> hidden -> pixels, ReLU between, on grey images of ``input_size`` a side."""

    def __init__(self, *, input_size: int, embed_dim: int, hidden: tuple[int, ...]):
        super().__init__()
        self.input_size = input_size
        widths = [input_size * input_size, *hidden, embed_dim]
        self.encoder = _mlp(widths)
        self.decoder = _mlp(widths[::-1])

    def forward(self, images: Tensor) -> AutoencoderOutput:
        """Images (B, 3, H, W) in -1..1."""
        grey = F.interpolate(images.mean(dim=1, keepdim=True), size=(self.input_size,) * 2, mode="area")
        target = (grey.flatten(1) + 1) / 2
        embedding = self.encoder(target)
        return AutoencoderOutput(embedding, self.decoder(embedding), target, embedding.new_zeros(len(images), 1))


def init_autoencoder(model: MlpAutoencoder, generator: torch.Generator) -> MlpAutoencoder:
    """Fill the weights of ``model`` from ``generator`` (Kaiming) and return it."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)
    return model


def _mlp(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] if index else []
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)
