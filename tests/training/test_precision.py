"""Which number format multiplies, on which device."""

import pytest
import torch

from attention_collapse.training.precision import has_tf32, product_dtype, tf32_products


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float32)],
)
def test_products_are_short_where_the_device_has_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert product_dtype("cuda") is dtype
    assert product_dtype("cpu") is torch.float32


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), True), ((7, 5), False)])
def test_devices_have_tf32_from_ampere_on(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_tf32("cuda") is expected
    assert not has_tf32("cpu")


def test_tf32_ends_with_the_run_however_it_ends():
    library = torch.backends.cuda.matmul
    before, seen = library.fp32_precision, []

    def fail():
        seen.append(library.fp32_precision)
        raise KeyError

    with pytest.raises(KeyError), tf32_products():
        fail()
    assert seen == ["tf32"] != [before]
    assert library.fp32_precision == before
