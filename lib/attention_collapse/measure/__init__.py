"""Measures of collapse: tensors in, numbers out, batched over leading axes.

``spectrum`` reads the singular values of a matrix, ``leading_values`` the largest of one too large
for that; ``spread`` the directions and the covariance of a set of tokens; ``attention_maps`` the
softmax of queries against keys; ``streaming`` measures attention too large to write down, and
``kernels`` are its passes on a GPU; ``observe`` streams all of it from a network's layers, summed
up by ``attention_summary`` and ``token_geometry``. ``reference_mass`` is the attention paid to the
first frame. ``reconstruction_errors`` says how far points and cameras are off, as they are or
after the best ``similarity``. ``validation`` holds the checks they share.
Attention near rank one at one layer does not imply that the tokens are close to each other, so
measure both.
"""
