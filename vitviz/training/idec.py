"""Improved deep embedded clustering (Guo et al. 2017): clusters sharpen themselves, and no label is ever used.

An addition beside the deep clustering paper, whose method is supervised: what happens when the pull towards the centers
has no labels to lean on. Equations of that paper: soft assignment q (1) :func:`soft_assignment`, target p (2)
:func:`target_distribution`, L = L_reconstruction + gamma KL(p | q) (8) in :func:`idec_loss`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.clustering.algorithms import Clustering, cluster
from vitviz.clustering.kmeans import assign, check_counts, kmeans
from vitviz.clustering.metrics import scores
from vitviz.config import from_plain
from vitviz.data.device import pick_device
from vitviz.nn.autoencoder import AutoencoderOutput, MlpAutoencoder, init_autoencoder
from vitviz.ranks import Ranks
from vitviz.runs.folder import Run
from vitviz.training.feed import EpochPlan, place_images
from vitviz.training.idec_config import IdecConfig
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.rounds import RoundInputs, save_and_score, small_pixels
from vitviz.training.run_weights import put_weights
from vitviz.training.setup import load_images
from vitviz.training.shared_run import ranks_of
from vitviz.training.state import load_state_tensors, make_optimizer, state_tensors
from vitviz.training.stopping import warnings


def train_idec(config: IdecConfig, run: Run) -> Iterator[dict[str, Any]]:
    """Pretrain on reconstruction, place centers by k-means, then sharpen: a round is a few updates of the target.

    All images are seen, labels never; ``train`` and ``held_out`` scores say only on which images they were counted.
    """
    images, device = load_images(run), pick_device(config.device)
    check_counts(len(images), config.num_clusters)
    model, fed = _Sharpened(config).to(device), place_images(images, device)
    optimizer = make_optimizer(model, lr=config.lr, weight_decay=config.weight_decay)
    first_round, first_epoch = _resume(run, model, optimizer)
    for index in range(first_round, config.max_rounds + 1):
        if index > 0 and first_epoch == 0:
            optimizer = make_optimizer(model, lr=config.round_lr, weight_decay=config.weight_decay)
        target = None
        for epoch in range(first_epoch, config.epochs if index == 0 else config.epochs_per_round):
            if index > 0 and epoch % config.epochs_per_update == 0:
                target = _targets(model, fed, ranks_of(run))
            parts = train_epoch(
                model,
                optimizer,
                fed,
                _loss_function(config, model.centers, target),
                _plan(config, images, index, epoch, ranks_of(run)),
            )
            record = {"kind": "epoch", "index": 1000 * index + epoch, "round": index, "epoch": epoch, **parts}
            run.append_metrics(record)
            if index == 0:
                _save_resume_point(run, model, optimizer, 0, epoch + 1)
            yield record
        yield _finish_round(run, index, model, optimizer, images, config)
        first_epoch = 0
    run.save_weights(_parameters(model))


def build_autoencoder(config: IdecConfig) -> MlpAutoencoder:
    """The network of ``config`` with weights drawn from its seed."""
    model = MlpAutoencoder(input_size=config.input_size, embed_dim=config.embed_dim, hidden=config.hidden)
    return init_autoencoder(model, torch.Generator().manual_seed(config.seed))


def soft_assignment(embeddings: Tensor, centers: Tensor) -> Tensor:
    """q (N, K), rows sum to 1: Student's t with one degree of freedom around every center."""
    kernel = 1 / (1 + torch.cdist(embeddings, centers).square())
    return kernel / kernel.sum(dim=1, keepdim=True)


def target_distribution(q: Tensor) -> Tensor:
    """p (N, K), rows sum to 1: q squared, divided by the clusters' soft sizes; sure assignments weigh more."""
    weight = q.square() / q.sum(dim=0)
    return weight / weight.sum(dim=1, keepdim=True)


def idec_loss(
    output: AutoencoderOutput, centers: Tensor, target: Tensor | None, cluster_weight: float
) -> dict[str, Tensor]:
    """Reconstruction error, plus gamma times KL(p | q) once there is a ``target`` (B, K)."""
    reconstruction = F.mse_loss(output.restored, output.target)
    if target is None:
        return {"loss": reconstruction, "reconstruction_loss": reconstruction}
    q = soft_assignment(output.embedding, centers)
    divergence = (target * (target / q.clamp(min=1e-12)).clamp(min=1e-12).log()).sum(dim=1).mean()
    loss = reconstruction + cluster_weight * divergence
    return {"loss": loss, "reconstruction_loss": reconstruction, "cluster_loss": divergence}


class _Sharpened(nn.Module):
    """The autoencoder and the centers it is trained together with."""

    def __init__(self, config: IdecConfig):
        super().__init__()
        self.autoencoder = build_autoencoder(config)
        self.centers = nn.Parameter(torch.zeros(config.num_clusters, config.embed_dim))

    def forward(self, images: Tensor) -> AutoencoderOutput:
        return self.autoencoder(images)


def _loss_function(config: IdecConfig, centers: Tensor, target: Tensor | None):
    def loss(model: nn.Module, pixels: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
        own = None if target is None else target[torch.from_numpy(rows).to(target.device)]
        parts = idec_loss(model(pixels), centers, own, config.cluster_weight)
        # the centers take part in every step, so that the optimiser's state has one shape from the start
        return {**parts, "loss": parts["loss"] + 0 * centers.sum()}

    return loss


def _plan(config: IdecConfig, images: np.ndarray, index: int, epoch: int, ranks: Ranks) -> EpochPlan:
    lr = config.lr if index == 0 else config.round_lr
    return EpochPlan(
        rows=np.arange(len(images)),
        batch_size=config.batch_size,
        lr=lambda share: lr,
        seed=config.seed,
        epoch=1000 * index + epoch,
        ranks=ranks,
    )


def _finish_round(
    run: Run, index: int, model: _Sharpened, optimizer: torch.optim.Optimizer, images: np.ndarray, config: IdecConfig
) -> dict[str, Any]:
    ranks = ranks_of(run)
    embeddings, _ = embed_images(model, images, np.arange(len(images)), ranks=ranks)
    if index == 0:
        found = kmeans(
            embeddings,
            config.num_clusters,
            generator=torch.Generator().manual_seed(config.seed),
            num_restarts=config.num_restarts,
            ranks=ranks,
        )
        model.centers.data.copy_(found.centers)
    centers = model.centers.detach()
    labels, own, runner_up = (part.cpu().numpy() for part in assign(embeddings, centers))
    inputs = RoundInputs(
        embeddings=embeddings,
        clustering=Clustering(labels.astype(np.int32), centers.cpu().numpy().copy(), own, runner_up),
        logits=None,
        images=images,
        samples=run.samples(),
        fitted=np.ones(len(images), bool),
        weights={name: value for name, value in _parameters(model).items() if name.startswith("encoder.")},
    )
    record = save_and_score(run, index, inputs, seed=config.seed + index)
    q = soft_assignment(embeddings, centers)
    with torch.no_grad():
        divergence = F.kl_div(q.log(), target_distribution(q), reduction="batchmean").item()
    last = [entry for entry in run.metrics() if entry["kind"] == "epoch"][-1]
    record |= {"loss": last["reconstruction_loss"] + config.cluster_weight * divergence, "cluster_loss": divergence}
    record |= {name: last[name] for name in ("reconstruction_loss", "seconds", "images_per_second")}
    if index == 0:
        record["raw_kmeans_nmi"] = _nmi_of_raw_pixels(run, images, config)
    record |= {"warnings": record["warnings"] + warnings([*run.round_metrics(), record]), "stop": None}
    run.append_metrics(record)
    _save_resume_point(run, model, optimizer, index + 1, 0)
    return record


def _nmi_of_raw_pixels(run: Run, images: np.ndarray, config: IdecConfig) -> float | None:
    """What k-means on the pixels scores on held-out images: the control that stands beside every later round."""
    samples = run.samples()
    everything = np.ones(len(images), bool)
    found = cluster(
        small_pixels(images),
        everything,
        "kmeans",
        config.num_clusters,
        seed=config.seed,
        num_restarts=config.num_restarts,
        ranks=ranks_of(run),
    )
    return scores(samples.classes[samples.held_out], found.labels[samples.held_out])["nmi"]


def _targets(model: _Sharpened, images: Any, ranks: Ranks) -> Tensor:
    embeddings, _ = embed_images(model, images, np.arange(len(images)), ranks=ranks)
    return target_distribution(soft_assignment(embeddings, model.centers.detach()))


def _resume(run: Run, model: _Sharpened, optimizer: torch.optim.Optimizer) -> tuple[int, int]:
    point = run.resume_point()
    if point is None:
        run.rewind(num_records=0, num_rounds=0)
        return 0, 0
    tensors, place = point
    load_state_tensors(tensors, model, optimizer)
    run.rewind(num_records=place["num_records"], num_rounds=place["num_rounds"])
    return place["round"], place["epoch"]


def _save_resume_point(run: Run, model: _Sharpened, optimizer: torch.optim.Optimizer, index: int, epoch: int) -> None:
    place = {"round": index, "epoch": epoch, "num_rounds": run.num_rounds()}
    run.save_resume_point(state_tensors(model, optimizer), place)


def _parameters(model: _Sharpened) -> dict[str, np.ndarray]:
    return {name.removeprefix("model."): value for name, value in state_tensors(model.autoencoder).items()}


def embed_with(run: Run, round_index: int, images: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) float32 of ``images`` (N, H, W, 3) uint8 by the network of ``run`` after a round."""
    model = build_autoencoder(from_plain(IdecConfig, run.description().settings))
    kept = {name.removeprefix("encoder."): value for name, value in run.weights(round_index).items()}
    put_weights(model.encoder, kept, run)
    return embed_images(model, images, np.arange(len(images)))[0].numpy()
