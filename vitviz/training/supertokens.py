"""The super-token paper's classifiers: one of three embeddings before the same plain ViT.

Source: Lee, Lee, Kim, "super-token clustering convolutional embedding", JDCS 25(2), 2024. Where each piece stands:

==================  ================================================  ======================================
piece               what                                              where
==================  ================================================  ======================================
Tables 3, 4, 5, 7   patch, conv and super-token embedding, its tiers  ``nn/embed.py``
equations 2-4       the clustering                                    ``nn/supertokens.py``
section 3           the ViT behind them                               ``nn.embed.paper_vit``
section 4           the training                                      ``training/classification.py``
Tables 6, 7, 8      rows, one run each                                presets ``table6``, ``table7``, ``table8``
==================  ================================================  ======================================
"""

from collections.abc import Iterator

import numpy as np
import torch

from vitviz.config import from_plain
from vitviz.nn.embed import ConvEmbed, NormedPatchEmbed, SuperTokenEmbed, TokenEmbed, paper_vit, tier_with_stride
from vitviz.nn.vit import VisionTransformer, init_weights
from vitviz.runs.folder import Run
from vitviz.training.classification import Record, latest_weights, train_classifier
from vitviz.training.loop import embed_images
from vitviz.training.run_weights import put_weights
from vitviz.training.supertokens_config import SuperTokensConfig


def train_supertokens(config: SuperTokensConfig, run: Run) -> Iterator[Record]:
    """Train the classifier of ``config``: see :func:`vitviz.training.classification.train_classifier`."""
    return train_classifier(config, run, build_model)


def build_model(config: SuperTokensConfig, *, img_size: int, num_classes: int, seed: int) -> VisionTransformer:
    """The network of ``config`` with weights drawn from ``seed``. Raises Problem when sizes do not divide."""
    model = paper_vit(
        build_embedding(config),
        img_size=img_size,
        num_classes=num_classes,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        drop_path_rate=config.drop_path_rate,
    )
    return init_weights(model, torch.Generator().manual_seed(seed))


def build_embedding(config: SuperTokensConfig) -> TokenEmbed:
    """The embedding of ``config``, with torch's own starting weights."""
    if config.embedding == "patch":
        return NormedPatchEmbed(embed_dim=config.embed_dim, patch_size=config.stride)
    if config.embedding == "conv":
        return ConvEmbed(embed_dim=config.embed_dim, stem=config.conv_stem, stride=config.stride)
    return SuperTokenEmbed(
        embed_dim=config.embed_dim,
        tier=tier_with_stride(config.tier, config.stride),
        num_iterations=config.num_iterations,
        similarity=config.similarity,
        border=config.border,
        grad=config.grad,
    )


def load_model(run: Run) -> VisionTransformer:
    """The network of a run, in eval mode on the CPU, float32: the trained one, or that of the last epoch while it still trains.

    Raises: Problem before the first epoch is done.
    """
    about, weights = run.description(), latest_weights(run)
    config = from_plain(SuperTokensConfig, about.settings)
    model = build_model(config, img_size=about.img_size, num_classes=len(about.class_names), seed=config.seed)
    put_weights(model, weights, run)
    return model.eval()


def embed_with(run: Run, round_index: int, images: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) float32 of ``images`` (N, img_size, img_size, 3) uint8; such a run has one round, its last epoch."""
    embeddings, _ = embed_images(load_model(run), images, np.arange(len(images)), batch_size=64)
    return embeddings.numpy()
