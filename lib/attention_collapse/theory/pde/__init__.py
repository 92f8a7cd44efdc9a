"""Laws of tokens that change with depth, solved as particles and as densities.

``particles`` follows finitely many tokens through attention; ``finite_volume`` solves the
mean-field equation for their density in one direction; ``attention_operator`` turns a density into
the attention operator and its singular values; ``porous_medium`` has the classical degenerate
diffusion, which spreads where attention contracts.
"""
