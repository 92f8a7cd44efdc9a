"""Exact statistics of attention too large to write down, from its queries and keys.

``StreamedAttention`` (``attention``) is the object that is measured: rows, columns, norms, the mass
from frame to frame, and products with the matrix. A ``Backend`` (``backend``) computes the passes:
``dense`` whole in float64, ``portable`` tile by tile (``tiles``) on any device, and Triton kernels
where ``choice`` finds a device for them. ``singular_values`` and ``energy_rank`` read the spectrum
from products alone, by ``bidiagonal`` and ``quadrature`` on orthonormal ``directions``. ``shards``
splits the queries over processes, in whole frames (``frame_shape``), and ``progress`` tells how far
a pass is.
"""

from attention_collapse.measure.streaming.attention import StreamedAttention
from attention_collapse.measure.streaming.backend import Backend, ColumnStatistics, RowStatistics
from attention_collapse.measure.streaming.choice import choose_backend
from attention_collapse.measure.streaming.dense import DenseBackend
from attention_collapse.measure.streaming.energy_rank import EnergyRanks, energy_ranks
from attention_collapse.measure.streaming.portable import PortableBackend
from attention_collapse.measure.streaming.progress import Progress, TextBar, silent
from attention_collapse.measure.streaming.shards import (
    DistributedShards,
    ShardError,
    Shards,
    SingleProcess,
    of_this_run,
    share_of,
)
from attention_collapse.measure.streaming.singular_values import (
    StreamedValues,
    streamed_singular_values,
)

__all__ = [
    "Backend",
    "ColumnStatistics",
    "DenseBackend",
    "DistributedShards",
    "EnergyRanks",
    "PortableBackend",
    "Progress",
    "RowStatistics",
    "ShardError",
    "Shards",
    "SingleProcess",
    "StreamedAttention",
    "StreamedValues",
    "TextBar",
    "choose_backend",
    "energy_ranks",
    "of_this_run",
    "share_of",
    "silent",
    "streamed_singular_values",
]
