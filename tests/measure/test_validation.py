import pytest
import torch

from attention_collapse.measure.validation import require_at_least_two, require_finite


def test_messages_name_the_tensor_and_its_shape():
    with pytest.raises(ValueError, match=r"scores must have entries; got shape \(2, 0\): pass"):
        require_finite("scores", torch.zeros(2, 0))
    with pytest.raises(ValueError, match=r"frames must number at least two; got 1 in .*\(3, 1\)"):
        require_at_least_two("frames", torch.zeros(3, 1), axis=-1)


def test_two_finite_entries_pass():
    tensor = torch.tensor([1.0, 2.0])
    require_finite("tensor", tensor)
    require_at_least_two("tensor", tensor, axis=0)
