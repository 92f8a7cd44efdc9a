"""The start and the end of a run."""

import pytest
import torch

from attention_collapse.training import Run, TrainingConfig, session


def test_an_error_of_drawing_ends_the_start(config: TrainingConfig, tmp_path, monkeypatch):
    def fail(*given, **named):
        raise OSError("no more processes")

    monkeypatch.setattr(session, "BatchSource", fail)
    run = Run.open(config, seed=0, steps=4, folder=tmp_path)
    with pytest.raises(OSError, match="no more processes"):
        session.finish(run, report=lambda line: None)


def test_every_source_is_closed_before_tf32_ends(config: TrainingConfig, tmp_path, monkeypatch):
    """What is still rendered would be compiled again."""
    closed = []

    class Source(session.BatchSource):
        def close(self):
            closed.append(torch.backends.cuda.matmul.fp32_precision)
            super().close()

    monkeypatch.setattr(session, "BatchSource", Source)
    run = Run.open(config, seed=0, steps=4, folder=tmp_path)
    outcome = session.finish(run, report=lambda line: None)
    assert closed == ["tf32", "tf32"]
    assert not outcome.tf32
    assert set(outcome.test_errors) == {session.NETWORK, session.MEAN_PREDICTOR}
