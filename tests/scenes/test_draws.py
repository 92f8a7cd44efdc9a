"""Draws of scene parameters."""

import pytest
import torch

from attention_collapse.scenes.draws import Draws


def test_draws_follow_the_seed_and_not_the_global_state():
    torch.manual_seed(0)
    first = [Draws.from_seed(7).uniform(-1.0, 2.0) for _ in range(2)]
    assert first[0] == first[1]
    assert first[0] != Draws.from_seed(8).uniform(-1.0, 2.0)
    state = torch.get_rng_state()
    Draws.from_seed(7).uniform(0.0, 1.0)
    assert torch.equal(torch.get_rng_state(), state)


def test_uniform_fills_its_range():
    draws = Draws.from_seed(0)
    values = [draws.uniform(-1.0, 2.0) for _ in range(2000)]
    assert -1 <= min(values) < -0.95
    assert 1.95 < max(values) < 2


def test_choice_reaches_every_option():
    draws = Draws.from_seed(0)
    assert {draws.choice("abc") for _ in range(100)} == set("abc")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_would_repeat_others_are_refused(seed: int):
    with pytest.raises(ValueError, match=rf"seed must be in \[0, 2\*\*32\), got {seed}; use seed"):
        Draws.from_seed(seed)
