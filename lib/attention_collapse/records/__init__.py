"""What was measured, where, when and with what.

A record is one JSON file and one NPZ file. It is written by the experiments
command line, never edited, and carries a canary that the test suite recomputes.
"""

from attention_collapse.records.files import DATA, find, load, paths, save
from attention_collapse.records.record import Canary, Record, Timing

__all__ = ["DATA", "Canary", "Record", "Timing", "find", "load", "paths", "save"]
