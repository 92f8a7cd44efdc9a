"""Measures of collapse: tensors in, numbers out, batched over leading axes.

``spectrum`` reads the singular values of a matrix; ``spread`` the directions and the covariance of
a set of tokens; ``attention_maps`` the softmax of queries against keys. ``validation`` holds the
checks they share. Near rank-one attention is not token collapse: a column that takes all the
attention makes the matrix rank one and mixes nothing, so measure both.
"""
