"""The settings of the super-token paper's classifiers. Apart from the training, so that forms and ``--help`` need no torch."""

from dataclasses import dataclass
from typing import Literal

from vitviz.errors import Problem
from vitviz.training.classification_config import ClassificationConfig
from vitviz.training.deep_clustering_config import check_at_least, check_network


@dataclass(frozen=True, kw_only=True)
class SuperTokensConfig(ClassificationConfig):
    """One of the paper's three embeddings before a plain ViT. The body is small by default: the paper's is 384 wide, 12 deep.

    ``stride``: pixels from one token to the next; 16 as in the paper, 8 for images of 64 pixels, 4 for 32.
    Raises: Problem for values outside their range.
    """

    embedding: Literal["patch", "conv", "supertoken"] = "supertoken"
    stride: Literal[4, 8, 16] = 16
    conv_stem: Literal["table4", "table4_1x1", "earlyconv"] = "table4"
    tier: Literal["without_conv", "module1", "modules12", "modules14", "modules16", "extra"] = "modules16"
    num_iterations: int = 3
    similarity: Literal["dot", "neg_sq_distance", "cosine"] = "dot"
    border: Literal["masked", "stvit"] = "masked"
    grad: Literal["association_stopped", "full"] = "association_stopped"
    # the body
    embed_dim: int = 192
    depth: int = 6
    num_heads: int = 3
    mlp_ratio: float = 3.0

    def __post_init__(self):
        super().__post_init__()
        check_at_least(self, 1, "embed_dim depth num_heads")
        check_at_least(self, 0, "num_iterations mlp_ratio")
        check_network(self)
        if self.embed_dim % self.num_heads:
            raise Problem(f"embed_dim={self.embed_dim} must be divisible by num_heads={self.num_heads}")
        if self.img_size is not None and self.img_size % self.stride:
            raise Problem(f"img_size={self.img_size} must be a multiple of stride={self.stride}")
