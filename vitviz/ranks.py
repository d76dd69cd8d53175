"""Several processes that torchrun started and that do one thing together; alone, everything here is a plain call.

A :class:`Ranks` is passed to what can be shared out. Processes find each other by torchrun's variables, and talk by
torch.distributed: NCCL between CUDA devices, Gloo for everything on the CPU.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# one process may draw maps for hours while the others wait; one that is gone is noticed by its closed connection
_PATIENCE = datetime.timedelta(days=7)
_SECONDS_TO_TELL = 5
_REST_SECONDS = 0.3
_LOST = ("onnection closed", "onnection reset", "roken pipe", "onnection refused", "NCCL", "[Gloo", "[gloo")


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is; ``rank`` 0 writes and speaks. With ``size`` 1 nothing is sent."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def part(self, number: int) -> slice:
        """This process's contiguous share of ``number`` things: shares differ by one at most, rank 0 has some if any has."""
        start, stop = (-(-number * rank // self.size) for rank in (self.rank, self.rank + 1))
        return slice(start, stop)

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of everybody's ``tensor``, of one shape everywhere."""
        if self.size == 1:
            return tensor
        import torch.distributed as dist

        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def gather(self, own: Tensor, number: int) -> Tensor:
        """All ``number`` rows on every rank, in order, from everybody's rows ``part(number)`` of them."""
        if self.size == 1:
            return own
        import torch
        import torch.distributed as dist

        most = -(-number // self.size)
        padded = torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])])
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        lengths = [len(range(number)[Ranks(rank, self.size).part(number)]) for rank in range(self.size)]
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def first_of(self, tensor: Tensor) -> Tensor:
        """Rank 0's ``tensor``, of one shape everywhere."""
        if self.size == 1:
            return tensor
        import torch.distributed as dist

        chosen = tensor.clone()
        dist.broadcast(chosen, src=0)
        return chosen

    def gather_values(self, value: Any) -> list[Any]:
        """Everybody's plain ``value``, in order of rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def on_first(self, action: Callable[[], Any]) -> Any:
        """Do it on rank 0 alone, once all have come here; the others wait, and get the same plain value or error.

        Raises: the Problem or OSError of ``action``, on every rank.
        """
        if self.size == 1:
            return action()
        import torch.distributed as dist

        # nobody may still read what is about to be written
        dist.barrier()
        told: list[Any] = [None, None]
        if self.is_first:
            try:
                told[0] = action()
            except (Problem, OSError) as error:
                told[1] = error
        dist.broadcast_object_list(told, src=0)
        if told[1] is not None:
            raise told[1]
        return told[0]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose gradients are the mean over all ranks after every backward; alone the model itself."""
        if self.size == 1:
            return model
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def share_buffers(self, model: nn.Module) -> None:
        """Give every rank the buffers (running means of BatchNorm) of rank 0."""
        if self.size == 1:
            return
        import torch.distributed as dist

        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

    @contextlib.contextmanager
    def noticing_loss(self) -> Iterator[None]:
        """Inside, an error of the connection to a process that is gone is a Problem that says so."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not any(words in str(error) for words in _LOST):
                raise
            raise Problem(
                "training stopped", "another process of the launch ended", "start it again with --resume"
            ) from error


SOLO = Ranks()
"""One process, as without torchrun."""


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """This process among those of torchrun, ``SOLO`` without it; ranks above 0 print nothing inside.

    An error that rank 0 tells as well ends the others silently, by SystemExit; one of another rank alone is told by that rank.
    """
    size = int(os.environ.get("WORLD_SIZE", "1")) if all(name in os.environ for name in _VARIABLES) else 1
    if size == 1:
        yield SOLO
        return
    import torch.distributed as dist

    ranks = Ranks(int(os.environ["RANK"]), size)
    _join()
    try:
        with ranks.noticing_loss(), _silent(ranks):
            yield ranks
        _come_to_rest()
    except BaseException as error:
        _leave_the_telling(ranks, error)
        raise
    finally:
        dist.destroy_process_group()


def _come_to_rest() -> None:
    """Wait for the other ranks, then for the threads of gloo, before the interpreter ends.

    A rank that is done earlier would have the launcher stop the others should it fail on its way out. And it may fail: a thread
    of gloo lets go of a tensor only after the collective has returned, needs the interpreter for that, and aborts the process
    when the interpreter is ending. Destroying the group does not join these threads where DistributedDataParallel was used. A
    rest makes that race unlikely, it does not exclude it.
    """
    import torch.distributed as dist

    with contextlib.suppress(RuntimeError):  # another rank may be gone; it tells of that itself
        dist.barrier()
    time.sleep(_REST_SECONDS)


def _join() -> None:
    import torch
    import torch.distributed as dist

    local = int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available() and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)


@contextlib.contextmanager
def _silent(ranks: Ranks) -> Iterator[None]:
    if ranks.is_first:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def _leave_the_telling(ranks: Ranks, error: BaseException) -> None:
    """Raises: SystemExit on a rank above 0 when it was stopped, or rank 0 tells of an error of its own."""
    import torch.distributed as dist

    if isinstance(error, KeyboardInterrupt) and not ranks.is_first:
        raise SystemExit(130) from error
    store, key = dist.distributed_c10d._get_default_store(), f"told-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    with contextlib.suppress(RuntimeError):  # the launcher may be gone
        if ranks.is_first:
            store.set(key, "1")
            return
        store.wait([key], datetime.timedelta(seconds=_SECONDS_TO_TELL))
        raise SystemExit(1) from error
