"""Attention collapse in VGGT: the library behind the book.

The map of the package, from the tensors up:

- ``tokens``: where a token sits: frame, special slot, row and column.
- ``vggt``: the network, readable, with VGGT's own state-dict names.
- ``measure``: tensors in, numbers out: spectra, ranks, entropy, spread, at any size.
- ``merging``: token merging as algebra: groups, matching, merged attention.
- ``theory``: closed forms of collapse over depth and frames.
- ``scenes``: rendered multi-view scenes with known cameras and depth.
- ``training``: a small network trained on rendered scenes.
- ``records``: what was measured, where, when and with what.
- ``published``: other people's numbers, each with its source.
- ``experiments``: compose the above and write records.
- ``figures``: records and arrays drawn with matplotlib.
- ``widgets``: the interactive figures, alive with and without a kernel.

Importing the package loads none of them.
"""

__version__ = "0.1.0"
