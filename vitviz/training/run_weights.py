"""The parameters of a run into the network that its settings describe. A run may come from anywhere, so both are compared."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from vitviz.errors import Problem
from vitviz.runs.folder import Run

_MAX_CLASSES = 50_000


def put_weights(model: nn.Module, weights: Mapping[str, np.ndarray], run: Run) -> None:
    """Copy ``weights`` into ``model``. Raises Problem when a name or a shape differs, or a number is NaN or infinite."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    what = f"the weights of run '{run.name}' do not fit its settings"
    for name in sorted(own.keys() ^ weights.keys()):
        raise Problem(what, f"{name[:80]} is {'missing' if name in own else 'not part of the network'}")
    for name, shape in own.items():
        if weights[name].shape != shape:
            found, wanted = (" x ".join(map(str, one)) or "1" for one in (weights[name].shape, shape))
            raise Problem(what, f"{name} is {found}, the settings say {wanted}")
        if not np.isfinite(weights[name]).all():
            raise Problem(f"the weights of run '{run.name}' cannot be used", f"some of {name} are NaN or infinite")
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})


def shape_of(weights: Mapping[str, np.ndarray], name: str, num_axes: int, run: Run) -> tuple[int, ...]:
    """The shape of a parameter by which a network is built. Raises Problem when there is none, or none of so many axes."""
    shape = weights[name].shape if name in weights else ()
    if len(shape) != num_axes or not all(1 <= side <= _MAX_CLASSES for side in shape):
        raise Problem(f"the weights of run '{run.name}' cannot be used", f"{name} is missing or of another shape")
    return shape
