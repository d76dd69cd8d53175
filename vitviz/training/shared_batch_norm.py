"""BatchNorm over the whole batch when several processes have a part of it each, on any device that their sums can travel from.

torch's own SyncBatchNorm runs on GPUs only; this one is equal to one process's BatchNorm on CPUs too.
"""

import torch
from torch import Tensor, nn

from vitviz.ranks import SOLO, Ranks


class SharedBatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d whose mean and variance, in training, are those of all ``ranks``; its names and buffers are the same.

    ``counts`` is False on a rank whose images are there only so that it takes part, and are no part of the batch.
    """

    ranks: Ranks = SOLO
    counts: bool = True

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to maps of the same shape."""
        if not self.training or self.ranks.size == 1:
            return super().forward(x)
        maps = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        weight = 1.0 if self.counts else 0.0
        own_number = maps.new_tensor([maps.numel() / maps.shape[1]])
        totals = _SumOfAll.apply(weight * torch.cat([maps.sum(dim=(0, 2, 3)), own_number]), self.ranks)
        mean, number = totals[:-1] / totals[-1], totals[-1].detach()
        centred = maps - mean[:, None, None]
        # of the centred maps: the difference of two large sums would lose the digits of a small variance
        variance = _SumOfAll.apply(weight * centred.square().sum(dim=(0, 2, 3)), self.ranks) / number
        self._follow(mean.detach(), variance.detach() * number / (number - 1).clamp(min=1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum)


def share_batch_norm(model: nn.Module, ranks: Ranks) -> nn.Module:
    """The same ``model``, whose BatchNorm2d layers are from now on :class:`SharedBatchNorm2d` where there are several ranks.

    Parameters and buffers stay the objects they are, so an optimiser of them goes on.
    """
    if ranks.size > 1:
        for module in list(model.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, _shared(child))
    return model


def average_over(model: nn.Module, ranks: Ranks, *, counts: bool = True) -> None:
    """Let the shared BatchNorms of ``model`` take their mean over ``ranks``, this one's images counting or not."""
    for module in model.modules():
        if isinstance(module, SharedBatchNorm2d):
            module.ranks, module.counts = ranks, counts


class _SumOfAll(torch.autograd.Function):
    """The sum over ranks of a tensor of theirs; what flows back is the sum of what came to all of them."""

    @staticmethod
    def forward(context, tensor: Tensor, ranks: Ranks) -> Tensor:
        context.ranks = ranks
        return ranks.add(tensor)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        return context.ranks.add(gradient.contiguous()), None


def _shared(norm: nn.BatchNorm2d) -> SharedBatchNorm2d:
    shared = SharedBatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    shared.weight, shared.bias = norm.weight, norm.bias
    shared.running_mean, shared.running_var = norm.running_mean, norm.running_var
    shared.num_batches_tracked = norm.num_batches_tracked
    return shared.train(norm.training)
