"""Three ways from an image to the tokens of a ViT: patches, convolutions, super tokens.

Source: Lee, Lee, Kim, "super-token clustering convolutional embedding", JDCS 25(2), 2024. Table 3 is :class:`NormedPatchEmbed`,
Table 4 :class:`ConvEmbed`, Table 5 :class:`SuperTokenEmbed`, Table 7 :data:`TIERS`; the body they share is :func:`paper_vit`.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor, nn

from vitviz.errors import Problem
from vitviz.nn.supertokens import Border, Grad, Similarity, SuperTokens, cluster_pixels
from vitviz.nn.vit import VisionTransformer

ConvStem = Literal["table4", "table4_1x1", "earlyconv"]
KEEP = ("features", "association", "sizes", "history")


@dataclass(frozen=True)
class EmbedOutput:
    """What an embedding returns; a field that was not asked for, or that the embedding does not have, is None.

    tokens (B, N, D), row by row; grid: rows and columns of tokens; features (B, C, H, W), the map that was clustered; association
    (B, 9, H, W), sizes (B, h, w) and history as in :class:`vitviz.nn.supertokens.SuperTokens`.
    """

    tokens: Tensor
    grid: tuple[int, int]
    features: Tensor | None = None
    association: Tensor | None = None
    sizes: Tensor | None = None
    history: tuple[SuperTokens, ...] | None = None


@dataclass(frozen=True)
class Tier:
    """How much convolution comes before the clustering: output channels and strides of its modules, then the cell size P."""

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    cell_size: int

    @property
    def stride(self) -> int:
        """Pixels of the image from one token to the next."""
        return math.prod(self.strides) * self.cell_size


TIERS = {
    "without_conv": Tier((), (), 16),
    "module1": Tier((16,), (1,), 16),
    "modules12": Tier((16, 32), (2, 1), 8),
    "modules14": Tier((16, 32, 32, 64), (2, 1, 2, 1), 4),
    "modules16": Tier((16, 32, 32, 64, 64, 64), (2, 1, 2, 1, 2, 1), 2),
    "extra": Tier((16, 32, 32, 64, 64, 64, 64), (2, 1, 2, 1, 2, 1, 2), 1),
}


def tier_with_stride(tier: str, stride: int) -> Tier:
    """A row of Table 7 for smaller images: one token every ``stride`` pixels instead of 16, with the same modules.

    The cells stay as large as they are, at most ``stride``; then the last modules step by one pixel instead of two. So for images
    of 32 pixels and a stride of 4, ``modules16`` clusters a 16 x 16 map into 8 x 8 super tokens.
    Raises: Problem, a ValueError, on an unknown tier or a stride that is not a power of two up to 16.
    """
    if tier not in TIERS:
        raise Problem(f"tier={tier!r} must be one of {', '.join(TIERS)}")
    if stride not in (1, 2, 4, 8, 16):
        raise Problem(f"stride={stride} must be 1, 2, 4, 8 or 16")
    full = TIERS[tier]
    cell_size = min(full.cell_size, stride)
    return Tier(full.widths, _with_stride(full.strides, stride // cell_size), cell_size)


class TokenEmbed(nn.Module):
    """What the three have in common: one token of ``embed_dim`` for every ``stride`` x ``stride`` pixels."""

    def __init__(self, embed_dim: int, stride: int):
        super().__init__()
        self.embed_dim, self.stride = embed_dim, stride

    def embed(self, images: Tensor, keep: Collection[str] = ()) -> EmbedOutput:
        """Images (B, in_chans, H, W), about -1..1, to an :class:`EmbedOutput`; ``keep`` names the extras wanted.

        Raises: Problem, a ValueError, when ``keep`` names something that is not in :data:`KEEP`.
        """
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, in_chans, H, W) to tokens (B, N, D)."""
        return self.embed(images).tokens


class NormedPatchEmbed(TokenEmbed):
    """Patches as they are -> LayerNorm -> Linear -> LayerNorm.

    Raises (forward): Problem, a ValueError, when an image is not a whole number of patches.
    Source: Table 3; 297,600 parameters at the defaults.
    """

    def __init__(self, *, embed_dim: int = 384, in_chans: int = 3, patch_size: int = 16):
        super().__init__(embed_dim, patch_size)
        num_values = in_chans * patch_size**2
        self.norm1 = nn.LayerNorm(num_values, eps=1e-6)
        self.proj = nn.Linear(num_values, embed_dim)
        self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6)

    def embed(self, images: Tensor, keep: Collection[str] = ()) -> EmbedOutput:
        """See :meth:`TokenEmbed.embed`; there are no extras."""
        _check_keep(keep)
        size, (height, width) = self.stride, images.shape[2:]
        if height % size or width % size:
            raise Problem(f"an image of {height} x {width} pixels must be a multiple of patch_size={size}")
        patches = images.unflatten(3, (-1, size)).unflatten(2, (-1, size)).permute(0, 2, 4, 3, 5, 1)
        tokens = self.norm2(self.proj(self.norm1(patches.flatten(3).flatten(1, 2))))
        return EmbedOutput(tokens, grid=(height // size, width // size))


class ConvEmbed(TokenEmbed):
    """A stack of 3x3 convolutions down to one value per ``stride`` x ``stride`` pixels.

    Args:
        stem: ``table4``: five of conv -> GELU -> BatchNorm; ``table4_1x1``: the last of them 1x1; ``earlyconv``: four of
            conv -> BatchNorm -> ReLU, then a plain 1x1 (Xiao et al. 2021).
        stride: 16 as in the paper; 8 or 4 for smaller images: the last strided convolutions step by one pixel.

    Raises: Problem, a ValueError, on another stem or stride, or an ``embed_dim`` that does not divide by 8.
    Source: Table 4; 3,490,560 parameters at the defaults, 2,310,912 with ``table4_1x1``, 1,021,488 with ``earlyconv``.
    """

    def __init__(self, *, embed_dim: int = 384, in_chans: int = 3, stem: ConvStem = "table4", stride: int = 16):
        super().__init__(embed_dim, stride)
        if stem not in get_args(ConvStem):
            raise Problem(f"stem={stem!r} must be one of {', '.join(get_args(ConvStem))}")
        if embed_dim % 8:
            raise Problem(f"embed_dim={embed_dim} must be divisible by 8")
        if stride not in (4, 8, 16):
            raise Problem(f"stride={stride} must be 4, 8 or 16")
        strides = _with_stride((2, 2, 2, 2), stride)
        if stem == "earlyconv":
            self.stem = _early_convolutions(in_chans, embed_dim, strides)
        else:
            widths = (embed_dim // 4, embed_dim // 2, embed_dim, embed_dim, embed_dim)
            kernels = (3, 3, 3, 3, 3 if stem == "table4" else 1)
            self.stem = _modules(in_chans, widths, (*strides, 1), kernels)

    def embed(self, images: Tensor, keep: Collection[str] = ()) -> EmbedOutput:
        """See :meth:`TokenEmbed.embed`; there are no extras."""
        _check_keep(keep)
        features = self.stem(images)
        return EmbedOutput(_as_sequence(features), grid=tuple(features.shape[2:]))


class SuperTokenEmbed(TokenEmbed):
    """A few convolutions, then their pixels clustered into super tokens, then a Linear layer.

    Args:
        tier: a name of :data:`TIERS` or a :class:`Tier` of one's own.
        num_iterations, similarity, border, grad: as in :func:`vitviz.nn.supertokens.cluster_pixels`.

    Raises: Problem, a ValueError, on an unknown tier.
    Source: Table 5 (``modules16``) and Table 7; 132,192 parameters at the defaults.
    """

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        in_chans: int = 3,
        tier: str | Tier = "modules16",
        num_iterations: int = 3,
        similarity: Similarity = "dot",
        border: Border = "masked",
        grad: Grad = "association_stopped",
    ):
        if isinstance(tier, str) and tier not in TIERS:
            raise Problem(f"tier={tier!r} must be one of {', '.join(TIERS)}")
        chosen = TIERS[tier] if isinstance(tier, str) else tier
        super().__init__(embed_dim, chosen.stride)
        self.tier, self.num_iterations = chosen, num_iterations
        self.similarity, self.border, self.grad = similarity, border, grad
        self.stem = _modules(in_chans, self.tier.widths, self.tier.strides, (3,) * len(self.tier.widths))
        self.proj = nn.Linear((in_chans, *self.tier.widths)[-1], embed_dim)

    def embed(self, images: Tensor, keep: Collection[str] = ()) -> EmbedOutput:
        """See :meth:`TokenEmbed.embed`."""
        _check_keep(keep)
        features = self.stem(images)
        clusters = cluster_pixels(
            features,
            cell_size=self.tier.cell_size,
            num_iterations=self.num_iterations,
            similarity=self.similarity,
            border=self.border,
            grad=self.grad,
            keep=set(keep) - {"features"},
        )
        return EmbedOutput(
            tokens=self.proj(_as_sequence(clusters.tokens)),
            grid=tuple(clusters.tokens.shape[2:]),
            features=features if "features" in keep else None,
            association=clusters.association,
            sizes=clusters.sizes,
            history=clusters.history,
        )


EMBEDDINGS = {"patch": NormedPatchEmbed, "conv": ConvEmbed, "supertoken": SuperTokenEmbed}


def paper_vit(
    patch_embed: TokenEmbed,
    *,
    img_size: int = 224,
    num_classes: int = 100,
    depth: int = 12,
    num_heads: int = 6,
    mlp_ratio: float = 3.0,
    drop_path_rate: float = 0.0,
) -> VisionTransformer:
    """The plain ViT that stands behind every embedding, with CLS token, position embedding and biases throughout.

    Raises: Problem, a ValueError, when ``img_size`` is not a multiple of the embedding's stride.
    Source: section 3 with Tables 6-7. Differs: the paper does not print ``mlp_ratio``; its totals fit 3, EarlyConv's 4GF body.
    """
    return VisionTransformer(
        img_size=img_size,
        patch_size=patch_embed.stride,
        num_classes=num_classes,
        embed_dim=patch_embed.embed_dim,
        depth=depth,
        num_heads=num_heads,
        mlp_ratio=mlp_ratio,
        drop_path_rate=drop_path_rate,
        patch_embed=patch_embed,
    )


def _modules(in_chans: int, widths: Sequence[int], strides: Sequence[int], kernels: Sequence[int]) -> nn.Sequential:
    """Modules of conv -> GELU -> BatchNorm; a kernel of k is padded by k // 2."""
    layers: list[nn.Module] = []
    for (before, after), stride, kernel in zip(pairwise((in_chans, *widths)), strides, kernels, strict=True):
        layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.GELU(), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers)


def _early_convolutions(in_chans: int, embed_dim: int, strides: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (in_chans, *(embed_dim // part for part in (8, 4, 2, 1)))
    for (before, after), stride in zip(pairwise(widths), strides, strict=True):
        layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, 1))


def _with_stride(strides: Sequence[int], wanted: int) -> tuple[int, ...]:
    """The same strides with the last ones set to 1, so that they multiply to ``wanted``."""
    kept, product = [], 1
    for stride in strides:
        kept.append(stride if product * stride <= wanted else 1)
        product *= kept[-1]
    return tuple(kept)


def _as_sequence(features: Tensor) -> Tensor:
    """(B, C, h, w) to (B, h w, C), row by row."""
    return features.flatten(2).transpose(1, 2)


def _check_keep(keep: Collection[str]) -> None:
    if unknown := set(keep) - set(KEEP):
        raise Problem(f"keep={sorted(unknown)} must be among {', '.join(KEEP)}")
