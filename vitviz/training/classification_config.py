"""The settings that every classifier trains with. Apart from the training itself, so that forms and ``--help`` need no torch."""

from dataclasses import dataclass
from typing import Literal

from vitviz.errors import Problem
from vitviz.training.deep_clustering_config import ProjectionEngine, check_at_least

MAX_MAGNITUDE = 9


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """Data, recipe, and what is kept; a network's own settings are added by a subclass.

    The recipe is DeiT's (Touvron et al. 2021): RandAugment, random erasing, Mixup and CutMix, label smoothing, AdamW, a cosine
    with warm-up. Differs: learning rate and batch are the super-token paper's (1e-3 at 128); ``min_crop`` is .35, since a few
    thousand images want milder crops than a million; pixels are scaled to -1..1.
    Raises: Problem for values outside their range.
    """

    dataset: str = "clothing"
    img_size: int | None = 224
    limit: int | None = None
    held_out_fraction: float = 0.2
    seed: int = 0
    device: str = "auto"
    # the recipe
    epochs: int = 40
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 3.0
    drop_path_rate: float = 0.0
    min_crop: float = 0.35
    rand_augment: float = 9.0
    random_erasing: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    label_smoothing: float = 0.1
    bfloat16: Literal["auto", "on", "off"] = "auto"
    compile: Literal["off", "on"] = "off"
    # what is kept
    num_clusters: int = 10
    num_restarts: int = 10
    projection: ProjectionEngine = "auto"

    def __post_init__(self):
        check_at_least(self, 1, "epochs batch_size num_clusters num_restarts")
        check_at_least(self, 0, "seed lr weight_decay warmup_epochs drop_path_rate")
        check_at_least(self, 0, "rand_augment random_erasing mixup cutmix label_smoothing")
        if not 0 < self.held_out_fraction < 1:
            raise Problem(f"held_out_fraction={self.held_out_fraction} must lie between 0 and 1")
        if not 0 < self.min_crop <= 1:
            raise Problem(f"min_crop={self.min_crop} must be more than 0 and at most 1, the share of the picture kept")
        if self.rand_augment > MAX_MAGNITUDE:
            raise Problem(f"rand_augment={self.rand_augment} must be at most {MAX_MAGNITUDE}")
        for name in ("drop_path_rate", "random_erasing", "label_smoothing"):
            if getattr(self, name) >= 1:
                raise Problem(f"{name}={getattr(self, name)} must be less than 1")
