"""The operations of merging on a CUDA device, by Triton kernels.

Importing this package needs Triton, which torch brings along where CUDA is; nothing else in the
package imports it. Kernels are marked ``no_type_check``: Triton compiles their source, which a
wrapper would hide.
"""

from attention_collapse.merging.kernels.backend import TritonBackend
from attention_collapse.merging.kernels.tiles import TILES, Tiles

__all__ = ["TILES", "Tiles", "TritonBackend"]
