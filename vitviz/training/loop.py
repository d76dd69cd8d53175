"""One pass over images: forward, backward, step; and one pass that only embeds. Every architecture trains through here."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vitviz.data.batches import batch_indices, to_tensor
from vitviz.errors import Problem
from vitviz.training.augment import augment

LossParts = dict[str, Tensor]
LossFunction = Callable[[nn.Module, Tensor, np.ndarray], LossParts]
"""(model, images (B, 3, H, W), rows (B,)) -> parts of the loss; the part named ``loss`` is the one that is minimised."""

Transform = Callable[[np.ndarray, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """What one epoch is made of.

    ``rows`` (n,) are the images trained on, ``lr`` maps the share of the epoch that is done (0..1) to a learning rate,
    ``seed`` and ``epoch`` fix the order of the images and every other draw. ``augment`` changes a batch on its device;
    ``transform`` instead makes the tensor (3, H, W) of one image from its pixels (H, W, 3) uint8 and a seed.
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


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: np.ndarray, loss_function: LossFunction, plan: EpochPlan
) -> dict[str, float]:
    """Train for one epoch on ``images[plan.rows]`` (N, H, W, 3) uint8; returns the mean parts of the loss and the speed.

    Raises: Problem when the loss or a gradient stops being finite; the parameters are then those before the bad step.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(mix_seeds(plan.seed, plan.epoch))
    sums: dict[str, Tensor] = {}
    start = time.perf_counter()
    model.train()
    with _seeded(device, generator):
        batches = [plan.rows[batch] for batch in _batches(plan)]
        for step, (rows, pixels) in enumerate(_load(images, batches, plan, device, generator)):
            with torch.autocast(device.type, torch.bfloat16, enabled=plan.bfloat16):
                parts = loss_function(model, pixels, rows)
            _set_lr(optimizer, plan.lr(step / len(batches)))
            _step(model, optimizer, parts["loss"], plan, f"step {step + 1} of epoch {plan.epoch}")
            for name, part in parts.items():
                sums[name] = sums.get(name, 0) + part.detach() * len(rows)
    seconds = time.perf_counter() - start
    means = {name: float(total) / len(plan.rows) for name, total in sums.items()}
    return {**means, "seconds": seconds, "images_per_second": len(plan.rows) / seconds}


@torch.no_grad()
def embed_images(
    model: nn.Module, images: np.ndarray, rows: np.ndarray, *, batch_size: int = 256, bfloat16: bool = False
) -> tuple[Tensor, Tensor]:
    """Embeddings (n, D) float32 and logits (n, num_classes) float32 of ``images[rows]``, eval mode, no augmentation.

    They lie on the model's device. The result does not depend on ``batch_size``.
    """
    device = next(model.parameters()).device
    model.eval()
    embeddings, logits = [], []
    for part in np.array_split(rows, max(math.ceil(len(rows) / batch_size), 1)):
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            output = model(to_tensor(images[part], device))
        embeddings.append(output.embedding.float())
        logits.append(output.logits.float())
    return torch.cat(embeddings), torch.cat(logits)


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
    """Put back what :func:`state_tensors` took. Raises Problem when the names or shapes are another model's."""
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


def mix_seeds(*numbers: int) -> int:
    """One seed, 0..2^63-1, out of several non-negative numbers: run, epoch, row."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _load(
    images: np.ndarray, batches: list[np.ndarray], plan: EpochPlan, device: torch.device, generator: torch.Generator
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """The rows and the augmented pixels (B, 3, H, W) of every batch, on ``device``."""
    if plan.transform is None:
        for rows in batches:
            yield rows, augment(to_tensor(images[rows], device), plan.augment, generator)
        return
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


def _batches(plan: EpochPlan) -> list[np.ndarray]:
    return list(batch_indices(len(plan.rows), plan.batch_size, seed=plan.seed, epoch=plan.epoch))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, plan: EpochPlan, where: str) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
    if not torch.isfinite(norm + loss.detach()):
        lr = optimizer.param_groups[0]["lr"]
        raise Problem(
            f"training stopped at {where}",
            f"the loss is not finite (learning rate {lr:.2g})",
            "lower the learning rate",
        )
    optimizer.step()


def _set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


@contextlib.contextmanager
def _seeded(device: torch.device, generator: torch.Generator) -> Iterator[None]:
    """Draws inside the model (dropout, stochastic depth) follow ``generator``; the global state is put back after."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(generator.initial_seed())
        yield


def _is_decayed(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and not name.endswith(("cls_token", "pos_embed"))


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
