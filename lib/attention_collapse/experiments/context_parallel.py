"""The output of attention whose tokens are split over processes, by torch's own means and by ours.

Our statistics gather all keys once and then need no other process inside a pass. Torch's context
parallelism (a prototype, in ``torch.distributed.tensor.experimental``) takes shards of queries,
keys and values instead, calls the fused kernel once for each shard of keys and values, and joins
the outputs by their log-sum-exp. It brings the shards by one all-gather, its default, or passes
them on by all-to-all, which holds two at a time. For the output both are routes to the same
number, timed here side by side. For statistics it offers less than a gather does: the log-sum-exp
of the rows stays inside the operator, entropy and energy are not among its sums, column sums would
have to travel with the keys, tokens must divide evenly by the processes, and attention that is not
causal runs only with its load balancing switched off, for which there is no public switch. What it
would save is memory for keys: 2 GB at a thousand frames of VGGT.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import sdpa_kernel

from attention_collapse.experiments import device_cost
from attention_collapse.measure.streaming.shards import Shards
from attention_collapse.records import Timing

ROUTES = ("gathered", "context_allgather", "context_alltoall")
"""Keys and values brought together first; torch's, with either way of bringing them."""


def require_context_parallelism(device: str) -> None:
    """Refuse to time torch's context parallelism where there is none.

    Raises:
        ValueError: If the device is no CUDA device, or torch has no such part.

    Home section: *A thousand frames*.
    """
    if torch.device(device).type != "cuda":
        raise ValueError(
            f"torch's context parallelism is of the CUDA kernels, got device {device}: leave "
            "context_parallel false"
        )
    try:
        _parts_of_torch()
    except ImportError as error:
        raise ValueError(
            f"torch {torch.__version__} has no context parallelism where it was in 2.11 and 2.13 "
            f"({error}): leave context_parallel false"
        ) from error


def attention_routes(
    query: Float[Tensor, "head token dim"],
    key: Float[Tensor, "head token dim"],
    value: Float[Tensor, "head token dim"],
    shards: Shards,
) -> dict[str, Callable[[], Float[Tensor, "1 head token dim"]]]:
    """The output at the queries of this process by each route, keys and values being split too.

    Args:
        query: Queries of this process, as many in each.
        key: Keys of this process.
        value: Values of this process.
        shards: The processes.

    Home section: *A thousand frames*.
    """

    def gathered() -> Float[Tensor, "1 head token dim"]:
        whole = (shards.concatenate(tensor)[None] for tensor in (key, value))
        with sdpa_kernel(device_cost.ATTENTION_KERNELS, set_priority=True):
            return functional.scaled_dot_product_attention(query[None], *whole)

    def rotated(method: str) -> Float[Tensor, "1 head token dim"]:
        kernels = device_cost.ATTENTION_KERNELS[:-1]
        with _split_tokens(query, method), sdpa_kernel(kernels, set_priority=True):
            # By its module: inside the context it is another function.
            return functional.scaled_dot_product_attention(query[None], key[None], value[None])

    return {
        "gathered": gathered,
        "context_allgather": lambda: rotated("allgather"),
        "context_alltoall": lambda: rotated("alltoall"),
    }


def compare(
    routes: Mapping[str, Callable[[], Float[Tensor, "1 head token dim"]]],
    clock: Callable[[Callable[[], Tensor]], tuple[Timing, Tensor]],
    shards: Shards,
) -> tuple[dict[str, Timing], dict[str, np.ndarray]]:
    """Seconds of each route, and how far its output is from that of gathered keys.

    Errors are by head, ``route_error`` for each route: norm of the difference over the norm.

    Args:
        routes: From ``attention_routes``.
        clock: Gives the seconds of an operation and what it returns.
        shards: The processes.

    Home section: *A thousand frames*.
    """
    exact = routes["gathered"]()
    timings, errors = {}, {}
    for route, operation in routes.items():
        operation()
        timings[route], output = clock(operation)
        squares = (part.double().square().sum((0, -2, -1)) for part in (output - exact, exact))
        difference, size = (shards.sum(part) for part in squares)
        errors[f"{route}_error"] = (difference / size).sqrt().cpu().numpy()
    return timings, errors


@contextmanager
def _split_tokens(query: Float[Tensor, "head token dim"], method: str) -> Iterator[None]:
    """Inside, attention is that of the tokens of all processes, each of which passes its own."""
    context_parallel, set_rotate_method, options = _parts_of_torch()
    mesh = dist.init_device_mesh(query.device.type, (dist.get_world_size(),))
    # A buffer to split is asked for; the tokens are split already.
    buffer = torch.empty(1, query.shape[1] * dist.get_world_size(), device=query.device)
    balanced, options.enable_load_balance = options.enable_load_balance, False
    set_rotate_method(method)
    try:
        with context_parallel(
            mesh, buffers=[buffer], buffer_seq_dims=[1], no_restore_buffers={buffer}
        ):
            yield
    finally:
        options.enable_load_balance = balanced


def _parts_of_torch() -> tuple[Callable, Callable, object]:
    """The context, the choice of transport, and the options that no public function sets."""
    from torch.distributed.tensor.experimental._attention import (
        _cp_options,
        context_parallel,
        set_rotate_method,
    )

    return context_parallel, set_rotate_method, _cp_options
