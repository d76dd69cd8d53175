"""The networks of deep subspace clustering with channel attention: a one-layer autoencoder, its gate, and its losses.

Equation 1, ``F * sigmoid(fc2(relu(fc1(GAP(F)))))`` -> :class:`ChannelAttention`; the encoder and decoder ->
:class:`SubspaceAutoencoder`; the loss ``1/2 |X - Xhat|^2 + lambda1 |C|^2 + lambda2 / 2 |Z - C Z|^2`` -> :func:`subspace_loss`.
Everywhere the rows are the images: Z is (N, D), C is (N, N), and row i of C says how image i is made of the others, Z = C Z.

Source: "Deep subspace clustering with attention mechanism", on DSC-Net (Ji et al., NIPS 2017).
"""

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.errors import Problem

LossForm = Literal["squared", "literal"]
KEEP = ("features", "gate", "expressed")
DEAD_GATE = 1e-3
"""A gate that varies over the images by less than this (standard deviation) says the same of every image."""
_NORM_FLOOR = 1e-8
_OPEN_GATE = 3.0  # sigmoid(3) = .95: nearly open, and not yet too flat to learn


@dataclass(frozen=True)
class SubspaceOutput:
    """What one forward pass returns; a field that was not asked for is None.

    latent Z (N, D), after the gate where there is one, D = channels * rows * columns; restored (N, in_chans, H, W), decoded from
    C Z when coefficients are given, else from Z; features (N, channels, rows, columns) before the gate, >= 0;
    gate (N, channels) in 0..1, None also for a model without one; expressed C Z (N, D), None also without coefficients.
    """

    latent: Tensor
    restored: Tensor
    features: Tensor | None = None
    gate: Tensor | None = None
    expressed: Tensor | None = None


class SubspaceAutoencoder(nn.Module):
    """One 3x3 convolution of stride 2 with ReLU, an optional gate, and the transposed convolution back.

    Args:
        img_size: (height, width) in pixels, or the side of a square; even or odd.
        channels: of the features; 15 in DSC-Net, 1 to 3 in the paper.
        attention: whether a :class:`ChannelAttention` follows the encoder; see :func:`with_attention`.

    The padding makes rows = ceil(height / 2) and stands at the right and the bottom only: one pixel for an even side, as
    TensorFlow's "SAME" does. Differs: for an odd side two pixels there, where "SAME" puts one at each end.
    """

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 32,
        in_chans: int = 1,
        channels: int = 15,
        attention: bool = False,
        rd_ratio: float = 0.25,
        min_hidden: int = 1,
    ):
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        if min(height, width, in_chans, channels) < 1:
            raise Problem(f"img_size={img_size}, in_chans={in_chans} and channels={channels} must be at least 1")
        self.img_size = (height, width)
        self.grid = (math.ceil(height / 2), math.ceil(width / 2))
        self.channels = channels
        self.encoder = nn.Conv2d(in_chans, channels, kernel_size=3, stride=2)
        self.attn = ChannelAttention(channels, rd_ratio=rd_ratio, min_hidden=min_hidden) if attention else None
        self.decoder = nn.ConvTranspose2d(channels, in_chans, kernel_size=3, stride=2)

    def forward(
        self, images: Tensor, coefficients: Tensor | None = None, *, keep: Collection[str] = ()
    ) -> SubspaceOutput:
        """Images (N, in_chans, H, W), 0..1, and optionally C (N, N) with Z = C Z; ``keep`` names the extras wanted."""
        features = self.encode(images)
        gate = self.attn.gate(features) if self.attn is not None else None
        latent = (features if gate is None else features * gate[:, :, None, None]).flatten(1)
        expressed = latent if coefficients is None else coefficients @ latent
        return SubspaceOutput(
            latent=latent,
            restored=self.decode(expressed),
            features=features if "features" in keep else None,
            gate=gate if "gate" in keep else None,
            expressed=expressed if "expressed" in keep and coefficients is not None else None,
        )

    def encode(self, images: Tensor) -> Tensor:
        """The features (N, channels, rows, columns), >= 0, before any gate, of images (N, in_chans, H, W)."""
        if images.shape[-2:] != self.img_size:
            raise Problem(f"images of {tuple(images.shape[-2:])} pixels must be of img_size={self.img_size}")
        right, bottom = (1 + side % 2 for side in self.img_size[::-1])
        return F.relu(self.encoder(F.pad(images, (0, right, 0, bottom))))

    def decode(self, latent: Tensor) -> Tensor:
        """The images (N, in_chans, H, W) that Z, or C Z, (N, D) stands for: the transposed convolution, cropped."""
        height, width = self.img_size
        return self.decoder(latent.unflatten(1, (self.channels, *self.grid)))[:, :, :height, :width]


class ChannelAttention(nn.Module):
    """Equation 1 with timm's names: how far each channel is let through, told from the channel means of the same image.

    Args:
        rd_ratio: hidden units per channel, rounded down.
        min_hidden: hidden units at least. One, as in the paper, often never fires when there are few channels; see
            :func:`is_dead_gate`.
    """

    def __init__(self, channels: int, *, rd_ratio: float = 0.25, min_hidden: int = 1):
        super().__init__()
        if min_hidden < 1:
            raise Problem(f"min_hidden={min_hidden} must be at least 1")
        hidden = max(min_hidden, int(channels * rd_ratio))
        self.fc1 = nn.Conv2d(channels, hidden, kernel_size=1)
        self.fc2 = nn.Conv2d(hidden, channels, kernel_size=1)

    def gate(self, features: Tensor) -> Tensor:
        """The factors (N, channels), 0..1, for features (N, channels, rows, columns)."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.fc2(F.relu(self.fc1(means)))).flatten(1)

    def forward(self, features: Tensor) -> Tensor:
        """The features (N, channels, rows, columns), each channel times its gate."""
        return features * self.gate(features)[:, :, None, None]


def init_subspace(
    model: SubspaceAutoencoder, generator: torch.Generator, *, identity_gate: bool = False
) -> SubspaceAutoencoder:
    """Fill every parameter of ``model`` from ``generator`` (Xavier uniform, biases 0) and return it.

    Args:
        identity_gate: start the gate at .95 for every channel and image, with hidden units that fire on any image, so that
            putting it in changes next to nothing; see :func:`init_attention`.
    """
    for module in (model.encoder, model.decoder):
        nn.init.xavier_uniform_(module.weight, generator=generator)
        nn.init.zeros_(module.bias)
    if model.attn is not None:
        init_attention(model.attn, generator, identity_gate=identity_gate)
    return model


def init_attention(
    attention: ChannelAttention, generator: torch.Generator, *, identity_gate: bool = False
) -> ChannelAttention:
    """Fill the gate from ``generator`` and return it: Xavier uniform, and so a gate of about one half.

    Args:
        identity_gate: positive weights into the hidden units (the means are >= 0, so they fire), none out of them, and a bias
            that opens the gate to .95.
    """
    for module in (attention.fc1, attention.fc2):
        nn.init.xavier_uniform_(module.weight, generator=generator)
        nn.init.zeros_(module.bias)
    if identity_gate:
        with torch.no_grad():
            attention.fc1.weight.abs_()
            attention.fc2.weight.zero_()
            attention.fc2.bias.fill_(_OPEN_GATE)
    return attention


def with_attention(
    model: SubspaceAutoencoder,
    generator: torch.Generator,
    *,
    rd_ratio: float = 0.25,
    min_hidden: int = 1,
    identity_gate: bool = False,
) -> SubspaceAutoencoder:
    """A copy of the pretrained ``model``, which stays as it was, with a fresh gate behind its encoder."""
    gated = copy.deepcopy(model)
    attention = ChannelAttention(model.channels, rd_ratio=rd_ratio, min_hidden=min_hidden)
    gated.attn = init_attention(attention, generator, identity_gate=identity_gate).to(model.encoder.weight)
    return gated


@dataclass(frozen=True)
class SubspaceLoss:
    """The weighted parts, each a scalar, and their sum."""

    reconstruction: Tensor
    regularization: Tensor
    expression: Tensor

    @property
    def total(self) -> Tensor:
        return self.reconstruction + self.regularization + self.expression


def subspace_loss(
    images: Tensor,
    output: SubspaceOutput,
    coefficients: Tensor,
    *,
    coefficient_weight: float = 1.0,
    expression_weight: float = 150.0,
    form: LossForm = "squared",
) -> SubspaceLoss:
    """``1/2 |X - Xhat|^2 + lambda1 |C|^2 + lambda2 / 2 |Z - C Z|^2``, sums over all images and pixels.

    Args:
        coefficients: C (N, N) with Z = C Z, that ``output`` was made with; where it was asked to keep C Z, that is used.
        form: ``squared`` as DSC-Net computes it; ``literal`` with the bare norms that the paper prints, kept 1e-8 above the root
            of 0 so that the gradient at C = 0 is 0.
    """
    regularization, expression = self_expression_loss(
        coefficients,
        output.latent,
        coefficient_weight=coefficient_weight,
        expression_weight=expression_weight,
        form=form,
        expressed=output.expressed,
    )
    return SubspaceLoss(0.5 * _size(images - output.restored, form), regularization, expression)


def self_expression_loss(
    coefficients: Tensor,
    latent: Tensor,
    *,
    coefficient_weight: float = 1.0,
    expression_weight: float = 150.0,
    form: LossForm = "squared",
    expressed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``lambda1 |C|^2`` and ``lambda2 / 2 |Z - C Z|^2`` for C (N, N) and Z (N, D), rows = images; ``form`` as above.

    ``expressed``: C Z where it is at hand, which saves the larger part of the work.
    """
    expression = _size(latent - (coefficients @ latent if expressed is None else expressed), form)
    return coefficient_weight * _size(coefficients, form), 0.5 * expression_weight * expression


def is_dead_encoder(latent: Tensor) -> bool:
    """Whether Z (N, D) tells nothing of any image: all zero, all rows the same, or not finite."""
    return not bool(torch.isfinite(latent).all()) or bool((latent == latent[:1]).all())


def gate_spread(gate: Tensor) -> Tensor:
    """The standard deviation over the images of every channel's gate: (N, channels) -> (channels,)."""
    return gate.std(dim=0, correction=0)


def is_dead_gate(gate: Tensor) -> bool:
    """Whether the gate (N, channels) treats every image alike: no channel's spread reaches ``DEAD_GATE``."""
    return bool((gate_spread(gate) < DEAD_GATE).all())


def _size(values: Tensor, form: LossForm) -> Tensor:
    if form not in ("squared", "literal"):
        raise Problem(f"form={form!r} must be 'squared' or 'literal'")
    squares = values.square().sum()
    return squares if form == "squared" else (squares + _NORM_FLOOR**2).sqrt()
