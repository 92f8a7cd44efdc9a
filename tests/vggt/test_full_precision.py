import pytest
import torch

from attention_collapse.vggt.full_precision import full_precision, require_full_precision


def test_autocast_has_no_effect_inside():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
        with full_precision(torch.device("cpu")):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_a_device_without_autocast_needs_no_protection():
    with full_precision(torch.device("meta")):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float32_and_wider_pass(dtype):
    require_full_precision(torch.zeros(1, dtype=dtype), "part")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shorter_weights_are_refused(dtype):
    message = f"the part computes in float32 or wider, its weights are {dtype}; call float"
    with pytest.raises(ValueError, match=message):
        require_full_precision(torch.zeros(1, dtype=dtype), "part")
