"""The optimiser, its learning rate, and all that training goes on from as named arrays."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.errors import Problem


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


def _is_decayed(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and not name.endswith(("cls_token", "pos_embed"))


def _to_numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy()
