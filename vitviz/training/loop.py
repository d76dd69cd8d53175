"""One pass over images: forward, backward, step; and one pass that only embeds. Every architecture trains through here."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vitviz.data.batches import batch_indices, to_tensor
from vitviz.errors import Problem
from vitviz.ranks import SOLO, Ranks
from vitviz.training.augment import apply_draws, draw
from vitviz.training.memory import batch_hint, is_out_of_memory, memory_problem

LossParts = dict[str, Tensor]
LossFunction = Callable[[nn.Module, Tensor, np.ndarray], LossParts]
"""(model, images (B, 3, H, W), rows (B,)) -> parts of the loss; the part named ``loss`` is the one that is minimised."""

Transform = Callable[[np.ndarray, int], Tensor]
Batch = tuple[np.ndarray, Tensor]
_NAMED_IMAGES = 5


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """What one epoch is made of.

    ``rows`` (n,) are the images trained on, ``lr`` maps the share of the epoch that is done (0..1) to a learning rate,
    ``seed`` and ``epoch`` fix the order of the images and every other draw. ``augment`` changes a batch on its device;
    ``transform`` instead makes the tensor (3, H, W) of one image from its pixels (H, W, 3) uint8 and a seed. Of every batch
    each of ``ranks`` takes its part.
    """

    rows: np.ndarray
    batch_size: int
    lr: Callable[[float], float]
    seed: int
    epoch: int
    augment: str = "none"
    transform: Transform | None = None
    bfloat16: bool = False
    clip_norm: float = 1.0
    ranks: Ranks = SOLO


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: np.ndarray, loss_function: LossFunction, plan: EpochPlan
) -> dict[str, float]:
    """Train for one epoch on ``images[plan.rows]`` (N, H, W, 3) uint8; returns the mean parts of the loss and the speed.

    Several ranks take the same steps: the gradient is that of the mean over the whole batch, and so are the parts returned.

    Raises: Problem when a batch, the loss or a gradient is not finite, or there is no memory for a step; the parameters are then
        those before that step.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(mix_seeds(plan.seed, plan.epoch))
    task, sums = _Task(model, plan.ranks.wrap(model), optimizer, loss_function, plan, len(images)), {}
    start = time.perf_counter()
    model.train()
    with _seeded(device, _seed_inside(plan)):
        batches = [plan.rows[batch] for batch in _batches(plan)]
        for step, batch in enumerate(_load(images, batches, plan, device, generator)):
            _set_lr(optimizer, plan.lr(step / len(batches)))
            share = _share_of(len(batches[step]), plan.ranks)
            where = f"training stopped at step {step + 1} of epoch {plan.epoch}"
            parts = _step_within_memory(task, batch, share, where)
            for name, part in parts.items():
                sums[name] = sums.get(name, 0) + part.detach() * share.own
    plan.ranks.share_buffers(model)
    if plan.ranks.size > 1:
        sums = dict(zip(sums, plan.ranks.add(torch.stack(list(sums.values()))), strict=True))
    seconds = time.perf_counter() - start
    means = {name: float(total) / len(plan.rows) for name, total in sums.items()}
    return {**means, "seconds": seconds, "images_per_second": len(plan.rows) / seconds}


@torch.no_grad()
def embed_images(
    model: nn.Module,
    images: np.ndarray,
    rows: np.ndarray,
    *,
    batch_size: int = 256,
    bfloat16: bool = False,
    ranks: Ranks = SOLO,
) -> tuple[Tensor, Tensor]:
    """Embeddings (n, D) float32 and logits (n, num_classes) float32 of ``images[rows]``, eval mode, no augmentation.

    They lie on the model's device; each of ``ranks`` embeds a contiguous part, and has all of them. The result does not depend on
    ``batch_size``; what has no room is embedded in halves.
    Raises: Problem when there is no memory for a single image.
    """
    model.eval()
    own = rows[ranks.part(len(rows))]
    # who has no row embeds the first, so as to know how many numbers an embedding has
    worked = own if len(own) else rows[:1]
    parts = np.array_split(worked, max(math.ceil(len(worked) / batch_size), 1))
    embeddings, logits = zip(*(_embed_part(model, images, part, bfloat16) for part in parts), strict=True)
    embeddings, logits = (torch.cat(part)[: len(own)] for part in (embeddings, logits))
    return ranks.gather(embeddings, len(rows)), ranks.gather(logits, len(rows))


def make_optimizer(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; biases, norms, tokens and position embeddings (all of one effective dimension) are not decayed."""
    decayed = [p for name, p in model.named_parameters() if _is_decayed(name, p)]
    others = [p for name, p in model.named_parameters() if not _is_decayed(name, p)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, fused=next(model.parameters()).device.type in ("cpu", "cuda"))


def cosine_lr(base: float, *, epoch: int, epochs: int, warmup_epochs: float = 0.0) -> Callable[[float], float]:
    """Linear warm-up, then half a cosine down to 1 % of ``base``, as a function of the share of this epoch done."""

    def at(share: float) -> float:
        now = epoch + share
        if now < warmup_epochs:
            return base * max(now, 0.01) / warmup_epochs
        progress = (now - warmup_epochs) / max(epochs - warmup_epochs, 1e-9)
        return base * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))

    return at


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, np.ndarray]:
    """Parameters and buffers as ``model.NAME``, the optimiser's moments as ``optimizer.INDEX.NAME``."""
    tensors = {f"model.{name}": _to_numpy(value) for name, value in model.state_dict().items()}
    if optimizer is not None:
        for index, moments in optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                tensors[f"optimizer.{index}.{name}"] = _to_numpy(torch.as_tensor(value))
    return tensors


def load_state_tensors(
    tensors: dict[str, np.ndarray], model: nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Put back what :func:`state_tensors` took.

    Raises: Problem when the names or shapes are another model's, or a number is not finite.
    """
    check_finite(tensors)
    parameters = {
        name.removeprefix("model."): torch.tensor(v) for name, v in tensors.items() if name.startswith("model.")
    }
    try:
        model.load_state_dict(parameters)
    except RuntimeError as error:
        raise Problem(
            "the weights do not fit the model of these settings", str(error).splitlines()[-1].strip()
        ) from error
    if optimizer is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                state.setdefault(int(index), {})[name] = torch.tensor(value)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def check_finite(tensors: Mapping[str, np.ndarray | Tensor]) -> None:
    """Raises: Problem naming the first of the ``tensors`` that holds a NaN or an infinite number."""
    for name, value in tensors.items():
        if not torch.isfinite(torch.as_tensor(value)).all():
            raise Problem("the weights cannot be used", f"some numbers of {name!r} are NaN or infinite")


def mix_seeds(*numbers: int) -> int:
    """One seed, 0..2^63-1, out of several non-negative numbers: run, epoch, row."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _load(
    images: np.ndarray, batches: list[np.ndarray], plan: EpochPlan, device: torch.device, generator: torch.Generator
) -> Iterator[Batch]:
    """The rows and the augmented pixels (B, 3, H, W) of this rank's part of every batch, on ``device``."""
    parts = [_own_part(len(rows), plan.ranks) for rows in batches]
    if plan.transform is None:
        for rows, part in zip(batches, parts, strict=True):
            # drawn for the whole batch, so that an image is changed alike whoever takes it
            draws = draw(plan.augment, len(rows), images[rows[:1]].shape[1], generator).part(part)
            yield rows[part], apply_draws(to_tensor(images[rows[part]], device), draws)
        return
    batches = [rows[part] for rows, part in zip(batches, parts, strict=True)]
    # beside a GPU the pictures are changed by processes of their own; beside a CPU's own work they would only be in its way
    workers = (
        min(len(os.sched_getaffinity(0)) - 1, 8) if device.type == "cuda" and hasattr(os, "sched_getaffinity") else 0
    )
    pictures = _Pictures(images, plan)
    loader = DataLoader(pictures, batch_sampler=batches, num_workers=max(workers, 0), pin_memory=device.type == "cuda")
    for rows, pixels in zip(batches, loader, strict=True):
        yield rows, pixels.to(device, non_blocking=True)


class _Pictures(Dataset):
    """Row -> the transformed image of an epoch."""

    def __init__(self, images: np.ndarray, plan: EpochPlan):
        self.images, self.plan = images, plan

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Tensor:
        return self.plan.transform(self.images[row], mix_seeds(self.plan.seed, self.plan.epoch, int(row)))


def _share_of(number: int, ranks: Ranks) -> "_Share":
    part = ranks.part(number)
    return _Share(part.stop - part.start, number)


def _own_part(number: int, ranks: Ranks) -> slice:
    """This rank's part of a batch; who would have none takes the first image, which then counts for nothing."""
    part = ranks.part(number)
    return part if part.stop > part.start else slice(0, 1)


def _seed_inside(plan: EpochPlan) -> int:
    """What draws inside the model start from: other masks on every rank, since they see other images."""
    own = (plan.ranks.rank,) if plan.ranks.rank else ()
    return mix_seeds(plan.seed, plan.epoch, *own)


def _batches(plan: EpochPlan) -> list[np.ndarray]:
    return list(batch_indices(len(plan.rows), plan.batch_size, seed=plan.seed, epoch=plan.epoch))


@dataclass(frozen=True)
class _Task:
    """What stays the same over the steps of an epoch; num_images: how many there are, which row numbers may go round.

    ``shared`` is the model whose gradients are the mean over all ranks.
    """

    model: nn.Module
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    loss_function: LossFunction
    plan: EpochPlan
    num_images: int


@dataclass(frozen=True)
class _Share:
    """How many images of a batch are this rank's own, of how many."""

    own: int
    whole: int


def _step_within_memory(task: _Task, batch: Batch, share: _Share, where: str) -> LossParts:
    """:func:`_step`; where there is no memory for it, a batch that fits is looked for and told."""
    try:
        return _step(task, batch, share, where)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        hint = batch_hint(len(batch[0]), lambda size: _rehearse(task, batch, size), num_ranks=task.plan.ranks.size)
        raise memory_problem(where, error, batch[1].device, hint) from error


def _step(task: _Task, batch: Batch, share: _Share, where: str) -> LossParts:
    """One update from the rows and pixels of a batch; the parts of the loss before it."""
    rows, pixels = batch
    task.optimizer.zero_grad(set_to_none=True)
    parts = _forward_and_back(task, task.shared, batch, share)
    norm = nn.utils.clip_grad_norm_(task.model.parameters(), task.plan.clip_norm)
    loss = parts["loss"].detach()
    # a sum is finite where all its numbers are; looked at together, since each look waits for the device
    if not torch.isfinite(task.plan.ranks.add(norm + loss + pixels.detach().sum())):
        lr = task.optimizer.param_groups[0]["lr"]
        raise _not_finite(where, loss, pixels, rows[: share.own] % task.num_images, lr, task.plan.ranks)
    task.optimizer.step()
    return parts


def _forward_and_back(task: _Task, model: nn.Module, batch: Batch, share: _Share) -> LossParts:
    rows, pixels = batch
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=task.plan.bfloat16):
        parts = task.loss_function(model, pixels, rows)
    loss, size = parts["loss"], task.plan.ranks.size
    # the mean over ranks of the weighted means is the mean over the batch
    (loss * (share.own * size / share.whole) if size > 1 else loss).backward()
    return parts


def _rehearse(task: _Task, batch: Batch, size: int) -> None:
    """The first ``size`` images of a batch forward and back, and no step."""
    rows, pixels = batch
    task.model.zero_grad(set_to_none=True)
    if pixels.device.type == "cuda":
        torch.cuda.empty_cache()
    _forward_and_back(task, task.model, (rows[:size], pixels[:size]), _Share(size, size))
    task.model.zero_grad(set_to_none=True)


def _embed_part(model: nn.Module, images: np.ndarray, rows: np.ndarray, bfloat16: bool) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            output = model(to_tensor(images[rows], device))
        return output.embedding.float(), output.logits.float()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if len(rows) < 2:
            raise memory_problem("no image can be embedded", error, device, "choose smaller images") from error
    halves = [_embed_part(model, images, half, bfloat16) for half in np.array_split(rows, 2)]
    return torch.cat([half[0] for half in halves]), torch.cat([half[1] for half in halves])


def _not_finite(where: str, loss: Tensor, pixels: Tensor, rows: np.ndarray, lr: float, ranks: Ranks) -> Problem:
    """What is not finite, at which learning rate, and in which images (rows of the run), the same on every rank."""
    bad = ~pixels.detach()[: len(rows)].flatten(1).isfinite().all(dim=1).cpu().numpy()
    found = ranks.gather_values((rows, rows[bad], bool(torch.isfinite(loss))))
    rows, bad = (np.concatenate(parts) for parts in list(zip(*found, strict=True))[:2])
    if len(bad):
        why = f"pixels are not finite (learning rate {lr:.2g}, {_named_images(bad)})"
        return Problem(where, why, "leave these images out, or mend them")
    is_finite = all(values[2] for values in found)
    what = "the gradient of the loss is not finite" if is_finite else "the loss is not finite"
    return Problem(where, f"{what} (learning rate {lr:.2g}, {_named_images(rows)})", "lower the learning rate")


def _named_images(rows: np.ndarray) -> str:
    more = f" and {len(rows) - _NAMED_IMAGES} more" if len(rows) > _NAMED_IMAGES else ""
    return f"images {', '.join(map(str, rows[:_NAMED_IMAGES]))}{more}"


def _set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


@contextlib.contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Draws inside the model (dropout, stochastic depth) follow ``seed``; the global state is put back after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _is_decayed(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and not name.endswith(("cls_token", "pos_embed"))


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
