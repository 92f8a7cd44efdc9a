"""What was measured, where, when and with what.

A record is one JSON file and one NPZ file. It is written by the experiments
command line, never edited, and carries a canary that the test suite recomputes.
"""

from attention_collapse.records.files import DATA, find, load, paths, refuse_existing, save
from attention_collapse.records.prose import quote
from attention_collapse.records.record import Canary, Record, Timing, check_name

__all__ = [
    "DATA",
    "Canary",
    "Record",
    "Timing",
    "check_name",
    "find",
    "load",
    "paths",
    "quote",
    "refuse_existing",
    "save",
]
