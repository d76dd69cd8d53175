"""The settings of Clustering CoaT's training. Apart from the training itself, so that forms and ``--help`` need no torch."""

from dataclasses import dataclass
from typing import Literal

from vitviz.errors import Problem
from vitviz.training.classification_config import ClassificationConfig
from vitviz.training.deep_clustering_config import LARGEST, check_at_least, check_parameters

CLUSTERED = ("factorised", "softmax", "clustered_mlp")
"""Kinds that cluster something."""


@dataclass(frozen=True, kw_only=True)
class CoatConfig(ClassificationConfig):
    """A CoaT-Lite, what of it is clustered, and from how many images it learns. By default it is as large as CoaT-Lite Tiny.

    kind: ``unclustered`` is CoaT as published; ``factorised`` and ``softmax`` cluster the queries of ``clustered_stages``,
        ``clustered_mlp`` (ours, not the paper's) the tokens before their MLPs; ``full_softmax`` is what ``softmax`` approximates.
    train_share: of the training images of every class; a smaller share is part of a larger one, held-out images stay the same.
    equal_steps: an epoch has the steps of all training images, however few are trained on. The budget is in steps, since then
        every share has the same updates and learning rates, and a run does not depend on how busy a machine is; seconds are
        recorded beside them. Otherwise an epoch is one pass over the share.
    start: a run, or a local .safetensors file with timm's names, whose weights to begin with; "" draws them from the seed.
    teacher: a run of kind ``unclustered``; the loss becomes (1 - w) CE + w T^2 KL with w = ``distillation_weight`` and T =
        ``temperature``. In ``start`` and ``teacher``, ``{seed}`` stands for the seed.
    unclustered_share: of all steps, the first, that cluster nothing.
    grouping: the method of ``nn.query_groups.Grouping``, which tells of num_hashes, num_bits, r_rel (and mlp_r_rel) too;
        ``num_prototypes`` is its num_clusters.
    min_prototype_share: with ``e2lsh``, r shrinks in training so that C/N of every clustered stage stays about this or more.

    Raises: Problem for values outside their range.
    """

    kind: Literal["unclustered", "factorised", "softmax", "full_softmax", "clustered_mlp"] = "factorised"
    train_share: float = 1.0
    equal_steps: bool = True
    start: str = ""
    teacher: str = ""
    distillation_weight: float = 0.5
    temperature: float = 2.0
    # the clustering
    clustered_stages: tuple[int, ...] = (1, 2)
    gate: Literal["query", "value", "prototype"] = "query"
    grouping: Literal["e2lsh", "sign", "sign+lloyd", "kmeans", "blocks", "random"] = "e2lsh"
    r_rel: float = 4.0
    mlp_r_rel: float = 16.0
    num_hashes: int = 8
    num_bits: int = 6
    num_prototypes: int = 64
    unclustered_share: float = 0.1
    min_prototype_share: float = 0.1
    # the network
    patch_size: int = 4
    embed_dims: tuple[int, ...] = (64, 128, 256, 320)
    serial_depths: tuple[int, ...] = (2, 2, 2, 2)
    mlp_ratios: tuple[float, ...] = (8.0, 8.0, 4.0, 4.0)
    num_heads: int = 8

    def __post_init__(self):
        super().__post_init__()
        check_at_least(self, 1, "patch_size num_heads num_hashes num_bits num_prototypes")
        for name in ("train_share", "min_prototype_share", "distillation_weight"):
            if not 0 < getattr(self, name) <= 1:
                raise Problem(f"{name}={getattr(self, name)} must be more than 0 and at most 1")
        for name in ("r_rel", "mlp_r_rel"):
            if not 1e-6 <= getattr(self, name) <= 1e6:
                raise Problem(f"{name}={getattr(self, name)} must be 1e-6 to 1e6")
        if not 0 <= self.unclustered_share < 1:
            raise Problem(f"unclustered_share={self.unclustered_share} must be at least 0 and less than 1")
        if not self.temperature > 0:
            raise Problem(f"temperature={self.temperature} must be more than 0")
        if not self.clustered_stages or not set(self.clustered_stages) <= {1, 2, 3, 4}:
            raise Problem(f"clustered_stages={self.clustered_stages} must be some of 1, 2, 3, 4")
        self._check_network()

    def _check_network(self) -> None:
        for name in ("embed_dims", "serial_depths", "mlp_ratios"):
            values = getattr(self, name)
            if len(values) != 4 or not min(values) > 0:
                raise Problem(f"{name}={values} must be four numbers greater than 0")
        for name, of in (("embed_dims", "embed_dim"), ("serial_depths", "depth"), ("mlp_ratios", "mlp_ratio")):
            if max(getattr(self, name)) > LARGEST[of]:
                raise Problem(f"{name}={getattr(self, name)} must be at most {LARGEST[of]} each")
        for name in ("patch_size", "num_heads"):
            if getattr(self, name) > LARGEST[name]:
                raise Problem(f"{name}={getattr(self, name)} must be at most {LARGEST[name]}")
        check_parameters(self.embed_dims, self.serial_depths, self.mlp_ratios)
        if any(dim % self.num_heads for dim in self.embed_dims):
            raise Problem(f"embed_dims={self.embed_dims} must be divisible by num_heads={self.num_heads}")
