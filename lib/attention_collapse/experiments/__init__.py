"""Experiments compose the package and write records.

``python -m attention_collapse.experiments list`` names them;
``run NAME --device cuda --out DIR`` takes a record; ``canary`` recomputes the
canaries of all records on the CPU; ``status`` says which records are stale or unused.
"""

from attention_collapse.experiments.experiment import (
    EXPERIMENTS,
    Experiment,
    Measurement,
    configure,
    find_experiment,
    recompute_canary,
)

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Measurement",
    "configure",
    "find_experiment",
    "recompute_canary",
]
