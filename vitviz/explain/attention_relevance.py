"""Which tokens a score of a ViT comes from: attention weighted by the gradient of that score, through all layers.

Equations 5 and 6: R <- R + mean_h((dy/dA * A)^+) R, from R = I.

Source: Chefer, Gur and Wolf 2021, Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder
Transformers, its rules for self-attention.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attention_flow import Chain, Flow
from vitviz.explain.attention_layers import feed, layer_of, run

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vitviz.nn.attention_capture import AttentionCall

MAX_BYTES = 3 * 2**29


def relevance(model: torch.nn.Module, image: np.ndarray | Tensor, target: int | np.ndarray | None = None) -> Flow:
    """Attention weighted by the gradient of one score, for a picture (C, H, W) float32, normalised as the model wants it.

    Args:
        target: a class, whose logit is the score; None: the class with the largest; or a vector (D,), as a cluster's center,
            with its cosine with the embedding: R grows with the unit of the score to the power of the depth, and a squared
            distance has the embedding's.

    Weights and gradients of all layers are kept for the time of the call, 8 h N^2 bytes a layer.

    Raises: Problem when there is no such class, the vector has another width, the layers do not all attend over the same tokens,
    or more than 1.5 GiB would be kept.

    Differs: the result is R - I, without what every token is to itself, as in equation 8 of the paper; a pooling's row is A R.
    """
    import torch

    from vitviz.nn.attention_capture import watch_attention

    pixels, layout = feed(model, image)
    chain, kept = Chain(layout, beyond_self=True), []

    def visit(call: AttentionCall) -> None:
        layer = layer_of(model, call, layout)
        chain.check(layer)
        kept.append((layer, call.rows()))
        if sum(8 * weights.numel() for _, weights in kept) > MAX_BYTES:
            reason = f"its attention takes over {MAX_BYTES >> 20} MiB"
            raise Problem("the picture is too large for relevance", reason, "feed it smaller")

    with torch.inference_mode(False), torch.enable_grad():
        pixels = pixels.detach().clone().requires_grad_()
        score, label = watch_attention(lambda: _score(model, pixels, target), model, visit, through=True)
        if not kept:
            raise Problem(f"{type(model).__name__} shows no attention", "there is nothing that gradients could weight")
        gradients = torch.autograd.grad(score, [weights for _, weights in kept], materialize_grads=True)
    for (layer, weights), gradient in zip(kept, gradients, strict=True):
        weighted = (gradient * weights.detach()).clamp(min=0)[0].mean(dim=0)
        chain.extend(layer, weighted, lambda rows, carried: rows + carried)
    recipe = f"relevance for {label}: attention times its gradient, mean of heads, through all layers"
    return chain.end(model, recipe, float(score.detach()))


def _score(model: torch.nn.Module, pixels: Tensor, target: int | np.ndarray | None) -> tuple[Tensor, str]:
    """What relevance explains of the first picture, and its name for captions."""
    from vitviz.explain.attribution_targets import embedding_of, logits_of

    if target is not None and not isinstance(target, Integral):
        embedding = run(lambda images: embedding_of(model, images), pixels)[0]
        return _cosine(embedding, target), "a vector's cosine with the embedding"
    logits = run(lambda images: logits_of(model, images), pixels)[0]
    number = int(logits.argmax()) if target is None else int(target)
    if not 0 <= number < len(logits):
        raise Problem(f"there is no class {number}", f"the model tells {len(logits)} apart")
    return logits[number], f"class {number}{', the most likely' if target is None else ''}"


def _cosine(embedding: Tensor, vector: np.ndarray) -> Tensor:
    import torch

    other = torch.as_tensor(vector).to(embedding)
    if other.shape != embedding.shape:
        reason = f"the model's embeddings have {len(embedding)} numbers"
        raise Problem(f"a vector of shape {tuple(other.shape)} is no target", reason)
    return torch.nn.functional.cosine_similarity(embedding, other, dim=0)
