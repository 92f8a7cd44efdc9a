"""What *Measuring collapse* says about the cost of exact numbers."""

import numpy as np
import pytest

from attention_collapse import records
from attention_collapse.figures.attention_cost import by_stage
from tolerances import ABOUT_A_MILLION, SAME_SHARE, quoted

NAMES = ("at_2_frames", "at_100_frames", "at_1000_frames")


@pytest.fixture(scope="module")
def found():
    return [records.find("attention_cost", name) for name in NAMES]


@pytest.fixture(scope="module")
def runs(found):
    return [record.arrays for record in found]


def test_the_runs_were_made_as_the_chapter_says(found, runs):
    """16 rows and columns of each head are compared with float64, and all of two frames."""
    for record, frames, checked in zip(found, (2, 100, 1000), (4096, 16, 16), strict=True):
        assert record.device["name"] == "NVIDIA H200"
        assert record.numerics["compute_dtype"] == "bfloat16"
        sizes = ("heads", "dim", "tokens_per_frame", "columns", "checked")
        assert [record.config[name] for name in sizes] == [16, 64, 1041, 64, checked]
        assert record.arrays["frames"].tolist() == [frames]
    assert runs[0]["tokens"][0] < 4096
    assert runs[-1]["scores"][0] / 16 == pytest.approx(1e12, rel=ABOUT_A_MILLION)


def test_shares_are_floors_over_seconds(runs):
    """One exponential a score; 2 (64 + 64) operations a score for a product."""
    seconds, shares, joint = (
        by_stage(runs, name) for name in ("seconds", "share_of_ceiling", "share_of_joint_ceiling")
    )
    for row, run in enumerate(runs):
        scores = run["scores"][0]
        for stage in ("rows", "columns"):
            least = scores / run["exponentials_ceiling"]
            assert shares[stage][row] == pytest.approx(least / seconds[stage][row])
            least = scores / run["joint_ceiling"]
            assert joint[stage][row] == pytest.approx(least / seconds[stage][row])
        for stage in ("apply", "apply_transposed"):
            least = 2 * (64 + 64) * scores / run["matmul_ceiling"]
            assert shares[stage][row] == pytest.approx(least / seconds[stage][row])


def test_from_100_frames_on_the_passes_run_along_the_floor_with_a_factor_of_two_left(runs):
    shares, joint = (by_stage(runs, f"share_of_{kind}ceiling") for kind in ("", "joint_"))
    for stage in ("rows", "columns", "apply", "apply_transposed"):
        assert (shares[stage][1:] > 0.65).all()
        assert shares[stage][1] == pytest.approx(shares[stage][2], abs=SAME_SHARE)
        assert shares[stage][0] < 0.03
    for stage in ("rows", "columns"):
        assert 1 / joint[stage][2] == pytest.approx(2, abs=quoted(0))
        assert joint[stage][2] > 0.5


def test_memory_grows_like_the_number_of_tokens(runs):
    for stage, held in by_stage(runs, "peak_bytes").items():
        if stage != "eager":
            assert held[2] / held[1] == pytest.approx(10, abs=quoted(0))
    tokens = runs[-1]["tokens"][0]
    assert runs[-1]["spectrum_peak_bytes"][0] < 4 * tokens**2 / 100


def test_the_plain_way_and_the_singular_values(found, runs):
    seconds = by_stage(runs, "seconds")
    assert seconds["eager"][1] / seconds["rows"][1] == pytest.approx(29, abs=quoted(0))
    assert seconds["eager"][0] < seconds["rows"][0]
    assert found[1].timings["spectrum_100_frames"].median == pytest.approx(1.0, abs=quoted(1))
    assert found[2].timings["spectrum_1000_frames"].median == pytest.approx(48.7, abs=quoted(1))
    assert runs[-1]["singular_values"].shape == (1, 16, 16)


def test_products_lose_the_most_to_rounding(runs):
    for run in runs:
        errors = dict(zip(run["error_name"].tolist(), run["error"][0].tolist(), strict=True))
        products = errors.pop("apply"), errors.pop("apply_transposed")
        assert min(products) > 10 * np.nanmax(list(errors.values()))
        assert max(products) < 2**-11
        assert errors["entropy"] < 1e-5
