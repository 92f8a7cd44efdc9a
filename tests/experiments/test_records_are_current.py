"""Every record in the package describes today's code and is cited by a chapter."""

import functools
import json

import pytest

from attention_collapse import records
from attention_collapse.experiments import find_experiment, recompute_canary
from attention_collapse.experiments.status import CHAPTERS, record_states


@functools.cache
def recomputed(experiment, settings):
    """Records of one experiment share their small run where its settings are the same."""
    return recompute_canary(find_experiment(experiment), json.loads(settings))


@pytest.mark.parametrize("path", list(records.paths()), ids=lambda path: path.stem)
def test_canary(path):
    record = records.load(path)
    values = recomputed(record.experiment, json.dumps(record.canary.config, sort_keys=True))
    assert record.canary.differences(values) == {}


def test_no_record_is_stale_or_unused():
    states = {path.stem: state for path, state in record_states(records.DATA, CHAPTERS)}
    assert set(states.values()) == {"current"}, states
