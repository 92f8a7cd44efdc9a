"""Streamed attention on a CUDA device: Triton kernels that never hold a matrix of scores.

Importing this package needs Triton, which torch brings along where CUDA is; nothing else in the
package imports it. Kernels are marked ``no_type_check``: Triton compiles their
source, which a wrapper would hide.
"""

from attention_collapse.measure.kernels.backend import TritonBackend
from attention_collapse.measure.kernels.tiles import TILES, Tiles

__all__ = ["TILES", "Tiles", "TritonBackend"]
