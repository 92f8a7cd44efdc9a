"""Interactive figures, alive with and without a kernel.

``base`` holds what every widget shares; ``rank_explorer`` is the hero of the book. One widget is
one Python class and the files in ``static`` that it names. JupyterLab and Colab run them through
anywidget; the static page mounts them from the embedded state.
"""
