"""A model to look inside, whoever trained it, with what is needed to feed it and to speak of it; and how a run becomes one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vitviz.errors import Problem
from vitviz.explain.preprocessing import AS_TRAINED, Preprocessing
from vitviz.explain.weight_keys import KeyReport

if TYPE_CHECKING:
    from torch import nn

    from vitviz.runs.folder import Run


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A network in eval mode without gradients to its parameters. It is shared, so nobody changes it or hooks into it.

    label: its name and where its weights come from, for captions; class_names: one a logit, empty where they are unknown or the
    classifier is untrained; keys: how a file met it, None without one; is_trained: whether its weights were trained by somebody;
    has_classifier: whether the last layer was too; recipe: label and preprocessing in one line, to be copied.
    """

    model: nn.Module
    label: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    keys: KeyReport | None = None
    is_trained: bool = True
    has_classifier: bool = True

    @property
    def recipe(self) -> str:
        return f"{self.label}; {self.preprocessing.sentence()}"


def load_run_model(run: Run, round_index: int | None = None, *, untrained: bool = False) -> OpenedModel:
    """The network of a run after a round, or as it is now (trained, or still training) when None.

    Of the methods with a classifier behind attention: deep_clustering, supertokens and coat; the latter two have one round.
    ``untrained``: as it was before its first step, drawn from the run's seed: the control of whatever is seen in it.

    Raises: Problem for a method without attention, a round that is not there or kept no weights, a run without any yet.
    """
    method = run.description().method
    if method not in _OPEN:
        what = "its network is an autoencoder" if method in _AUTOENCODERS else f"its method is {method}"
        raise Problem(f"run '{run.name}' has no attention to look at", what, f"choose a run of {', '.join(_OPEN)}")
    model, class_names = _OPEN[method](run, round_index)
    about = run.description()
    moment = "" if round_index is None else f", round {round_index}"
    if untrained:
        model, moment = _drawn_again(model, about.seed), f" before training (random weights of seed {about.seed})"
    return OpenedModel(
        model=model.eval().requires_grad_(False),
        label=f"run {run.name}{moment}",
        preprocessing=replace(AS_TRAINED, img_size=about.img_size),
        class_names=() if untrained else class_names,
        is_trained=not untrained,
        has_classifier=not untrained,
    )


def _open_deep_clustering(run: Run, round_index: int | None) -> tuple[nn.Module, tuple[str, ...]]:
    """Trained on pseudo labels, its classes are the clusters of the round before."""
    from vitviz.config import from_plain
    from vitviz.training.classification import latest_weights
    from vitviz.training.deep_clustering import build_model
    from vitviz.training.deep_clustering_config import DeepClusteringConfig
    from vitviz.training.run_weights import put_weights, shape_of

    weights = latest_weights(run) if round_index is None else run.weights(round_index)
    about = run.description()
    config, (num_classes,) = from_plain(DeepClusteringConfig, about.settings), shape_of(weights, "head.bias", 1, run)
    model = build_model(config, img_size=about.img_size, num_classes=num_classes, seed=config.seed)
    put_weights(model, weights, run)
    _ask_for_true_gradient(model)
    if config.targets == "pseudo_labels":
        return model, tuple(f"cluster {index}" for index in range(num_classes))
    return model, about.class_names if len(about.class_names) == num_classes else ()


def _open_supertokens(run: Run, round_index: int | None) -> tuple[nn.Module, tuple[str, ...]]:
    from vitviz.training.supertokens import load_model

    _check_only_round(run, round_index)
    model = load_model(run)
    _ask_for_true_gradient(model)
    return model, run.description().class_names


def _ask_for_true_gradient(model: nn.Module) -> None:
    """Super tokens are trained with the association held constant; attributions would miss a part of what they ask for."""
    from vitviz.nn.embed import SuperTokenEmbed

    if isinstance(model.patch_embed, SuperTokenEmbed):
        model.patch_embed.grad = "full"


def _open_coat(run: Run, round_index: int | None) -> tuple[nn.Module, tuple[str, ...]]:
    from vitviz.training.coat import load_model

    _check_only_round(run, round_index)
    return load_model(run), run.description().class_names


def _drawn_again(model: nn.Module, seed: int) -> nn.Module:
    """The same network with the weights that its training began with."""
    import torch

    from vitviz.nn import coat, vit

    draw = coat.init_weights if isinstance(model, coat.CoaT) else vit.init_weights
    return draw(model, torch.Generator().manual_seed(seed))


def _check_only_round(run: Run, round_index: int | None) -> None:
    if round_index not in (None, 0) or (round_index == 0 and not run.num_rounds()):
        raise Problem(f"run '{run.name}' has no round {round_index}", "a classifier has one, number 0, at its end")


_OPEN = {"deep_clustering": _open_deep_clustering, "supertokens": _open_supertokens, "coat": _open_coat}
_AUTOENCODERS = ("idec", "subspace")
