"""ViT deep clustering: k-means on the embedding, retraining towards the centers, again.

Source: "ViT-based deep clustering" (CIFAR-10). Where each equation stands:

=====  ==============================================================  =============================================
eq     form                                                            function
=====  ==============================================================  =============================================
1      z_0 = [x_class; x_1 E; ...; x_N E] + E_pos                      ``nn.vit.VisionTransformer._embed_patches``
2-3    z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'                      ``nn.vit.Block``
4      y = LN(z_L^0), scores W y + b                                   ``nn.vit.VisionTransformer.forward``
5      L_ViT = mean cross-entropy                                      ``deep_clustering_loss.deep_clustering_loss``
6-7    L_cluster = mean squared distance to the own center             ``deep_clustering_loss.cluster_distance``
8      L = L_ViT + alpha L_cluster                                     ``deep_clustering_loss.deep_clustering_loss``
=====  ==============================================================  =============================================

The method is supervised: the labels are in every retraining. Differs: the mean over images instead of the sum (a sum
makes alpha depend on the batch size); the stop rule (see ``training/stopping.py``); phase 2 waits for the gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.clustering.algorithms import Clustering, cluster
from vitviz.clustering.kmeans import check_counts
from vitviz.config import from_plain
from vitviz.data.device import pick_device
from vitviz.nn.embed import SuperTokenEmbed, tier_with_stride
from vitviz.nn.vit import VisionTransformer, ViTOutput, init_weights
from vitviz.runs.folder import Run
from vitviz.training.compiling import compiled
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.deep_clustering_loss import deep_clustering_loss, whole_batches
from vitviz.training.feed import EpochPlan, place_images
from vitviz.training.loop import LossFunction, embed_images, train_epoch
from vitviz.training.rounds import RoundInputs, save_and_score
from vitviz.training.run_weights import put_weights, shape_of
from vitviz.training.setup import load_images
from vitviz.training.shared_run import ranks_of
from vitviz.training.state import cosine_lr, load_state_tensors, make_optimizer, state_tensors
from vitviz.training.stopping import stop_reason, warnings

Record = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """Where training stands: ``epoch`` epochs of round ``round`` are done (round 0 is phase 1)."""

    round: int = 0
    epoch: int = 0


def train_deep_clustering(config: DeepClusteringConfig, run: Run) -> Iterator[Record]:
    """Train, embed, cluster, retrain: yields the record of every epoch and round after writing it to ``run``.

    Goes on after the last resume point of ``run``, and gives the same records as if it had never stopped.
    Raises: Problem when the data set changed, the loss stops being finite, or settings do not fit the data.
    """
    images = load_images(run)
    bench = _Bench(config, run, images)
    position = bench.resume()
    for index in range(position.round, config.max_rounds + 1):
        if index > 0 and stop_reason(run.round_metrics(), **_stop_settings(config)):
            break
        first_epoch = position.epoch if index == position.round else 0
        if first_epoch == 0:
            bench.begin_round(index)
        yield from bench.train_round(index, first_epoch)
        if index == 0 and config.max_rounds:
            run.save_start(bench.parameters())
        yield bench.finish_round(index)
    run.save_weights(bench.parameters())


def build_model(config: DeepClusteringConfig, *, img_size: int, num_classes: int, seed: int) -> VisionTransformer:
    """The network of ``config`` with weights drawn from ``seed``; its super tokens are those of the second paper's Table 5."""
    with_supertokens = config.stem == "supertoken"
    model = VisionTransformer(
        img_size=img_size,
        patch_size=config.patch_size,
        num_classes=num_classes,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
        stem="linear" if with_supertokens else config.stem,
        patch_embed=_supertoken_embed(config) if with_supertokens else None,
        pool="mean" if config.embedding.startswith("mean") else "cls",
    )
    return init_weights(model, torch.Generator().manual_seed(seed))


def _supertoken_embed(config: DeepClusteringConfig) -> SuperTokenEmbed:
    return SuperTokenEmbed(embed_dim=config.embed_dim, tier=tier_with_stride("modules16", config.patch_size))


def embed_with(run: Run, round_index: int, images: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) float32 of ``images`` (N, img_size, img_size, 3) uint8 by the network of ``run`` after a round."""
    about, weights = run.description(), run.weights(round_index)
    config = from_plain(DeepClusteringConfig, about.settings)
    (num_classes,) = shape_of(weights, "head.bias", 1, run)
    model = build_model(config, img_size=about.img_size, num_classes=num_classes, seed=config.seed)
    put_weights(model, weights, run)
    embeddings, _ = embed_images(model, images, np.arange(len(images)))
    return (F.normalize(embeddings, dim=1) if config.embedding.endswith("normalised") else embeddings).numpy()


class _Bench:
    """The model, its optimiser and the images of one run, between two records."""

    def __init__(self, config: DeepClusteringConfig, run: Run, images: np.ndarray):
        self.config, self.run, self.images = config, run, images
        self.ranks = ranks_of(run)
        self.device = pick_device(config.device)
        self.fed = place_images(images, self.device)
        samples, about = run.samples(), run.description()
        self.samples = samples
        self.train_rows = np.flatnonzero(~samples.held_out)
        self.fitted = ~samples.held_out if config.evaluation == "held_out" else np.ones(len(samples.held_out), bool)
        check_counts(int(self.fitted.sum()), config.num_clusters)
        self.num_classes = max(len(about.class_names), config.num_clusters if config.targets == "pseudo_labels" else 1)
        self.img_size = about.img_size
        self.bfloat16 = config.bfloat16 == "on"
        self._new_model(seed=config.seed)
        self.last_epoch: Record = {}

    def resume(self) -> Position:
        """Put everything back to the last resume point, and say where that is."""
        point = self.run.resume_point()
        if point is None:
            self.run.rewind(num_records=0, num_rounds=0)
            return Position()
        tensors, place = point
        load_state_tensors(tensors, self.model, self.optimizer)
        self.run.rewind(num_records=place["num_records"], num_rounds=place["num_rounds"])
        epochs = [record for record in self.run.metrics() if record["kind"] == "epoch"]
        self.last_epoch = epochs[-1] if epochs else {}
        return Position(place["round"], place["epoch"])

    def begin_round(self, index: int) -> None:
        """A fresh optimiser; a fresh network too where the settings say so."""
        if index > 0 and self.config.start == "reinitialise":
            self._new_model(seed=self.config.seed + 1000 * index)
        else:
            self._new_optimizer(self.config.lr if index == 0 else self.config.round_lr)

    def train_round(self, index: int, first_epoch: int) -> Iterator[Record]:
        """The epochs of a round, each written and followed by a resume point."""
        for epoch in range(first_epoch, self._max_epochs(index)):
            if epoch >= self._num_epochs(index) and self._gate_is_passed():
                break
            plan = self._plan(index, epoch)
            parts = train_epoch(self.model, self.optimizer, self.fed, self._loss_function(index, plan), plan)
            record = {"kind": "epoch", "index": plan.epoch, "round": index, "epoch": epoch, **parts}
            self.run.append_metrics(record)
            self.last_epoch = record
            self._save_resume_point(index, epoch + 1)
            yield record

    def finish_round(self, index: int) -> Record:
        """Embed, cluster, score, write; then move the resume point to the next round."""
        rows = np.arange(len(self.images))
        embeddings, logits = embed_images(self.model, self.fed, rows, bfloat16=self.bfloat16, ranks=self.ranks)
        if self.config.embedding.endswith("normalised"):
            embeddings = F.normalize(embeddings, dim=1)
        config = self.config
        inputs = RoundInputs(
            embeddings=embeddings,
            clustering=self._cluster(embeddings, config.algorithm, seed=config.seed + index),
            logits=logits if self.samples.classes.max() >= 0 and self.config.targets == "classes" else None,
            images=self.images,
            samples=self.samples,
            fitted=self.fitted,
            weights=self.parameters() if self.config.keep_round_weights else None,
        )
        record = save_and_score(self.run, index, inputs, seed=config.seed + index)
        record |= self._full_loss(index, embeddings, logits)
        record |= {name: self.last_epoch[name] for name in ("seconds", "images_per_second")}
        history = [*self.run.round_metrics(), record]
        record |= {
            "warnings": record["warnings"] + warnings(history),
            "stop": stop_reason(history, **_stop_settings(self.config)),
        }
        if index == 0 and self.config.gate and not self._gate_is_passed():
            record["warnings"].append(
                f"phase 2 starts at a training accuracy of {self.last_epoch['train_top1']:.2f}: wrong clusters may freeze"
            )
        self.run.append_metrics(record)
        self._save_resume_point(index + 1, 0)
        return record

    def parameters(self) -> dict[str, np.ndarray]:
        """Parameters and buffers by timm's names."""
        return {name.removeprefix("model."): value for name, value in state_tensors(self.model).items()}

    def _new_model(self, *, seed: int) -> None:
        model = build_model(self.config, img_size=self.img_size, num_classes=self.num_classes, seed=seed)
        self.model = compiled(model.to(self.device), self.config.compile, self.device)
        self._new_optimizer(self.config.lr)

    def _new_optimizer(self, lr: float) -> None:
        self.optimizer = make_optimizer(self.model, lr=lr, weight_decay=self.config.weight_decay)

    def _num_epochs(self, index: int) -> int:
        return self.config.epochs if index == 0 or self.config.start == "reinitialise" else self.config.epochs_per_round

    def _max_epochs(self, index: int) -> int:
        extra = self.config.extra_epochs if index == 0 and self.config.gate else 0
        return self._num_epochs(index) + extra

    def _gate_is_passed(self) -> bool:
        accuracies = [r["train_top1"] for r in self.run.metrics() if r["kind"] == "epoch" and r["round"] == 0]
        plateau = len(accuracies) > 10 and max(accuracies[-5:]) - max(accuracies[:-5]) < 0.002
        return accuracies[-1] >= self.config.gate_accuracy or plateau

    def _plan(self, index: int, epoch: int) -> EpochPlan:
        config = self.config
        from_scratch = index == 0 or config.start == "reinitialise"
        base, warmup = (config.lr, config.warmup_epochs) if from_scratch else (config.round_lr, 0.0)
        return EpochPlan(
            rows=self.train_rows,
            batch_size=config.batch_size,
            lr=cosine_lr(base, epoch=epoch, epochs=self._num_epochs(index), warmup_epochs=warmup),
            seed=config.seed,
            epoch=1000 * index + epoch,
            augment=config.augment,
            bfloat16=self.bfloat16,
            ranks=self.ranks,
        )

    def _loss_function(self, index: int, plan: EpochPlan) -> LossFunction:
        targets = self._targets(index)
        classes, whole = torch.from_numpy(targets).to(self.device), whole_batches(plan, targets)
        centers = None
        if index > 0:
            before = self.run.round(index - 1)
            centers = torch.from_numpy(before.centers[before.labels]).to(self.device)

        def loss(model: nn.Module, pixels: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
            picked = torch.from_numpy(rows).to(self.device)
            own = None if centers is None else centers[picked]
            return deep_clustering_loss(model(pixels), classes[picked], own, self.config, whole(rows))

        return loss

    def _full_loss(self, index: int, embeddings: Tensor, logits: Tensor) -> dict[str, float]:
        """L_r over all training images, eval mode, with the targets and centers used in training (in round 0 its own)."""
        used = self.run.round(max(index - 1, 0))
        own_centers = used.centers[used.labels[self.train_rows]]
        rows = torch.from_numpy(self.train_rows).to(self.device)
        classes = torch.from_numpy(self._targets(index)[self.train_rows]).to(self.device)
        own = torch.from_numpy(own_centers).to(self.device)
        parts = deep_clustering_loss(ViTOutput(logits[rows], embeddings[rows]), classes, own, self.config)
        return {name: parts[name].item() for name in ("loss", "cross_entropy", "cluster_loss")}

    def _targets(self, index: int) -> np.ndarray:
        """What round ``index`` is trained to predict, (N,) int64: classes (-1 unlabelled), or ids of the round before."""
        if self.config.targets == "classes":
            return self.samples.classes.astype(np.int64)
        return (self.run.round(index - 1).matched_labels if index > 0 else self._pixel_clusters).astype(np.int64)

    @cached_property
    def _pixel_clusters(self) -> np.ndarray:
        """Ids from k-means on the raw pixels: what training without labels starts from."""
        pixels = torch.from_numpy(self.images.reshape(len(self.images), -1).astype(np.float32) / 255)
        return self._cluster(pixels, "kmeans", seed=self.config.seed).labels

    def _cluster(self, embeddings: Tensor, algorithm: str, *, seed: int) -> Clustering:
        count, restarts = self.config.num_clusters, self.config.num_restarts
        return cluster(embeddings, self.fitted, algorithm, count, seed=seed, num_restarts=restarts, ranks=self.ranks)

    def _save_resume_point(self, index: int, epoch: int) -> None:
        place = {"round": index, "epoch": epoch, "num_rounds": self.run.num_rounds()}
        self.run.save_resume_point(state_tensors(self.model, self.optimizer), place)


def _stop_settings(config: DeepClusteringConfig) -> dict[str, Any]:
    return {"rule": config.stop_rule, "epsilon": config.epsilon, "min_changed_share": config.min_changed_share}
