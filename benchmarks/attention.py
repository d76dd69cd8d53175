"""Every view of the attention page beside a plain forward pass of the same ViT: attention, flow, tokens, attributions.

``python -m benchmarks.attention [--quick] [--json]``. One picture of 224 px, one thread, and the processor seconds of that
thread; all run in turn in this process after a warm-up, and what is shown is the median (of two for what takes many passes). The
logits of a pass that is watched are equal to those of one that is not, bit by bit. Weights are random: they cost what trained
ones cost. With two idle cores a view takes between half of this and all of it.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import torch

from benchmarks.table import Row, main
from vitviz.explain.attention import attend, birds_eye
from vitviz.explain.attention_flow import rollout
from vitviz.explain.attention_relevance import relevance
from vitviz.explain.attribution import METHODS, class_target, faithfulness, pooled
from vitviz.explain.timm_models import load_timm
from vitviz.explain.token_views import logit_lens, patch_pca, patch_similarity, tokens_of
from vitviz.nn.attention_capture import watch_attention

MODELS = ("vit_tiny_patch16_224", "vit_small_patch16_224")
PLAIN = "a plain forward pass"


def measure(quick: bool) -> list[Row]:
    """Milliseconds of each view, beside those of the plain pass."""
    torch.set_num_threads(1)
    return [row for name in MODELS[: 1 if quick else 2] for row in _rows(name, repeats=3 if quick else 15)]


def _rows(name: str, repeats: int) -> Iterator[Row]:
    model = load_timm(name).model
    image = torch.randn(3, 224, 224, generator=torch.Generator().manual_seed(0))
    image_of_one = image[None]

    @torch.inference_mode()
    def plain() -> torch.Tensor:
        return model(image_of_one)

    with torch.inference_mode():
        watched = watch_attention(lambda: model(image_of_one), model, lambda call: None)
    assert torch.equal(watched, plain())
    works: dict[str, Callable[[], object]] = {
        PLAIN: plain,
        "CLS in all layers and heads": lambda: birds_eye(model, image),
        "a patch in all layers and heads": lambda: birds_eye(model, image, (5, 7)),
        "the mean of all patches in all layers and heads": lambda: birds_eye(model, image, "mean"),
        "CLS in layer 11": lambda: attend(model, image, 11),
        "a patch in layer 5": lambda: attend(model, image, 5, (5, 7)),
        "rollout": lambda: rollout(model, image),
        "rollout, maximum of heads, half discarded": lambda: rollout(model, image, fusion="max", discard_ratio=0.5),
        "relevance for the likeliest class": lambda: relevance(model, image),
        "patch PCA": lambda: patch_pca(tokens_of(model, image_of_one)),
        "likeness to a patch": lambda: patch_similarity(tokens_of(model, image_of_one), 5, 7),
        "logit lens": lambda: logit_lens(model, image_of_one),
    }
    milliseconds = _in_turn(works, repeats) | _in_turn(_attributions(model, image_of_one), 1 if repeats < 15 else 2)
    for view, value in milliseconds.items():
        if view != PLAIN:
            yield Row(f"{name}: {view}", value, "ms", PLAIN, milliseconds[PLAIN])


def _attributions(model: torch.nn.Module, images: torch.Tensor) -> dict[str, Callable[[], object]]:
    """The five methods at their default settings, integrated gradients at 64 steps, and the test beside each of them."""
    target = class_target(0)
    settings = {"integrated_gradients": {"max_steps": 64}}
    works = {
        name: lambda name=name: METHODS[name].attribute(model, images, target, **settings.get(name, {}))
        for name in METHODS
    }
    importance = pooled(METHODS["saliency"].attribute(model, images, target), (14, 14))
    return {**works, "deletion and insertion, 158 pictures": lambda: faithfulness(model, images, target, importance)}


def _in_turn(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor milliseconds of each, called in turn after one warm-up: other processes take wall time, but not these."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.thread_time()
            work()
            spent[name].append((time.thread_time() - start) * 1e3)
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


if __name__ == "__main__":
    main(measure, __doc__)
