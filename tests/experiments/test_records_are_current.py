"""Every record in the package describes today's code and is cited by a chapter."""

import pytest

from attention_collapse import records
from attention_collapse.experiments import find_experiment, recompute_canary
from attention_collapse.experiments.status import CHAPTERS, record_states


@pytest.mark.parametrize("path", list(records.paths()), ids=lambda path: path.stem)
def test_canary(path):
    record = records.load(path)
    values = recompute_canary(find_experiment(record.experiment), record.canary.config)
    assert record.canary.differences(values) == {}


def test_no_record_is_stale_or_unused():
    states = {path.stem: state for path, state in record_states(records.DATA, CHAPTERS)}
    assert set(states.values()) == {"current"}, states
