"""Which number format multiplies, on which device."""

import pytest
import torch

from attention_collapse.training.precision import product_dtype


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float32)],
)
def test_products_are_short_where_the_device_has_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert product_dtype("cuda") is dtype
    assert product_dtype("cpu") is torch.float32
