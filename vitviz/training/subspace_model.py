"""The network of a subspace run: built, loaded, and asked for Z. Rows = images: Z is (N, D)."""

import numpy as np
import torch
from torch import Tensor

from vitviz.config import from_plain
from vitviz.nn.subspace import SubspaceAutoencoder, init_subspace, with_attention
from vitviz.runs.folder import Run
from vitviz.training.feed import mix_seeds
from vitviz.training.run_weights import put_weights, shape_of
from vitviz.training.subspace_config import SubspaceConfig

_EVAL_BATCH = 1024
_GATE = 1  # tells the seed of the gate from that of a restart
_GREY = (0.299, 0.587, 0.114)


def build_model(config: SubspaceConfig, *, img_size: int, in_chans: int, seed: int) -> SubspaceAutoencoder:
    """The autoencoder of ``config``, without a gate, with weights drawn from ``seed``."""
    model = SubspaceAutoencoder(img_size=img_size, in_chans=in_chans, channels=config.channels)
    return init_subspace(model, torch.Generator().manual_seed(seed))


def load_model(run: Run, round_index: int | None = None) -> SubspaceAutoencoder:
    """The network of a run after a round (of the last state when None), in eval mode on the CPU, float32."""
    weights = {name: value.astype(np.float32) for name, value in run.weights(round_index).items()}
    config = from_plain(SubspaceConfig, run.description().settings)
    model = build_model(
        config,
        img_size=run.description().img_size,
        in_chans=shape_of(weights, "encoder.weight", 4, run)[1],
        seed=config.seed,
    )
    model = add_gate(config, model) if config.attention else model
    put_weights(model, weights, run)
    return model.eval()


def embed_with(run: Run, round_index: int, images: np.ndarray) -> np.ndarray:
    """Z (N, D) float32 of ``images`` (N, H, W, 3) uint8 by the network of ``run`` after a round."""
    model = load_model(run, round_index)
    latent, _ = encode_all(model, to_pixels(images, in_chans=model.encoder.in_channels))
    return latent.numpy()


def to_pixels(images: np.ndarray, *, in_chans: int | None = None) -> Tensor:
    """Images (N, H, W, 3) uint8 as (N, 1 or 3, H, W) float32, 0..1: grey (BT.601) for ``in_chans`` = 1, as they are for 3.

    When None they are grey where all three channels of every image are equal.
    """
    pixels = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
    equal = bool((pixels[:, :1] == pixels).all())
    if equal and in_chans in (None, 1):
        return pixels[:, :1].float() / 255
    pixels = pixels.float() / 255
    return torch.einsum("nchw,c->nhw", pixels, torch.tensor(_GREY))[:, None] if in_chans == 1 else pixels


def add_gate(config: SubspaceConfig, model: SubspaceAutoencoder) -> SubspaceAutoencoder:
    """A copy of the pretrained ``model`` with the gate of ``config``, drawn from its seed."""
    return with_attention(
        model,
        torch.Generator().manual_seed(mix_seeds(config.seed, _GATE)),
        rd_ratio=config.rd_ratio,
        min_hidden=config.min_hidden,
        identity_gate=config.identity_gate,
    )


@torch.no_grad()
def encode_all(model: SubspaceAutoencoder, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Z (N, D) and the gate (N, channels), None without one, of pixels (N, C, H, W)."""
    outputs = [model(batch, keep=("gate",)) for batch in pixels.split(_EVAL_BATCH)]
    gates = [output.gate for output in outputs if output.gate is not None]
    return torch.cat([output.latent for output in outputs]), torch.cat(gates) if gates else None
