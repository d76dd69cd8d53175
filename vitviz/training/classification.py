"""Training a classifier on photographs, whatever its network: DeiT's recipe, one record an epoch, one round at the end.

There is nothing to cluster while it trains; after the last epoch the embeddings are clustered once and kept as round 0, so
that maps, grids and scores are there as in every other run.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.clustering.algorithms import cluster
from vitviz.clustering.kmeans import check_counts
from vitviz.data.device import pick_device
from vitviz.errors import Problem
from vitviz.nn.vit import VisionTransformer
from vitviz.runs.folder import Run
from vitviz.training.classification_config import ClassificationConfig
from vitviz.training.compiling import compiled
from vitviz.training.feed import EpochPlan, mix_seeds
from vitviz.training.loop import LossFunction, embed_images, train_epoch
from vitviz.training.photo_augment import PhotoAugment, mix_batch
from vitviz.training.rounds import RoundInputs, save_and_score
from vitviz.training.setup import load_images
from vitviz.training.shared_run import ranks_of
from vitviz.training.state import cosine_lr, load_state_tensors, make_optimizer, state_tensors

Record = dict[str, Any]
BuildModel = Callable[..., VisionTransformer]
_EVAL_BATCH = 64


def train_classifier(config: ClassificationConfig, run: Run, build_model: BuildModel) -> Iterator[Record]:
    """Train ``build_model(config, img_size=, num_classes=, seed=)``: yields the record of every epoch, then of round 0.

    Goes on after the last resume point of ``run``, and gives the same records as if it had never stopped.
    Raises: Problem when the images have no classes, the data set changed, or the loss stops being finite.
    """
    bench = ClassifierBench(config, run, load_images(run), build_model)
    start = bench.resume()
    for epoch in range(start, config.epochs):
        yield bench.train_epoch(epoch)
    if not run.num_rounds():
        yield bench.finish()


class ClassifierBench:
    """The network, its optimiser and the images of one run, between two records."""

    def __init__(self, config: ClassificationConfig, run: Run, images: np.ndarray, build_model: BuildModel):
        self.config, self.run, self.images = config, run, images
        self.ranks = ranks_of(run)
        self.device = pick_device(config.device)
        self.samples, about = run.samples(), run.description()
        self.num_classes = len(about.class_names)
        known = self.samples.classes >= 0
        self.train_rows = np.flatnonzero(known & ~self.samples.held_out)
        self.held_out_rows = np.flatnonzero(known & self.samples.held_out)
        if self.num_classes < 2 or not len(self.train_rows) or not len(self.held_out_rows):
            raise Problem(
                f"{about.dataset_title or about.dataset} cannot train a classifier",
                f"of {self.num_classes} classes it has {len(self.train_rows):,} images to train on and "
                f"{len(self.held_out_rows):,} held out",
                "give a folder with one subfolder a class",
            )
        check_counts(int((~self.samples.held_out).sum()), config.num_clusters)
        self.bfloat16 = config.bfloat16 == "on"
        model = build_model(config, img_size=about.img_size, num_classes=self.num_classes, seed=config.seed)
        self.model = compiled(model.to(self.device), config.compile, self.device)
        self.optimizer = make_optimizer(self.model, lr=config.lr, weight_decay=config.weight_decay)
        self.augment = PhotoAugment(config, about.img_size)

    def resume(self) -> int:
        """Put everything back to the last resume point, and say how many epochs are done."""
        point = self.run.resume_point()
        if point is None:
            self.run.rewind(num_records=0, num_rounds=0)
            return 0
        tensors, place = point
        load_state_tensors(tensors, self.model, self.optimizer)
        self.run.rewind(num_records=place["num_records"], num_rounds=place["num_rounds"])
        return place["epoch"]

    def train_epoch(self, epoch: int) -> Record:
        """One epoch, scored on the held-out images, written, and followed by a resume point."""
        plan, config = self._plan(epoch), self.config
        parts = train_epoch(self.model, self.optimizer, self.images, self._loss_function(epoch), plan)
        _, logits = self._embed(self.held_out_rows)
        record = {"kind": "epoch", "index": epoch, "epoch": epoch, **parts, "lr": plan.lr(1.0)}
        record |= held_out_scores(logits, self._classes(self.held_out_rows))
        self.run.append_metrics(record)
        self._save_resume_point(min(epoch + 1, config.epochs))
        return record

    def finish(self) -> Record:
        """Embed and cluster all images once, score and write round 0 and the weights."""
        config = self.config
        embeddings, logits = self._embed(np.arange(len(self.images)))
        fitted = ~self.samples.held_out
        inputs = RoundInputs(
            embeddings=embeddings,
            clustering=cluster(
                embeddings,
                fitted,
                "kmeans",
                config.num_clusters,
                seed=config.seed,
                num_restarts=config.num_restarts,
                ranks=self.ranks,
            ),
            logits=logits,
            images=self.images,
            samples=self.samples,
            fitted=fitted,
            weights=None,
        )
        self.run.save_weights(self._parameters())
        record = save_and_score(self.run, 0, inputs, seed=config.seed)
        self.run.append_metrics(record)
        self._save_resume_point(config.epochs)
        return record

    def _plan(self, epoch: int) -> EpochPlan:
        config = self.config
        return EpochPlan(
            rows=self.train_rows,
            batch_size=config.batch_size,
            lr=cosine_lr(config.lr, epoch=epoch, epochs=config.epochs, warmup_epochs=config.warmup_epochs),
            seed=config.seed,
            epoch=epoch,
            transform=self.augment,
            bfloat16=self.bfloat16,
            ranks=self.ranks,
        )

    def _loss_function(self, epoch: int) -> LossFunction:
        config = self.config

        def loss(model: nn.Module, pixels: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
            seed = mix_seeds(config.seed, epoch, int(rows[0]))
            mixed, targets = mix_batch(pixels, self._classes(rows), self.num_classes, config, seed)
            logits = model(mixed).logits.float()
            hits = logits.argmax(dim=1) == targets.argmax(dim=1)
            return {"loss": F.cross_entropy(logits, targets), "train_top1": hits.float().mean()}

        return loss

    def _embed(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return embed_images(
            self.model, self.images, rows, batch_size=_EVAL_BATCH, bfloat16=self.bfloat16, ranks=self.ranks
        )

    def _classes(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.samples.classes[rows].astype(np.int64)).to(self.device)

    def _parameters(self) -> dict[str, np.ndarray]:
        return {name.removeprefix("model."): value for name, value in state_tensors(self.model).items()}

    def _save_resume_point(self, epoch: int) -> None:
        place = {"epoch": epoch, "num_rounds": self.run.num_rounds()}
        self.run.save_resume_point(state_tensors(self.model, self.optimizer), place)


def latest_weights(run: Run) -> dict[str, np.ndarray]:
    """The parameters of a classifier's run by name: the last, or, while it trains, those it would go on from.

    Raises: Problem before its first epoch is done.
    """
    if run.has_weights():
        return run.weights()
    point = run.resume_point()
    if point is None:
        raise Problem(f"run '{run.name}' has no weights yet", "they come with its first epoch")
    return {name.removeprefix("model."): value for name, value in point[0].items() if name.startswith("model.")}


def held_out_scores(logits: Tensor, classes: Tensor) -> dict[str, float]:
    """Cross-entropy and top-1, 0..1, of logits (N, K) for classes (N,)."""
    return {
        "held_out_loss": F.cross_entropy(logits, classes).item(),
        "held_out_top1": (logits.argmax(dim=1) == classes).float().mean().item(),
    }
