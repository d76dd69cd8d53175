"""CoaT-Lite with timm's names and parameter keys, whose queries, and tokens before the MLP, may be clustered.

Source: "Clustering CoaT", on CoaT-Lite (Xu, Xu, Chang, Tu 2021). The blocks and what they cluster stand in
:mod:`vitviz.nn.coat_block`, the ways to cluster in :mod:`vitviz.nn.query_groups`.

Differs from timm: images of any size, padded with zeros below and to the right to whole tokens of the last stage; no parallel
blocks.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.coat_block import KEEP, BlockOutput, Clustering, ConvPosEnc, ConvRelPosEnc, SerialBlock, as_map


@dataclass(frozen=True)
class CoaTOutput:
    """What one forward pass returns.

    logits (B, num_classes); embedding (B, D), the CLS token after the final LayerNorm; blocks: all, in turn; tokens
    (B, 1 + N, D), the last stage's after the final LayerNorm, None when not asked for.
    """

    logits: Tensor
    embedding: Tensor
    blocks: tuple[BlockOutput, ...]
    tokens: Tensor | None = None


class CoaT(nn.Module):
    """A CoaT-Lite of any width and depth, for images of any size.

    Args:
        patch_size: pixels from one token of the first stage to the next; every later stage halves the grid.
        embed_dims, serial_depths, mlp_ratios: of the four stages; the defaults are CoaT-Lite Tiny's.
        drop_path_rate: chance that a branch of a block is dropped in training, the same in every block.
        clustering: see :class:`Clustering`.

    Raises: Problem, a ValueError, when sizes do not fit.
    """

    def __init__(
        self,
        *,
        patch_size: int = 4,
        in_chans: int = 3,
        num_classes: int = 1000,
        embed_dims: Sequence[int] = (64, 128, 256, 320),
        serial_depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: int = 8,
        mlp_ratios: Sequence[float] = (8, 8, 4, 4),
        qkv_bias: bool = True,
        drop_path_rate: float = 0.0,
        clustering: Clustering | None = None,
    ):
        super().__init__()
        _check_sizes(patch_size, embed_dims, serial_depths, num_heads, mlp_ratios)
        self.patch_size, self.clustering = patch_size, clustering or Clustering()
        steps, before = (patch_size, 2, 2, 2), (in_chans, *embed_dims)
        for stage, dim in enumerate(embed_dims, 1):  # in timm's order, kind by kind
            setattr(self, f"patch_embed{stage}", PatchEmbed(steps[stage - 1], before[stage - 1], dim))
            setattr(self, f"cls_token{stage}", nn.Parameter(torch.zeros(1, 1, dim)))
        for stage, dim in enumerate(embed_dims, 1):
            setattr(self, f"cpe{stage}", ConvPosEnc(dim))
        for stage, dim in enumerate(embed_dims, 1):
            setattr(self, f"crpe{stage}", ConvRelPosEnc(dim // num_heads, _windows(num_heads)))
        for stage, (dim, depth, ratio) in enumerate(zip(embed_dims, serial_depths, mlp_ratios, strict=True), 1):
            shared = self._part("cpe", stage), self._part("crpe", stage)
            blocks = [SerialBlock(dim, num_heads, ratio, qkv_bias, drop_path_rate, *shared) for _ in range(depth)]
            setattr(self, f"serial_blocks{stage}", nn.ModuleList(blocks))
        self.norm4 = nn.LayerNorm(embed_dims[-1], eps=1e-6)
        self.head = nn.Linear(embed_dims[-1], num_classes) if num_classes else nn.Identity()

    def forward(
        self, images: Tensor, keep: Collection[str] = (), *, clustering: Clustering | None = None
    ) -> CoaTOutput:
        """Images (B, in_chans, H, W), about -1..1, to a :class:`CoaTOutput`.

        ``keep`` names the extras wanted, of :data:`KEEP`; ``clustering`` stands in for the model's own, for this call only.

        Raises: Problem, a ValueError, when ``keep`` names something else.
        """
        if unknown := set(keep) - set(KEEP):
            raise Problem(f"keep={sorted(unknown)} must be among {', '.join(KEEP)}")
        x, blocks = pad_to_tokens(images, self.patch_size), []
        for stage in range(1, 5):
            x, outputs = self._run_stage(stage, x, keep, clustering or self.clustering)
            blocks += outputs
        tokens = self.norm4(x)
        embedding = tokens[:, 0]
        kept = tokens if "tokens" in keep else None
        return CoaTOutput(self.head(embedding), embedding, tuple(blocks), kept)

    def _run_stage(
        self, stage: int, x: Tensor, keep: Collection[str], clustering: Clustering
    ) -> tuple[Tensor, list[BlockOutput]]:
        """A map (B, C, H, W) to the map of the next stage, or after the last one to its tokens (B, 1 + N, D)."""
        x, grid = self._part("patch_embed", stage)(x)
        x = torch.cat([self._part("cls_token", stage).expand(len(x), -1, -1), x], dim=1)
        outputs = []
        for block in self._part("serial_blocks", stage):
            x, output = block(x, grid, stage, keep, clustering)
            outputs.append(output)
        return x if stage == 4 else as_map(x[:, 1:], grid).contiguous(), outputs

    def _part(self, name: str, stage: int):
        return getattr(self, f"{name}{stage}")


class PatchEmbed(nn.Module):
    """A map (B, C, H, W) to patch tokens (B, N, D), row by row, normalised; and their grid."""

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        features = self.proj(x)
        return self.norm(features.flatten(2).transpose(1, 2)), tuple(features.shape[2:])


@dataclass(frozen=True)
class Size:
    """Widths, depths and MLP ratios of the four stages."""

    embed_dims: tuple[int, ...]
    serial_depths: tuple[int, ...]
    mlp_ratios: tuple[float, ...]


SIZES = {
    "tiny": Size((64, 128, 256, 320), (2, 2, 2, 2), (8, 8, 4, 4)),
    "mini": Size((64, 128, 320, 512), (2, 2, 2, 2), (8, 8, 4, 4)),
    "small": Size((64, 128, 320, 512), (3, 4, 6, 3), (8, 8, 4, 4)),
    "medium": Size((128, 256, 320, 512), (3, 6, 10, 8), (4, 4, 4, 4)),
}
"""CoaT-Lite as published."""


def coat_lite(size: str, **changes) -> CoaT:
    """A CoaT-Lite of :data:`SIZES`; ``changes`` are arguments of :class:`CoaT`.

    Raises: Problem, a ValueError, on an unknown size.
    """
    if size not in SIZES:
        raise Problem(f"size={size!r} must be one of {', '.join(SIZES)}")
    return CoaT(**{**vars(SIZES[size]), **changes})


def init_weights(model: CoaT, generator: torch.Generator) -> CoaT:
    """Fill every parameter of ``model`` from ``generator`` and return it: the whole start of a run is one seed.

    Linear layers and CLS tokens: normal with std .02 cut at two deviations; convolutions: uniform, as torch starts them; norms: 1
    and 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in (module.weight, module.bias):
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    for stage in range(1, 5):
        nn.init.trunc_normal_(getattr(model, f"cls_token{stage}"), std=0.02, generator=generator)
    return model


def pad_to_tokens(images: Tensor, patch_size: int) -> Tensor:
    """Images (B, C, H, W) with zeros below and to the right up to a multiple of 8 ``patch_size``, a token of the last stage."""
    step = 8 * patch_size
    return F.pad(images, (0, -images.shape[3] % step, 0, -images.shape[2] % step))


def _windows(num_heads: int) -> dict[int, int]:
    """CoaT's windows for 8 heads; the same shares of another number, the rest to the largest window."""
    small, middle = num_heads * 2 // 8, num_heads * 3 // 8
    shares = {3: small, 5: middle, 7: num_heads - small - middle}
    return {size: heads for size, heads in shares.items() if heads}


def _check_sizes(
    patch_size: int,
    embed_dims: Sequence[int],
    serial_depths: Sequence[int],
    num_heads: int,
    mlp_ratios: Sequence[float],
) -> None:
    if patch_size < 1 or num_heads < 1:
        raise Problem(f"patch_size={patch_size} and num_heads={num_heads} must be at least 1")
    for name, values in (("embed_dims", embed_dims), ("serial_depths", serial_depths), ("mlp_ratios", mlp_ratios)):
        if len(values) != 4 or min(values) <= 0:
            raise Problem(f"{name}={tuple(values)} must be four numbers greater than 0")
    if any(dim % num_heads for dim in embed_dims):
        raise Problem(f"embed_dims={tuple(embed_dims)} must be divisible by num_heads={num_heads}")
