"""The Vision Transformer, with timm's names and parameter keys, so that timm's weights load strictly.

Source: equations 1-4 of the deep clustering paper (Dosovitskiy et al. 2021):
``z_0 = [x_class; x_1 E; ...; x_N E] + E_pos`` -> :meth:`VisionTransformer._embed_patches`,
``z' = MSA(LN(z)) + z; z = MLP(LN(z')) + z'`` -> :class:`Block`, ``y = LN(z_L^0)`` and ``W y + b`` -> ``forward``.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.errors import Problem

Stem = Literal["linear", "conv"]
Pool = Literal["cls", "mean"]
_MAX_TOKENS = 2**16
KEEP = ("attention", "tokens", "hidden")


@dataclass(frozen=True)
class ViTOutput:
    """What one forward pass returns; a field that was not asked for is None.

    logits (B, num_classes); embedding (B, D), the CLS token (or the mean of the patch tokens) after the final LayerNorm;
    tokens (B, 1 + N, D) after the final LayerNorm; attention: per block (B, num_heads, 1 + N, 1 + N), rows sum to 1;
    hidden: per block (B, 1 + N, D), the residual stream after it.
    """

    logits: Tensor
    embedding: Tensor
    tokens: Tensor | None = None
    attention: tuple[Tensor, ...] | None = None
    hidden: tuple[Tensor, ...] | None = None


class VisionTransformer(nn.Module):
    """A plain ViT over square images.

    Args:
        img_size, patch_size: pixels; ``img_size`` must be a multiple of ``patch_size``.
        stem: ``linear`` as in the paper (eq 1), or ``conv``: stride-2 3x3 convolutions down to the patch grid, then 1x1.
        pool: ``cls`` (eq 4) or ``mean`` of the patch tokens.
        patch_embed: instead of ``stem``, a module from images (B, in_chans, img_size, img_size) to tokens (B, N, embed_dim), one
            for every ``patch_size`` x ``patch_size`` pixels.

    Raises: Problem, a ValueError, when sizes do not divide.
    """

    def __init__(
        self,
        *,
        img_size: int = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        stem: Stem = "linear",
        pool: Pool = "cls",
        patch_embed: nn.Module | None = None,
    ):
        super().__init__()
        _check_sizes(img_size, patch_size, embed_dim, num_heads, stem)
        self.grid = (img_size // patch_size, img_size // patch_size)
        self.pool = pool
        self.patch_embed = patch_embed or PatchEmbed(patch_size, in_chans, embed_dim, stem)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], embed_dim))
        rates = [drop_path_rate * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, qkv_bias=qkv_bias, drop_rate=drop_rate, drop_path=rate)
            for rate in rates
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_classes) if num_classes else nn.Identity()

    def forward(self, images: Tensor, keep: Collection[str] = ()) -> ViTOutput:
        """Images (B, in_chans, img_size, img_size), about -1..1, to a :class:`ViTOutput`; ``keep`` names the extras wanted."""
        x = self._embed_patches(images)
        attention, hidden = [], []
        for block in self.blocks:
            x, weights = block(x, keep_attention="attention" in keep)
            attention.append(weights)
            if "hidden" in keep:
                hidden.append(x)
        tokens = self.norm(x)
        embedding = tokens[:, 0] if self.pool == "cls" else tokens[:, 1:].mean(dim=1)
        return ViTOutput(
            logits=self.head(embedding),
            embedding=embedding,
            tokens=tokens if "tokens" in keep else None,
            attention=tuple(attention) if "attention" in keep else None,
            hidden=tuple(hidden) if "hidden" in keep else None,
        )

    def _embed_patches(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        return x + self.pos_embed


class PatchEmbed(nn.Module):
    """Images (B, C, H, W) to patch tokens (B, N, D), row by row."""

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int, stem: Stem):
        super().__init__()
        self.stem = _conv_stem(patch_size, in_chans, embed_dim) if stem == "conv" else nn.Identity()
        size, chans = (1, embed_dim) if stem == "conv" else (patch_size, in_chans)
        self.proj = nn.Conv2d(chans, embed_dim, kernel_size=size, stride=size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(self.stem(images)).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """One encoder layer (eqs 2-3): attention and MLP, each behind a LayerNorm and around a residual connection."""

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, *, qkv_bias: bool, drop_rate: float, drop_path: float
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop_rate)
        self.drop_path = drop_path

    def forward(self, x: Tensor, *, keep_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, N, D) to tokens (B, N, D) and, if kept, the attention (B, num_heads, N, N)."""
        mixed, weights = self.attn(self.norm1(x), keep_attention=keep_attention)
        x = x + self._drop_path(mixed)
        return x + self._drop_path(self.mlp(self.norm2(x))), weights

    def _drop_path(self, x: Tensor) -> Tensor:
        return drop_branches(x, self.drop_path) if self.training else x


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q k^T / sqrt(d)) v. Fused unless the weights are kept."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, *, keep_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        batch, num, dim = x.shape
        q, k, v = self.qkv(x).reshape(batch, num, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
        weights = None
        if keep_attention:
            weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
            mixed = weights @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, num, dim)), weights


class Mlp(nn.Module):
    """Linear -> GELU -> Linear on every token."""

    def __init__(self, dim: int, hidden: int, drop_rate: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.drop = nn.Dropout(drop_rate)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


def drop_branches(x: Tensor, rate: float) -> Tensor:
    """Stochastic depth: what a residual branch computed, tokens (B, N, D), with whole images zeroed by chance ``rate``, 0..1.

    The others are scaled up by 1 / (1 - rate), so that the mean stays. Draws from torch's global generator, not at rate 0.
    Source: Huang et al. 2016.
    """
    if rate == 0:
        return x
    survives = torch.rand(len(x), 1, 1, device=x.device, dtype=x.dtype) >= rate
    return x * survives / (1 - rate)


def init_weights(model: VisionTransformer, generator: torch.Generator) -> VisionTransformer:
    """Fill every parameter of ``model`` from ``generator`` and return it: the whole start of a run is one seed.

    Linear layers: normal with std .02 cut at two deviations; convolutions: Kaiming fan-out; norms: 1 and 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", generator=generator)
        elif isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            module.reset_parameters()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.trunc_normal_(model.pos_embed, std=0.02, generator=generator)
    nn.init.normal_(model.cls_token, std=1e-6, generator=generator)
    return model


def _conv_stem(patch_size: int, in_chans: int, embed_dim: int) -> nn.Sequential:
    steps = int(math.log2(patch_size))
    widths = [in_chans, *(max(embed_dim >> (steps - 1 - step), 8) for step in range(steps - 1)), embed_dim]
    layers = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def _check_sizes(img_size: int, patch_size: int, embed_dim: int, num_heads: int, stem: Stem) -> None:
    if patch_size < 1 or img_size % patch_size:
        raise Problem(f"img_size={img_size} must be a multiple of patch_size={patch_size}")
    if (img_size // patch_size) ** 2 > _MAX_TOKENS:
        number = f"{(img_size // patch_size) ** 2:,} tokens, at most {_MAX_TOKENS:,} are taken"
        raise Problem(f"img_size={img_size} and patch_size={patch_size} make {number}")
    if num_heads < 1 or embed_dim % num_heads:
        raise Problem(f"embed_dim={embed_dim} must be divisible by num_heads={num_heads}")
    if stem == "conv" and (patch_size < 2 or patch_size & (patch_size - 1)):
        raise Problem(f"patch_size={patch_size} must be a power of two, 2 or more, for stem='conv'")
