"""Queries split over processes: what sums over all queries must add up."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others; a pass over all heads lies between two exchanges."""
# Words of gloo where another process is gone: it has no type for it.
_TRANSPORT = ("timed out", "timeout", "connection", "peer", "socket", "gloo/transport")


@runtime_checkable
class Shards(Protocol):
    """The processes that share the queries. Every process holds all keys.

    Home section: *A thousand frames*.
    """

    def sum(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The sum over the processes, on each of them."""
        ...

    def concatenate(
        self, tensor: Float[Tensor, "head _ *rest"]
    ) -> Float[Tensor, "head token *rest"]:
        """The tensors of all processes, one after the other along the second axis."""
        ...


class SingleProcess:
    """One process with all queries.

    Home section: *A thousand frames*.
    """

    def sum(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The tensor itself."""
        return tensor

    def concatenate(
        self, tensor: Float[Tensor, "head token *rest"]
    ) -> Float[Tensor, "head token *rest"]:
        """The tensor itself."""
        return tensor


class ShardError(RuntimeError):
    """Another process died, did not answer in time, or refused what it was given.

    Home section: *A thousand frames*.
    """


class DistributedShards:
    """The processes of ``torch.distributed``, which must be initialised.

    Sums are made in the type of the tensor, on a copy of it. Concatenation pads to the longest
    share, so that every transport can do it: it holds all padded shares beside the result.

    Args:
        timeout: How long to wait for the other processes in one operation.

    Raises:
        ValueError: If no process group is initialised.
        ShardError: By an operation, if another process died or did not answer in time.

    Home section: *A thousand frames*.
    """

    def __init__(self, *, timeout: timedelta = TIMEOUT) -> None:
        if not dist.is_initialized():
            raise ValueError(
                "a process group must be initialised, got none: start with torchrun and enter "
                "shards.of_this_run()."
            )
        self._timeout = timeout

    def sum(self, tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The sum over the processes, on each of them."""
        total = tensor.clone(memory_format=torch.contiguous_format)
        self._finish("sum", lambda: dist.all_reduce(total, async_op=True))
        return total

    def concatenate(
        self, tensor: Float[Tensor, "head _ *rest"]
    ) -> Float[Tensor, "head token *rest"]:
        """The tensors of all processes, one after the other along the second axis."""
        counts = self._gather(torch.tensor([tensor.shape[1]], device=tensor.device))
        longest = int(max(counts))
        padded = tensor.new_zeros(tensor.shape[0], longest, *tensor.shape[2:])
        padded[:, : tensor.shape[1]] = tensor
        shares = zip(self._gather(padded), counts, strict=True)
        return torch.cat([share[:, : int(count)] for share, count in shares], dim=1)

    def _gather(self, tensor: Tensor) -> list[Tensor]:
        shares = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        self._finish("gather", lambda: dist.all_gather(shares, tensor, async_op=True))
        return shares

    def _finish(self, operation: str, start: Callable[[], dist.Work]) -> None:
        try:
            # Waiting with a timeout makes NCCL wait on the host too, where it can raise.
            start().wait(self._timeout)
        except RuntimeError as error:
            if not _is_of_another_process(error):
                raise
            raise ShardError(
                f"every process must take part in each {operation} within {self._timeout}; rank "
                f"{dist.get_rank()} of {dist.get_world_size()} was left waiting: look for the "
                "first error of the other ranks, then start all of them again."
            ) from error


def _is_of_another_process(error: RuntimeError) -> bool:
    """Whether an operation failed by its transport, and not by what this process gave it."""
    message = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in message for word in _TRANSPORT)


@contextmanager
def of_this_run(
    *, device_type: str | None = None, timeout: timedelta = TIMEOUT
) -> Iterator[Shards]:
    """The shards of a run started by ``torchrun``, or the single process of any other.

    Tensors on CUDA travel by NCCL, those on the CPU by gloo; a run has one of the two.

    Args:
        device_type: Where the tensors will be, ``"cuda"`` or ``"cpu"``; CUDA by default, where
            there is CUDA.
        timeout: How long to wait for the other processes in one operation.

    Raises:
        ValueError: If the tensors will be on CUDA and the process does not know its number on its
            machine.

    Home section: *A thousand frames*.
    """
    if "WORLD_SIZE" not in os.environ:
        yield SingleProcess()
        return
    on_cuda = (device_type or ("cuda" if torch.cuda.is_available() else "cpu")) == "cuda"
    dist.init_process_group(
        "nccl" if on_cuda else "gloo",
        timeout=timeout,
        device_id=_own_device() if on_cuda else None,
    )
    try:
        yield DistributedShards(timeout=timeout)
    finally:
        dist.destroy_process_group()


def _own_device() -> torch.device:
    """The CUDA device of this process, made the current one."""
    if "LOCAL_RANK" not in os.environ:
        raise ValueError(
            "a process must know its number on this machine, got no LOCAL_RANK: start with torchrun"
        )
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def share_of(count: int, *, rank: int, ranks: int, unit: int = 1) -> slice:
    """The part of ``count`` tokens that one process takes, in whole units, sizes as even as can be.

    Args:
        count: Tokens of all processes.
        rank: Number of the process, from 0.
        ranks: Number of processes.
        unit: Tokens that stay together, for example those of a frame.

    Raises:
        ValueError: If ``rank`` is out of range, or the tokens are not whole units, at least one for
            each process.

    Home section: *A thousand frames*.
    """
    if not 0 <= rank < ranks:
        raise ValueError(
            f"rank must be at least 0 and less than {ranks}, got {rank}: count processes from 0"
        )
    if unit < 1 or count % unit or count < unit * ranks:
        raise ValueError(
            f"tokens must be whole units, one or more for each process; got {count} tokens in "
            f"units of {unit} for {ranks} processes: take fewer processes or whole frames."
        )
    units = count // unit
    start, stop = (units * edge // ranks * unit for edge in (rank, rank + 1))
    return slice(start, stop)
