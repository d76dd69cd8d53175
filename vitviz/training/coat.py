"""Clustering CoaT: how such a network is trained, from scratch, from loaded weights, or taught by an unclustered one.

Source: "Clustering CoaT", a proposal of two pages without experiments; the recipes are ours. Where each piece stands:

==============================  ==============================================  ======================================
piece                           what                                            where
==============================  ==============================================  ======================================
CoaT-Lite                       the network, timm's names                       ``nn/coat.py``
clustered queries and MLP       which blocks, prototypes, mixing                ``nn/coat_block.py``, ``nn/query_*.py``
loaded weights, as they are     r found on a few images                         ``training/coat_calibration.py``
loaded weights, fine-tuned      (1 - w) CE + w T^2 KL to an unclustered run     ``training/distillation.py``
from scratch                    first unclustered, then r held in bounds        ``training/coat_schedule.py``
less time, less data            kinds by shares of the images, equal steps      presets ``coat-cifar10``, ``coat-clothing``
==============================  ==============================================  ======================================
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.config import from_plain
from vitviz.data.batches import batch_indices, stratified_order
from vitviz.errors import Problem
from vitviz.nn.coat import CoaT, init_weights
from vitviz.nn.coat_block import UNCLUSTERED, BlockOutput
from vitviz.runs import tensors
from vitviz.runs.folder import Run, find_run
from vitviz.runs.records import Samples
from vitviz.training import classification, loop
from vitviz.training.classification import Record
from vitviz.training.coat_config import CLUSTERED, CoatConfig
from vitviz.training.coat_schedule import Width, clustering_of, follow, prototype_shares
from vitviz.training.distillation import distillation_loss, find_teacher
from vitviz.training.feed import mix_seeds
from vitviz.training.photo_augment import mix_batch
from vitviz.training.run_weights import put_weights
from vitviz.training.setup import load_images
from vitviz.training.state import check_finite


def train_coat(config: CoatConfig, run: Run) -> Iterator[Record]:
    """Train the network of ``config``: yields the record of every epoch, then of round 0.

    Beside a classifier's, a record holds ``num_steps`` so far, and where something is clustered ``is_clustered`` at its end,
    ``r_rel`` and ``smoothed_share`` as the control left them, and C/N over the epoch: ``prototype_share`` of all clustered
    blocks, ``prototype_share_stage1`` of one stage.

    Raises: Problem as :func:`vitviz.training.classification.train_classifier`, and when ``start`` or ``teacher`` does not fit.
    """
    bench = _Bench(config, run, load_images(run))
    for epoch in range(bench.resume(), config.epochs):
        yield bench.train_epoch(epoch)
    if not run.num_rounds():
        yield bench.finish()


def build_model(config: CoatConfig, *, img_size: int, num_classes: int, seed: int) -> CoaT:
    """The network of ``config``, which clusters nothing yet, with weights drawn from ``seed``; images may have any size."""
    model = CoaT(
        patch_size=config.patch_size,
        num_classes=num_classes,
        embed_dims=config.embed_dims,
        serial_depths=config.serial_depths,
        num_heads=config.num_heads,
        mlp_ratios=config.mlp_ratios,
        drop_path_rate=config.drop_path_rate,
        clustering=UNCLUSTERED,
    )
    return init_weights(model, torch.Generator().manual_seed(seed))


def load_model(run: Run) -> CoaT:
    """The network of a run as it clusters at its last epoch, in eval mode on the CPU, float32: trained, or still training.

    Raises: Problem before the first epoch is done.
    """
    about, weights = run.description(), classification.latest_weights(run)
    config = from_plain(CoatConfig, about.settings)
    model = build_model(config, img_size=about.img_size, num_classes=len(about.class_names), seed=config.seed)
    put_weights(model, weights, run)
    model.clustering = clustering_of(config, _last_epoch(run).get("r_rel"))
    return model.eval()


def embed_with(run: Run, round_index: int, images: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) float32 of ``images`` (N, img_size, img_size, 3) uint8; such a run has one round, its last epoch."""
    embeddings, _ = loop.embed_images(load_model(run), images, np.arange(len(images)), batch_size=64)
    return embeddings.numpy()


def load_start(model: CoaT, source: str) -> None:
    """Put the weights of a run, or of a .safetensors file with timm's names, into ``model``.

    The head stays as it is where the classes are others. Raises: Problem when there is no such thing or it does not fit.
    """
    weights = _read_start(source)
    check_finite(weights)
    own = model.state_dict()
    for name in ("head.weight", "head.bias"):
        if name in weights and weights[name].shape != tuple(own[name].shape):
            weights[name] = own[name]
    try:
        model.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
    except RuntimeError as error:
        raise Problem(f"start={source} does not fit the network", str(error).splitlines()[-1].strip()) from error


def keep_share(samples: Samples, share: float, *, seed: int) -> Samples:
    """The same with the classes of only ``share`` of the training images, in proportion per class, one at least; -1 for the rest.

    The images of a smaller share are among those of a larger one; held-out images keep their classes.
    """
    rows = np.flatnonzero(~samples.held_out & (samples.classes >= 0))
    ordered = rows[stratified_order(samples.classes[rows], seed=seed)]
    classes = samples.classes.copy()
    classes[ordered[max(int(share * len(rows) + 0.5), 1) :]] = -1
    return dataclasses.replace(samples, classes=classes)


class _Bench(classification.ClassifierBench):
    """A classifier's bench that trains on a share of the images, clusters from a step on, and may have a teacher."""

    def __init__(self, config: CoatConfig, run: Run, images: np.ndarray):
        super().__init__(config, run, images, build_model)
        self.samples = keep_share(self.samples, config.train_share, seed=config.seed)
        chosen = np.flatnonzero(~self.samples.held_out & (self.samples.classes >= 0))
        chosen = chosen[stratified_order(self.samples.classes[chosen], seed=config.seed)]
        number = len(self.train_rows) if config.equal_steps else len(chosen)
        self.train_rows = _repeat(chosen, number, len(images))
        self.steps_per_epoch = sum(1 for _ in batch_indices(number, config.batch_size, seed=0, epoch=0))
        self.first_clustered = round(config.unclustered_share * config.epochs * self.steps_per_epoch)
        self.r_rel = config.mlp_r_rel if config.kind == "clustered_mlp" else config.r_rel
        self.step, self.width, self.teacher = 0, Width(), None
        if config.teacher:
            self.teacher = _load_teacher(_with_seed(config.teacher, config), run).to(self.device)

    def resume(self) -> int:
        """Put everything back to the last resume point, or load what the run starts from; say how many epochs are done."""
        epoch, config = super().resume(), self.config
        self.step = epoch * self.steps_per_epoch
        if epoch:
            record = _last_epoch(self.run)
            self.width = Width(record.get("r_rel"), record.get("smoothed_share"))
        elif config.start:
            load_start(self.model, _with_seed(config.start, config))
        self.model.clustering = clustering_of(config, self.width.r_rel)
        return epoch

    def train_epoch(self, epoch: int) -> Record:
        """One epoch, scored on the held-out images, written, and followed by a resume point."""
        plan, config = self._plan(epoch), self.config
        images = _Repeated(self.images)
        parts = loop.train_epoch(self.model, self.optimizer, images, self._loss_function(epoch), plan)
        self.model.clustering = clustering_of(config, self.width.r_rel)
        _, logits = self._embed(self.held_out_rows)
        record = {"kind": "epoch", "index": epoch, "epoch": epoch, **parts, "lr": plan.lr(1.0), "num_steps": self.step}
        if config.kind in CLUSTERED:
            record |= {"is_clustered": self.width.r_rel is not None, **dataclasses.asdict(self.width)}
        record |= classification.held_out_scores(logits, self._classes(self.held_out_rows))
        self.run.append_metrics(record)
        self._save_resume_point(min(epoch + 1, config.epochs))
        return record

    def _loss_function(self, epoch: int) -> loop.LossFunction:
        config = self.config

        def loss(model: nn.Module, pixels: Tensor, rows: np.ndarray) -> dict[str, Tensor]:
            seed = mix_seeds(config.seed, epoch, int(rows[0]))
            mixed, targets = mix_batch(pixels, self._classes(rows), self.num_classes, config, seed)
            self._begin_step()
            output = model(mixed, keep=("groups", "mlp_groups"))
            logits = output.logits.float()
            hits = logits.argmax(dim=1) == targets.argmax(dim=1)
            parts = {**self._judge(logits, targets, mixed), "train_top1": hits.float().mean()}
            return parts | self._end_step(output.blocks)

        return loss

    def _judge(self, logits: Tensor, targets: Tensor, mixed: Tensor) -> dict[str, Tensor]:
        if self.teacher is None:
            return {"loss": F.cross_entropy(logits, targets)}
        with torch.no_grad():
            wanted = self.teacher(mixed).logits.float()
        config = self.config
        return distillation_loss(
            logits, targets, wanted, weight=config.distillation_weight, temperature=config.temperature
        )

    def _begin_step(self) -> None:
        """Cluster from the first clustered step on; a kind that clusters nothing never does."""
        if self.width.r_rel is None and self.step >= self.first_clustered and self.config.kind in CLUSTERED:
            self.width = Width(self.r_rel)
        self.model.clustering = clustering_of(self.config, self.width.r_rel)

    def _end_step(self, blocks: Sequence[BlockOutput]) -> dict[str, Tensor]:
        """Count the step, let r follow the stage with fewest prototypes, and return the shares for the record."""
        self.step += 1
        if self.config.kind not in CLUSTERED:
            return {}
        one = torch.ones((), device=self.device)
        shares = prototype_shares(blocks) or dict.fromkeys(self.config.clustered_stages, one)
        # r must stay the same on every rank, whose images have different shares
        shares = {stage: self.ranks.add(share) / self.ranks.size for stage, share in shares.items()}
        if self.width.r_rel is not None and self.config.grouping == "e2lsh":
            least, bound = min(map(float, shares.values())), self.config.min_prototype_share
            self.width = follow(self.width, least, r_rel=self.r_rel, min_share=bound)
        named = {f"prototype_share_stage{stage}": share for stage, share in shares.items()}
        return {"prototype_share": torch.stack(list(shares.values())).mean(), **named}

    def _classes(self, rows: np.ndarray) -> Tensor:
        return super()._classes(rows % len(self.images))


class _Repeated:
    """The images (N, H, W, 3) over and over: row p N + i is image i when it is seen for the p-th time, to be changed anew."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __getitem__(self, row: int) -> np.ndarray:
        return self.images[row % len(self.images)]

    def __len__(self) -> int:
        """How many different images there are."""
        return len(self.images)


def _repeat(rows: np.ndarray, number: int, num_images: int) -> np.ndarray:
    """The ``number`` rows of :class:`_Repeated` that go through ``rows`` as often as it takes."""
    places = np.arange(number)
    return rows[places % len(rows)] + places // len(rows) * num_images


def _with_seed(name: str, config: CoatConfig) -> str:
    return name.replace("{seed}", str(config.seed))


def _load_teacher(name: str, student: Run) -> CoaT:
    teacher = find_teacher(name, student)
    about = teacher.description()
    if about.method != "coat" or about.settings.get("kind") != "unclustered":
        raise Problem(f"run '{name}' cannot teach '{student.name}'", "it is no unclustered CoaT")
    return load_model(teacher)


def _read_start(source: str) -> dict[str, np.ndarray | Tensor]:
    if not source.endswith(".safetensors"):
        return dict(classification.latest_weights(find_run(source)))
    path = Path(source).expanduser()
    if not path.is_file():
        raise Problem(f"start={source} is no file", "", "give a run or a local .safetensors file")
    try:
        return tensors.load(path)[0]
    except Exception as error:  # a damaged file raises anything
        raise Problem(f"start={source} cannot be read", str(error), "give a whole .safetensors file") from error


def _last_epoch(run: Run) -> Record:
    return next((record for record in reversed(run.metrics()) if record.get("kind") == "epoch"), {})
