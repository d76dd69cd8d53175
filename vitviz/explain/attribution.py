"""Which places of a picture a model's score comes from: the methods by name, and all a page needs of them.

What a score is stands in :mod:`vitviz.explain.attribution_targets`, how it is attributed in
:mod:`vitviz.explain.attribution_methods`, whether that is to be believed in :mod:`vitviz.explain.attribution_faithfulness`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vitviz.explain.attribution_faithfulness import Curves, Faithfulness, faithfulness
from vitviz.explain.attribution_maps import (
    BASELINES,
    NORMALISATIONS,
    Attribution,
    Scaled,
    make_baseline,
    pooled,
    scaled,
)
from vitviz.explain.attribution_methods import (
    Cancelled,
    gradient_shap,
    integrated_gradients,
    layer_grad_cam,
    occlusion,
    saliency,
)
from vitviz.explain.attribution_targets import Target, center_target, class_target, embedding_of, logits_of

__all__ = [
    "BASELINES",
    "METHODS",
    "NORMALISATIONS",
    "Attribution",
    "Cancelled",
    "Curves",
    "Faithfulness",
    "Method",
    "Scaled",
    "Target",
    "center_target",
    "class_target",
    "embedding_of",
    "faithfulness",
    "gradient_shap",
    "integrated_gradients",
    "layer_grad_cam",
    "logits_of",
    "make_baseline",
    "occlusion",
    "pooled",
    "saliency",
    "scaled",
]

_NO_SETTINGS = ("batch_size", "on_progress")


@dataclass(frozen=True)
class Method:
    """One way to attribute.

    attribute: from (model, images (1, 3, H, W), target), settings, ``batch_size`` and ``on_progress`` to an :class:`Attribution`;
    sentence: what its map says, for a caption.
    """

    attribute: Callable[..., Attribution]
    sentence: str

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of its own, with its default."""
        parameters = inspect.signature(self.attribute).parameters.values()
        own = (one for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in _NO_SETTINGS)
        return {one.name: one.default for one in own}


METHODS = {
    "integrated_gradients": Method(
        integrated_gradients,
        "What each pixel adds to the score on the way from an empty picture to this one; together they add up to all of it.",
    ),
    "gradient_shap": Method(
        gradient_shap, "The same from several empty pictures, with noise: what each pixel adds on average."
    ),
    "saliency": Method(
        saliency, "How strongly the score answers to a small change of each pixel, in either direction."
    ),
    "occlusion": Method(occlusion, "How far the score falls when a patch is covered; below zero, it rises."),
    "layer_grad_cam": Method(
        layer_grad_cam, "Which patch tokens of a block carry the features that push the score up; below zero, down."
    ),
}
