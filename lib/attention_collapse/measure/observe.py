"""Recorders of attention: they look at a network while it runs and keep numbers only.

``LayerRecorder`` is an observer ``(name, tensor)``, as this package's networks take it. A network
that knows no observers is watched through ``record_queries_and_keys``, which finds the submodules
that put out queries and keys and reports them under the same names.
"""

import dataclasses
import zlib
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention_collapse.measure.attention_summary import (
    HeadSpectrum,
    Summary,
    summarise_attention,
    summarise_scores,
    summarise_spectrum,
)
from attention_collapse.measure.streaming import Backend, Progress, StreamedAttention, silent
from attention_collapse.measure.token_geometry import token_geometry
from attention_collapse.tokens import TokenLayout

QUERY, KEY, OUTPUT = ".attention.query", ".attention.key", ".output"

Observer = Callable[[str, Tensor], None]


def _none_finished(layer: str) -> MutableMapping[int, HeadSpectrum]:
    return {}


@dataclasses.dataclass(frozen=True)
class Spectra:
    """Whose spectrum a recorder measures, and how much of it.

    Attributes:
        layers: Layers, as in ``global.07``; ``None`` for all.
        count: Leading singular values.
        energy: Whether to measure the ranks that count energy too.
        seed: Of the random columns; those of a layer depend on the seed and its name only.

    Home section: *Measuring collapse*.
    """

    layers: Collection[str] | None = None
    count: int = 16
    energy: bool = False
    seed: int = 0


class LayerRecorder:
    """An observer that streams the attention and the tokens of every layer into numbers.

    A layer is what comes before ``.attention.query`` in the name of a point. Its attention is
    measured when its keys arrive, by ``summarise_attention`` and ``summarise_scores``, and by
    ``summarise_spectrum`` where ``spectra`` says so; its tokens, if ``.output`` is reported, by
    ``token_geometry``. The scenes of a batch count as heads of their attention, and their tokens as
    those of one set. No tensor is kept once a layer is measured.

    Args:
        layout: Where the tokens sit, for the mass among frames; ``None`` leaves frames out.
        layers: Layers to record; ``None`` for all that are reported or, with a layout, all whose
            attention is over its tokens: blocks that look at one frame at a time pass by.
        heads: Heads to measure of every layer, counted from 0; ``None`` for all.
        spectra: Whose spectrum to measure; ``None`` for none.
        backend: What computes; ``None`` for the choice of ``choose_backend``.
        further: What else to measure of a layer, from its queries and keys ``[head token dim]``.
        finished: Gives, by the name of a layer, the heads whose spectrum is known; each is added
            when it is done, so that a recording that is stopped can go on from there.
        report: Told after each head of a pass.

    Home section: *Measuring collapse*.
    """

    def __init__(
        self,
        *,
        layout: TokenLayout | None = None,
        layers: Collection[str] | None = None,
        heads: Sequence[int] | None = None,
        spectra: Spectra | None = None,
        backend: Backend | None = None,
        further: Callable[[Tensor, Tensor], Summary] | None = None,
        finished: Callable[[str], MutableMapping[int, HeadSpectrum]] = _none_finished,
        report: Progress = silent,
    ) -> None:
        self.statistics: dict[str, Summary] = {}
        """Statistics of every layer measured so far, by its name."""
        self._layout, self._layers, self._spectra = layout, layers, spectra
        self._heads, self._backend, self._report = heads, backend, report
        self._finished, self._further = finished, further
        self._query: tuple[str, Tensor] | None = None

    def __call__(self, name: str, tensor: Tensor) -> None:
        """Take one observation; other points and other layers pass by.

        Raises:
            ValueError: If keys arrive that are not those of the queries before them, or a layer has
                not the heads that are measured.
        """
        tensor = tensor.detach()
        if name.endswith(QUERY) and self._wanted(layer := name.removesuffix(QUERY), tensor):
            self._query = layer, self._observed(layer, tensor)
        elif name.endswith(KEY) and self._wanted(layer := name.removesuffix(KEY), tensor):
            self._measure_attention(layer, self._take_query(layer), self._observed(layer, tensor))
        elif name.removesuffix(OUTPUT) in self.statistics:
            geometry = token_geometry(tensor.flatten(0, -2))
            for measure, value in vars(geometry).items():
                number = torch.as_tensor(value, dtype=torch.float64, device="cpu")
                self.statistics[name.removesuffix(OUTPUT)][measure] = number

    def _wanted(self, layer: str, tensor: Float[Tensor, "*batch token dim"]) -> bool:
        if self._layers is not None:
            return layer in self._layers
        return self._layout is None or tensor.shape[-2] == self._layout.count

    def _observed(
        self, layer: str, tensor: Float[Tensor, "*batch head token dim"]
    ) -> Float[Tensor, "*batch observed token dim"]:
        """The heads that are measured."""
        if self._heads is None:
            return tensor
        if not set(self._heads) <= set(range(tensor.shape[-3])):
            raise ValueError(
                f"heads must be among the {tensor.shape[-3]} of {layer!r}, got "
                f"{tuple(self._heads)}: name heads that exist, counted from 0"
            )
        return tensor[..., list(self._heads), :, :]

    def _take_query(self, layer: str) -> Tensor:
        if self._query is None or self._query[0] != layer:
            raise ValueError(
                f"the queries of a layer must arrive before its keys, got keys of {layer!r} after "
                f"{'no queries' if self._query is None else f'queries of {self._query[0]!r}'}: "
                "report both, queries first"
            )
        query, self._query = self._query[1], None
        return query

    def _measure_attention(self, layer: str, query: Tensor, key: Tensor) -> None:
        query, key = query.flatten(0, -3), key.flatten(0, -3)
        attention = StreamedAttention(
            query, key, backend=self._backend, layout=self._layout, report=self._report
        )
        summary = summarise_attention(attention) | summarise_scores(query, key)
        spectra = self._spectra
        if spectra is not None and (spectra.layers is None or layer in spectra.layers):
            # Any whole number that depends on the layer alone, however many were measured before.
            seed = spectra.seed + zlib.crc32(layer.encode())
            generator = torch.Generator(query.device).manual_seed(seed)
            options = {"count": spectra.count, "energy": spectra.energy, "generator": generator}
            summary |= summarise_spectrum(attention, **options, finished=self._finished(layer))
        if self._further is not None:
            summary |= self._further(query, key)
        self.statistics[layer] = summary


def _as_it_is(path: str, tensor: Tensor) -> Tensor:
    return tensor


@contextmanager
def record_queries_and_keys(
    module: nn.Module,
    observe: Observer,
    *,
    query: str = "q_norm",
    key: str = "k_norm",
    place: Callable[[str, Tensor], Float[Tensor, "batch head token dim"]] = _as_it_is,
) -> Iterator[tuple[str, ...]]:
    """Report the queries and keys of a network that takes no observer, while inside.

    Every submodule with one child that puts out its queries and another that puts out its keys is
    an attention layer, named by its path: a child ``blocks.3.attn`` is reported as
    ``blocks.3.attn.attention.query`` and ``.key``.

    Args:
        module: The network, or one attention layer, whose path is empty.
        observe: Called with the name and the tensor, queries of a layer before its keys.
        query: Name of the child that puts out queries; called once in a forward, before that of
            the keys.
        key: Name of the child that puts out keys.
        place: Makes of the path of a layer and their output what enters the softmax, ``[batch head
            token dim]``: a rotation by the positions of that layer, or the split into heads.

    Yields:
        The paths of the layers that were found.

    Raises:
        ValueError: If no layer has both children.

    Home section: *Measuring collapse*.
    """
    layers = {
        path: layer
        for path, layer in module.named_modules()
        if {query, key} <= {name for name, _ in layer.named_children()}
    }
    if not layers:
        raise ValueError(
            f"the network must have a layer with children {query!r} and {key!r}, got none in "
            f"{type(module).__name__}: name the children that put out queries and keys"
        )
    with ExitStack() as hooks:
        for path, layer in layers.items():
            for child, point in ((query, QUERY), (key, KEY)):
                report = partial(_report, observe, path, point, place)
                handle = layer.get_submodule(child).register_forward_hook(report)
                hooks.callback(handle.remove)
        yield tuple(layers)


def _report(
    observe: Observer,
    path: str,
    point: str,
    place: Callable[[str, Tensor], Tensor],
    child: nn.Module,
    inputs: tuple[Tensor, ...],
    output: Tensor,
) -> None:
    observe(path + point, place(path, output))
