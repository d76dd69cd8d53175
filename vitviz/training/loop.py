"""One pass over images: forward, backward, step; and one pass that only embeds. Every architecture trains through here."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.errors import Problem
from vitviz.ranks import SOLO, Ranks
from vitviz.training.feed import Batch, EpochPlan, Share, load_batches, mix_seeds, pixels_of, share_of
from vitviz.training.memory import batch_hint, is_out_of_memory, memory_problem
from vitviz.training.shared_batch_norm import average_over, share_batch_norm

LossParts = dict[str, Tensor]
LossFunction = Callable[[nn.Module, Tensor, np.ndarray], LossParts]
"""(model, images (B, 3, H, W), rows (B,)) -> parts of the loss; the part named ``loss`` is the one that is minimised."""

_NAMED_IMAGES = 5


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Any, loss_function: LossFunction, plan: EpochPlan
) -> dict[str, float]:
    """Train for one epoch on ``images[plan.rows]`` (N, H, W, 3) uint8; returns the mean parts of the loss and the speed.

    ``images`` are an array, or lie on the device already: :func:`vitviz.training.feed.place_images`.

    Several ranks take the same steps: the gradient is that of the mean over the whole batch, and so are the parts returned.

    Raises: Problem when a batch, the loss or a gradient is not finite, or there is no memory for a step; the parameters are then
        those before that step.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(mix_seeds(plan.seed, plan.epoch))
    shared = plan.ranks.wrap(share_batch_norm(model, plan.ranks))
    task, sums = _Task(model, shared, optimizer, loss_function, plan, len(images)), {}
    start = time.perf_counter()
    model.train()
    with _seeded(device, _seed_inside(plan)):
        batches = plan.batches()
        for step, batch in enumerate(load_batches(images, batches, plan, device, generator)):
            _set_lr(optimizer, plan.lr(step / len(batches)))
            share = share_of(len(batches[step]), plan.ranks)
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
    images: Any,
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


def _seed_inside(plan: EpochPlan) -> int:
    """What draws inside the model start from: other masks on every rank, since they see other images."""
    own = (plan.ranks.rank,) if plan.ranks.rank else ()
    return mix_seeds(plan.seed, plan.epoch, *own)


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


def _step_within_memory(task: _Task, batch: Batch, share: Share, where: str) -> LossParts:
    """:func:`_step`; where there is no memory for it, a batch that fits is looked for and told."""
    try:
        return _step(task, batch, share, where)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        hint = batch_hint(len(batch[0]), lambda size: _rehearse(task, batch, size), num_ranks=task.plan.ranks.size)
        raise memory_problem(where, error, batch[1].device, hint) from error


def _step(task: _Task, batch: Batch, share: Share, where: str) -> LossParts:
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


def _forward_and_back(task: _Task, model: nn.Module, batch: Batch, share: Share) -> LossParts:
    rows, pixels = batch
    if task.plan.ranks.size > 1:
        # a rehearsal is one process's own: nobody else would answer
        average_over(task.model, task.plan.ranks if model is task.shared else SOLO, counts=share.own > 0)
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
    _forward_and_back(task, task.model, (rows[:size], pixels[:size]), Share(size, size))
    task.model.zero_grad(set_to_none=True)


def _embed_part(model: nn.Module, images: Any, rows: np.ndarray, bfloat16: bool) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            output = model(pixels_of(images, rows, device))
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
