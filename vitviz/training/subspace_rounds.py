"""From C to a saved and scored round of subspace clustering: affinity, spectral clusters, scores, and ``coefficients.npz``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vitviz.clustering.affinity import AffinitySettings, in_block_mass, make_affinity, simple_affinity
from vitviz.clustering.algorithms import place_around_means
from vitviz.clustering.eigenpairs import Matrix
from vitviz.clustering.metrics import scores
from vitviz.clustering.spectral import SpectralClustering, cluster_affinity, spectral_order
from vitviz.nn.subspace import DEAD_GATE, gate_spread, is_dead_gate
from vitviz.runs.folder import Run
from vitviz.runs.records import Coefficients
from vitviz.training.rounds import RoundInputs, save_and_score
from vitviz.training.subspace_config import SubspaceConfig

_SETTINGS = (
    "solver",
    "affinity",
    "threshold",
    "count_diagonal",
    "subspace_dim",
    "power",
    "num_clusters",
    "seed",
)
_NO_EDGES = (
    "the graph has no edges: every coefficient between two images rounds to 0 in the 16 bits it is kept in, and the clusters "
    "say nothing; weaken ridge_strength or coefficient_weight, or choose another solver"
)


@dataclass(frozen=True)
class Expressed:
    """What one C (N, N) came to; rows = images, Z = C Z. latent: Z (N, D); gate: (N, channels) or None.

    has_edges: whether any two images are joined.
    """

    latent: Tensor
    gate: Tensor | None
    coefficients: Matrix
    clusters: SpectralClustering
    has_edges: bool = True


def cluster_coefficients(
    config: SubspaceConfig, latent: Tensor, gate: Tensor | None, coefficients: Tensor | sparse.csr_array
) -> Expressed:
    """Affinity and spectral clusters of C (N, N) by the settings; no label is looked at."""
    matrix = _as_kept(coefficients)
    settings = AffinitySettings(
        threshold=config.threshold,
        count_diagonal=config.count_diagonal,
        dim=config.subspace_dim,
        power=config.power,
    )
    affinity = make_affinity(matrix, config.affinity, config.num_clusters, settings)
    clusters = cluster_affinity(affinity, config.num_clusters, seed=config.seed, num_restarts=config.num_restarts)
    return Expressed(latent, gate, matrix, clusters, has_edges=bool(affinity.sum() > 0))


def _as_kept(coefficients: Tensor | sparse.csr_array) -> Matrix:
    """C (N, N) float32 with the 16 bits it is kept in: a threshold chooses among entries that are nearly equal, so from what a
    reader finds other labels would come.
    """
    if isinstance(coefficients, Tensor):
        return coefficients.detach().cpu().numpy().astype(np.float16).astype(np.float32)
    rounded = coefficients.astype(np.float32)
    rounded.data = rounded.data.astype(np.float16).astype(np.float32)
    return rounded


def score(expressed: Expressed, classes: np.ndarray) -> dict[str, Any]:
    """NMI, ACC, ARI, AMI over all images, and what C itself says: the eigengap, and its mass within the clusters and the classes.

    The mass is that of ``|C| + |C^T|``, before any post-processing. None where it takes labels and there are none.
    """
    labels, plain = expressed.clusters.labels, simple_affinity(expressed.coefficients)
    return {
        **scores(classes, labels),
        "eigengap": expressed.clusters.eigengap,
        "in_block_mass": in_block_mass(plain, labels),
        "class_mass": in_block_mass(plain, classes) if (classes >= 0).all() else None,
    }


def save_subspace_round(
    run: Run,
    config: SubspaceConfig,
    expressed: Expressed,
    images: np.ndarray,
    weights: dict[str, np.ndarray],
    *,
    step: int,
) -> dict[str, Any]:
    """Write the next round of ``run`` and its coefficients, and return its record.

    A round's embeddings are Z; its ids are the spectral ones, its centers the means of Z over them, and its distances those in Z,
    so that a new image, which has no row in C, can be given the nearest center. The spectral embedding stands beside C.
    """
    labels, samples, index = expressed.clusters.labels, run.samples(), run.num_rounds()
    everything = np.ones(len(labels), bool)
    _save_coefficients(run, config, expressed, index, step)
    inputs = RoundInputs(
        embeddings=expressed.latent,
        clustering=place_around_means(
            expressed.latent,
            everything,
            torch.from_numpy(labels).long().to(expressed.latent.device),
            config.num_clusters,
        ),
        logits=None,
        images=images,
        samples=samples,
        fitted=everything,
        weights=weights,
        fit_decoder=False,
    )
    record = save_and_score(run, index, inputs, seed=config.seed + index)
    record |= {"step": step, **score(expressed, samples.classes)}
    gate = describe_gate(expressed.gate)
    gate["warnings"] = gate["warnings"] + record["warnings"] + ([] if expressed.has_edges else [_NO_EDGES])
    return record | {"eigenvalues": expressed.clusters.eigenvalues.tolist(), **gate}


def describe_gate(gate: Tensor | None) -> dict[str, Any]:
    """Mean and spread over the images of each channel's gate (N, channels), and a warning where it is dead."""
    if gate is None:
        return {"warnings": []}
    spread = gate_spread(gate)
    warning = (
        f"the gate is dead: it varies over the images by {spread.max().item():.1e} at most (less than {DEAD_GATE:g}), "
        "and so says the same of every image"
    )
    return {
        "gate_mean": gate.mean(dim=0).tolist(),
        "gate_spread": spread.tolist(),
        "warnings": [warning] if is_dead_gate(gate) else [],
    }


def _save_coefficients(run: Run, config: SubspaceConfig, expressed: Expressed, index: int, step: int) -> None:
    """Put this round behind those before it. The file is written first: a reader takes no more of it than there are rounds."""
    clusters = expressed.clusters
    found = scores(run.samples().classes, clusters.labels)
    half = expressed.coefficients.astype(np.float16) if isinstance(expressed.coefficients, np.ndarray) else None
    new = Coefficients(
        matrices=(expressed.coefficients if half is None else half,),
        steps=np.array([step], dtype=np.int32),
        orders=spectral_order(clusters.labels, clusters.embedding)[None],
        embeddings=clusters.embedding.astype(np.float16)[None],
        eigenvalues=clusters.eigenvalues[None],
        scores=np.array([[np.nan if found[name] is None else found[name] for name in ("nmi", "acc", "ari")]]),
        gates=None if expressed.gate is None else expressed.gate.half().cpu().numpy()[None],
        made_by={name: getattr(config, name) for name in _SETTINGS},
    )
    before = run.coefficients() if index else None
    run.save_coefficients(new if before is None else _joined(before, new))


def _joined(before: Coefficients, new: Coefficients) -> Coefficients:
    stacks = ("steps", "orders", "embeddings", "eigenvalues", "scores")
    return Coefficients(
        matrices=before.matrices + new.matrices,
        **{name: np.concatenate([getattr(before, name), getattr(new, name)]) for name in stacks},
        gates=None if new.gates is None else np.concatenate([before.gates, new.gates]),
        made_by=new.made_by,
    )
