"""The settings of IDEC. Apart from the training itself, so that forms and ``--help`` need no torch."""

from dataclasses import dataclass
from itertools import pairwise

from vitviz.errors import Problem
from vitviz.training.deep_clustering_config import MAX_PARAMETERS, ProjectionEngine, check_at_least


@dataclass(frozen=True, kw_only=True)
class IdecConfig:
    """Settings of the unsupervised demonstration. Raises: Problem for values outside their range."""

    dataset: str = "digits"
    img_size: int | None = None
    limit: int | None = None
    held_out_fraction: float = 0.5
    seed: int = 0
    device: str = "auto"
    input_size: int = 8
    embed_dim: int = 10
    hidden: tuple[int, ...] = (448, 448)
    epochs: int = 100
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.0
    max_rounds: int = 10
    epochs_per_round: int = 3
    epochs_per_update: int = 1
    round_lr: float = 1e-3
    cluster_weight: float = 0.1
    num_clusters: int = 10
    num_restarts: int = 10
    projection: ProjectionEngine = "auto"

    def __post_init__(self):
        check_at_least(
            self,
            1,
            "epochs batch_size epochs_per_round epochs_per_update num_clusters num_restarts embed_dim input_size",
        )
        check_at_least(self, 0, "max_rounds cluster_weight seed lr round_lr weight_decay")
        if not 0 < self.held_out_fraction < 1:
            raise Problem(f"held_out_fraction={self.held_out_fraction} must lie between 0 and 1")
        if min(self.hidden, default=1) < 1:
            raise Problem(f"hidden={self.hidden} must be widths of at least 1")
        if sum(before * after for before, after in pairwise(self._widths)) > MAX_PARAMETERS / 2:
            raise Problem(f"hidden={self.hidden}, input_size={self.input_size} make too large a network")

    @property
    def _widths(self) -> tuple[int, ...]:
        return self.input_size**2, *self.hidden, self.embed_dim
