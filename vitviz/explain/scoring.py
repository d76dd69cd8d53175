"""How the runs of each method are scored when they are compared: which of their records count, and what that is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vitviz.training.coat_config import CoatConfig
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.supertokens_config import SuperTokensConfig

_NO_MATTER = frozenset({"seed", "device", "dataset", "projection"})


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A value of the records over training: its key, what it is called, and whether it is a share that is told in percent."""

    key: str
    title: str
    in_percent: bool = False


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The score of a run, where it stands in its records, and the words for it.

    ``config`` is that of the method: its defaults stand for settings that a run was written before. ``curves`` go over the
    records of kind ``record_kind``, of which a run has as many as its setting ``planned`` says; the first is that of the score,
    0..1. The score is that of the last such record, or, when ``is_selected``, of the ``selection`` of the last round: the step
    that a rule chose without labels. ``extras``: title to the path of another share in that selection. ``is_clustering``:
    clusters are named after the classes they fit best, so random ids score more than a guess. ``no_matter``: settings that the
    score does not depend on, or, as the data set, that are compared otherwise.

    Words: ``name`` of the score, the ``images`` it counts, ``when`` a dot is taken, the ``phase`` that curves and seconds go
    over, the column that says which epoch or step ``counted``, the two controls ``chance`` and ``largest`` with a sentence of
    their scores, how images are ``split`` (with num_images, num_train and num_scored), and notes below scores and curves.
    """

    config: type
    record_kind: str
    planned: str
    curves: tuple[Curve, ...]
    is_selected: bool = False
    is_clustering: bool = False
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    no_matter: frozenset[str] = _NO_MATTER
    name: str
    images: str
    when: str
    phase: str
    counted: str
    chance: str
    largest: str
    controls: str
    split: str
    score_note: str = ""
    curve_note: str = ""


CLASSIFIED = Scoring(
    config=SuperTokensConfig,
    record_kind="epoch",
    planned="epochs",
    curves=(
        Curve(key="held_out_top1", title="held-out top-1", in_percent=True),
        Curve(key="loss", title="loss, training images"),
        Curve(key="held_out_loss", title="loss, held-out images"),
    ),
    no_matter=_NO_MATTER | {"num_clusters", "num_restarts"},
    name="top-1",
    images="held-out images",
    when="after its last epoch",
    phase="training",
    counted="epochs",
    chance="guessing",
    largest="the largest class",
    controls="Guessing scores {chance:.1f} %, always naming the largest class {largest_class:.1f} %.",
    split="{num_train:,} images to train on and {num_scored:,} held out",
    curve_note=(
        "The training loss is that of mixed images and smoothed labels (Mixup, CutMix), so it cannot be held against the loss "
        "on held-out images, which are as they are."
    ),
)
"""Classifiers: top-1 on images that took no part in the training."""

CLUSTERED = Scoring(
    config=SubspaceConfig,
    record_kind="step",
    planned="num_steps",
    curves=(
        Curve(key="acc", title="ACC over all images", in_percent=True),
        Curve(key="nmi", title="NMI over all images", in_percent=True),
        Curve(key="loss", title="loss, all images"),
    ),
    is_selected=True,
    is_clustering=True,
    extras={"NMI": ("nmi",), "ACC, oracle": ("marks", "oracle", "acc")},
    no_matter=_NO_MATTER | {"held_out_fraction"},
    name="ACC",
    images="all images",
    when="at the step that its rule chose without labels",
    phase="fine-tuning",
    counted="at step",
    chance="random ids",
    largest="one cluster for all",
    controls="Random ids score {chance:.1f} %, one cluster for all {largest_class:.1f} %.",
    split="{num_images:,} images, all of them clustered and none held out",
    score_note=(
        "ACC and NMI are those of the step chosen without labels. The oracle is the best ACC among all scored steps: it takes "
        "the labels to find, so it is no result and takes no part in the order."
    ),
    curve_note="Scores are told for the steps that were clustered, the loss for every step, before its update.",
)
"""Subspace clustering: ACC over all images, which are all clustered together; labels score and choose nothing."""

CLASSIFIED_BY_PROTOTYPES = replace(
    CLASSIFIED,
    config=CoatConfig,
    curves=(
        *CLASSIFIED.curves,
        Curve(key="prototype_share", title="prototypes a token, training images", in_percent=True),
    ),
)
"""Classifiers that cluster inside: also the share of prototypes, 100 % while nothing is clustered yet."""

SCORINGS: dict[str, Scoring] = {
    "supertokens": CLASSIFIED,
    "subspace": CLUSTERED,
    "coat": CLASSIFIED_BY_PROTOTYPES,
}
"""Method to how its runs are scored: a method that is not here is not compared."""
