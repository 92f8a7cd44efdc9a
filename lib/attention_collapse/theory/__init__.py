"""The theory of attention collapse, in numpy and scipy, with its equations in sympy.

- ``symbols``: the notation; ``symbolic``: the displayed equations, checked by sympy.
- ``softmax``: attention of finitely many tokens; ``pde``: the law of many, solved.
- ``closure``, ``riccati``, ``closed_variance``: a Gaussian of tokens stays Gaussian.
- ``layers``, ``regimes``, ``rank_one``, ``decay``, ``sphere_flow``: which architecture collapses
  at which rate.
- ``spectrum``: singular values, ranks and entropy of attention in closed form.
- ``frames``, ``long_context``: how the number of frames enters; ``collapse_surface`` joins depth
  and frames in one law. ``reference_dilution``: few frames that predict many; ``propagate``: the
  law of the tokens through the layers of a given network.
- ``merging``: what token merging does to it; ``cost``: what attention costs.
- ``rounding``: what a storage format makes of small distances.
- ``square_root``: the root of a covariance; ``validation``: the checks they share.
"""
