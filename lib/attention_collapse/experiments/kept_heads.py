"""Heads whose spectrum is known, in the scratch folder of a run."""

from collections.abc import Iterator, MutableMapping

from torch import Tensor

from attention_collapse.experiments.scratch import Scratch
from attention_collapse.measure.streaming import EnergyRanks, StreamedValues

_LEADING = "leading."


class KeptHeads(MutableMapping[int, StreamedValues | EnergyRanks]):
    """The heads of one layer, from a search that may be stopped between two of them.

    Args:
        store: Where they are.
        name: Of the layer in the store.
        device: Where their numbers are wanted.

    Home section: *A thousand frames*.
    """

    def __init__(self, store: Scratch, name: str, device: str) -> None:
        self._store, self._prefix, self._device = store, f"{name}_head_", device

    def __getitem__(self, head: int) -> StreamedValues | EnergyRanks:
        if self._name(head) not in self._store:
            raise KeyError(head)
        return _whole(self._store.load(self._name(head), device=self._device))

    def __setitem__(self, head: int, found: StreamedValues | EnergyRanks) -> None:
        self._store.keep(self._name(head), _flat(found))

    def __delitem__(self, head: int) -> None:
        self._store.drop(self._name(head))

    def __iter__(self) -> Iterator[int]:
        names = self._store.names(self._prefix)
        return (int(name.removeprefix(self._prefix)) for name in names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _name(self, head: int) -> str:
        return f"{self._prefix}{head:02d}"


def _flat(found: StreamedValues | EnergyRanks) -> dict[str, Tensor]:
    ranks = {} if isinstance(found, StreamedValues) else dict(vars(found))
    leading = ranks.pop("leading", found)
    return ranks | {_LEADING + name: tensor for name, tensor in vars(leading).items()}


def _whole(tensors: dict[str, Tensor]) -> StreamedValues | EnergyRanks:
    ranks = {name: tensor for name, tensor in tensors.items() if not name.startswith(_LEADING)}
    leading = {
        name.removeprefix(_LEADING): tensor for name, tensor in tensors.items() if name not in ranks
    }
    values = StreamedValues(**leading)
    return EnergyRanks(leading=values, **ranks) if ranks else values
