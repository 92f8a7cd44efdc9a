"""Closed forms for attention on a Gaussian cloud of tokens, in numpy and scipy.

``closure`` moves a Gaussian through attention layers; ``spectrum`` gives the singular values of
attention between Gaussian tokens; ``frames`` says how the number of frames enters;
``collapse_surface`` joins the three into one law in depth and frames; ``validation`` holds the
checks they share.
"""
