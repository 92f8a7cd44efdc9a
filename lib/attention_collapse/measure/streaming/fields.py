"""Results of several heads as one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

Result = TypeVar("Result")


def joined_fields(results: Sequence[Result], join: Callable[[list[Tensor]], Tensor]) -> Result:
    """One result whose fields are those of all, joined; a field that is ``None`` stays so.

    Args:
        results: Dataclasses of one type, of tensors or of such dataclasses.
        join: Makes one tensor of several, as ``torch.stack`` does.

    Home section: *Measuring collapse*.
    """
    joined = {}
    for field in dataclasses.fields(results[0]):
        entries = [getattr(result, field.name) for result in results]
        if entries[0] is None:
            joined[field.name] = None
        elif dataclasses.is_dataclass(entries[0]):
            joined[field.name] = joined_fields(entries, join)
        else:
            joined[field.name] = join(entries)
    return type(results[0])(**joined)
