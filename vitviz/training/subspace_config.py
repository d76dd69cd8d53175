"""The settings of deep subspace clustering. Apart from the training itself, so that forms and ``--help`` need no torch."""

from dataclasses import dataclass
from typing import Literal

from vitviz.errors import Problem
from vitviz.training.deep_clustering_config import ProjectionEngine, check_at_least

MAX_DENSE_IMAGES = 2_000
"""More images than this are too many for a dense C: its optimiser holds three more N x N arrays, and every round keeps one."""

_MAX_CHANNELS, _MAX_HIDDEN = 256, 4096


@dataclass(frozen=True, kw_only=True)
class SubspaceConfig:
    """Every choice the method leaves open. The defaults are the paper's, but for ``dataset``, ``num_clusters`` and
    ``count_diagonal``: where images are few, its true leaves them without neighbours.

    All images take part and no label does. ``held_out_fraction`` draws the images that the scores ``held_out_*`` are counted on,
    as in other methods; nothing is held out of the training, and ``nmi``, ``acc``, ``ari`` count all.

    Raises: Problem for values outside their range.
    """

    dataset: str = "digits"
    img_size: int | None = 32
    limit: int | None = None
    held_out_fraction: float = 0.5
    seed: int = 0
    device: str = "auto"
    # the autoencoder and its gate (equation 1)
    channels: int = 15
    attention: bool = False
    rd_ratio: float = 0.25
    min_hidden: int = 1
    identity_gate: bool = False
    # pretraining on reconstruction
    epochs: int = 1200
    num_starts: int = (
        1  # the one that restores the images best is gone on with; with few channels half of one may be dead
    )
    batch_size: int = 256
    lr: float = 1e-3
    # the joint fine-tuning: of ``adam`` always, of the others where there is a gate to train
    num_steps: int = 30
    finetune_lr: float = 1e-3
    coefficient_start: float = 1e-8
    coefficient_weight: float = 1.0
    expression_weight: float = 150.0
    loss: Literal["squared", "literal"] = "squared"
    # how C is found; ``auto`` is ``ridge`` or ``neighbors``, whichever the pretrained Z suggests
    solver: Literal["adam", "ridge", "neighbors", "auto"] = "adam"
    ridge_strength: float = 10.0
    zero_diagonal: bool = False
    num_neighbors: int = 10
    neighbor_strength: float = 0.01
    num_iterations: int = 200
    # from C to labels; no threshold is .04 for a dense C and none for a sparse one; DSC-Net's code counts the diagonal
    num_clusters: int = 10
    affinity: Literal["ji", "simple"] = "ji"
    threshold: float | None = None
    count_diagonal: bool = False
    subspace_dim: int = 12
    power: float = 8.0
    num_restarts: int = 20
    # which step counts; ``adam`` is scored every few steps, and becomes a round every few steps
    select: Literal["fixed", "eigengap"] = "fixed"
    fixed_step: int = 30
    score_every: int = 5
    round_every: int = 5
    # what is kept
    projection: ProjectionEngine = "none"

    def __post_init__(self):
        check_at_least(
            self,
            1,
            "epochs num_starts batch_size num_clusters num_restarts channels min_hidden num_steps num_neighbors",
        )
        check_at_least(self, 1, "num_iterations subspace_dim fixed_step score_every round_every")
        for name, most in (("channels", _MAX_CHANNELS), ("min_hidden", _MAX_HIDDEN)):
            if getattr(self, name) > most:
                raise Problem(f"{name}={getattr(self, name)} must be at most {most}")
        check_at_least(self, 0, "seed lr finetune_lr rd_ratio coefficient_start")
        for name in ("coefficient_weight", "expression_weight", "ridge_strength", "neighbor_strength", "power"):
            if not getattr(self, name) > 0:
                raise Problem(f"{name}={getattr(self, name)} must be more than 0")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise Problem(f"threshold={self.threshold} must be more than 0 and at most 1")
        if not 0 < self.held_out_fraction < 1:
            raise Problem(f"held_out_fraction={self.held_out_fraction} must lie between 0 and 1")

    @property
    def is_joint(self) -> bool:
        """Whether autoencoder and C are fine-tuned together: a gate is trained by nothing else."""
        return self.solver == "adam" or self.attention

    def round_steps(self) -> tuple[int, ...]:
        """The steps of the fine-tuning that become rounds, ascending; a ``fixed_step`` past the last step means the last."""
        regular = range(self.round_every, self.num_steps + 1, self.round_every)
        return tuple(sorted({*regular, min(self.fixed_step, self.num_steps), self.num_steps}))

    def is_scored(self, step: int) -> bool:
        """Whether the C of that step is clustered and scored."""
        return step % self.score_every == 0 or step in self.round_steps()
