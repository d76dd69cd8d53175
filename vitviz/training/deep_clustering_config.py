"""The settings of deep clustering. Apart from the training itself, so that forms and ``--help`` need no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vitviz.errors import Problem
from vitviz.training.stopping import StopRule

Algorithm = Literal["kmeans", "mini_batch_kmeans", "gaussian_mixture", "spectral", "agglomerative"]
Augmentation = Literal["none", "shift", "shift_flip"]
ProjectionEngine = Literal["auto", "aligned_umap", "warm_umap", "umap", "pca", "none"]


@dataclass(frozen=True, kw_only=True)
class DeepClusteringConfig:
    """Every choice the method leaves open. Defaults are vitviz's; the paper's own choice is named where it differs.

    Raises: Problem for values outside their range.
    """

    dataset: str = "digits"
    img_size: int | None = None
    limit: int | None = None
    held_out_fraction: float = 0.5
    seed: int = 0
    device: str = "auto"
    # the network (eqs 1-4)
    patch_size: int = 8
    stem: Literal["linear", "conv", "supertoken"] = "linear"
    embed_dim: int = 48
    depth: int = 3
    num_heads: int = 4
    mlp_ratio: float = 4.0
    drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    # phase 1
    epochs: int = 30
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 2.0
    augment: Augmentation = "none"
    gate: bool = True
    gate_accuracy: float = 0.95
    extra_epochs: int = 20
    # phase 2
    max_rounds: int = 10
    epochs_per_round: int = 4
    round_lr: float = 5e-4
    cluster_weight: float = 0.01
    start: Literal["warm", "reinitialise"] = "warm"
    targets: Literal["classes", "pseudo_labels"] = "classes"
    embedding: Literal["cls", "mean", "cls_normalised", "mean_normalised"] = "cls"
    distance: Literal["squared", "plain"] = "squared"
    reduction: Literal["mean", "sum"] = "mean"
    num_clusters: int = 10
    algorithm: Algorithm = "kmeans"
    num_restarts: int = 10
    evaluation: Literal["held_out", "transductive"] = "held_out"
    stop_rule: StopRule = "relative"
    epsilon: float = 0.05
    min_changed_share: float = 0.005
    # what is kept
    projection: ProjectionEngine = "auto"
    keep_round_weights: bool = True
    bfloat16: Literal["auto", "on", "off"] = "off"
    compile: Literal["off", "on"] = "off"

    def __post_init__(self):
        check_at_least(self, 1, "epochs batch_size epochs_per_round num_clusters num_restarts")
        check_at_least(self, 1, "patch_size embed_dim depth num_heads")
        check_network(self)
        check_at_least(self, 0, "max_rounds cluster_weight epsilon extra_epochs seed")
        check_at_least(self, 0, "lr round_lr weight_decay warmup_epochs mlp_ratio drop_rate drop_path_rate")
        if self.stem == "supertoken" and self.patch_size not in (1, 2, 4, 8, 16):
            raise Problem(f"patch_size={self.patch_size} must be 1, 2, 4, 8 or 16 for stem='supertoken'")
        if not 0 < self.held_out_fraction < 1:
            raise Problem(f"held_out_fraction={self.held_out_fraction} must lie between 0 and 1")
        if max(self.drop_rate, self.drop_path_rate) >= 1:
            raise Problem(f"drop_rate={self.drop_rate} and drop_path_rate={self.drop_path_rate} must be less than 1")
        if self.embed_dim % self.num_heads:
            raise Problem(f"embed_dim={self.embed_dim} must be divisible by num_heads={self.num_heads}")


def control_of(config: DeepClusteringConfig) -> dict[str, Any] | None:
    """The settings that turn ``config`` into its control, or None when it is one: alpha = 0, everything else the same."""
    return {"cluster_weight": 0.0} if config.cluster_weight else None


def check_at_least(config: Any, least: int, names: str) -> None:
    """Raises Problem for a setting among ``names`` (words) that is less than ``least``, or not a number at all."""
    for name in names.split():
        if not getattr(config, name) >= least:
            raise Problem(f"{name}={getattr(config, name)} must be at least {least}")


LARGEST = {"patch_size": 64, "embed_dim": 2048, "depth": 48, "num_heads": 64, "mlp_ratio": 16}
"""Settings of a network to the most they may be: a run from elsewhere must not make one that fills the memory."""
MAX_PARAMETERS = 350_000_000


def check_network(config: Any) -> None:
    """Raises Problem for a network larger than ``LARGEST``, or with more than ``MAX_PARAMETERS`` in its blocks."""
    for name, most in LARGEST.items():
        if getattr(config, name, 0) > most:
            raise Problem(f"{name}={getattr(config, name)} must be at most {most}")
    check_parameters([config.embed_dim], [config.depth], [config.mlp_ratio])


def check_parameters(dims: Sequence[int], depths: Sequence[int], ratios: Sequence[float]) -> None:
    """Raises Problem when the blocks of so many stages (4 D^2 of attention, 2 r D^2 of the MLP each) have too many parameters."""
    count = sum(depth * dim**2 * (4 + 2 * ratio) for dim, depth, ratio in zip(dims, depths, ratios, strict=True))
    if count > MAX_PARAMETERS:
        most = f"at most {MAX_PARAMETERS / 1e6:,.0f} are built"
        raise Problem(f"the settings make a network of {count / 1e6:,.0f} million parameters", most)
