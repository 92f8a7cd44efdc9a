"""Token merging as algebra: attention among groups of tokens. Knows no network.

- ``groups``: a partition of the tokens: means of groups, copies back, the merging matrix.
- ``partition``: which tokens may merge; ``matching``: who joins whom.
- ``attention``: merged attention as quadrature of attention over all tokens.
- ``tome`` and ``fastvggt``: the published methods, as published.
- ``grouping``: the choices of a method in one place, and groups shared by layers.
- ``reducer``: merging inside a network, through the network's own types.
- ``backend``: what a device does: directions, matching, means, copies, attention; ``portable`` by
  plain operations, ``kernels`` by Triton on CUDA, and ``choice`` between them. ``members`` leads
  them through the groups.
"""
