"""The passage of a rendered scene through a network, every global layer measured."""

import functools
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from attention_collapse.experiments.layer_passage import LayerPassage
from attention_collapse.measure import streaming
from attention_collapse.measure.attention_summary import Summary
from attention_collapse.measure.observe import LayerRecorder, Spectra
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Observe

# Scores of one head from which a layer takes seconds, and its passes are worth a bar of their own.
LONG_LAYER = streaming.attention.LARGE_HEAD


@runtime_checkable
class Steps(Protocol):
    """How the residual stream of a scene begins, and how a layer changes it.

    Home section: *A thousand frames*.
    """

    def start(
        self, images: Float[Tensor, "frame 3 image_height image_width"]
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream before the first layer."""
        ...

    def step(
        self,
        stream: Float[Tensor, "frame token width"],
        layer: int,
        *,
        observe: Observe | None = None,
    ) -> Float[Tensor, "frame token width"]:
        """The residual stream after a layer, shown to ``observe`` as ``global.07``."""
        ...


def scene_passage(
    name: str,
    render: Callable[[], Float[Tensor, "frame 3 image_height image_width"]],
    steps: Callable[[], Steps],
    layout: TokenLayout,
    *,
    depth: int,
    heads: Sequence[int],
    spectra: Spectra,
    device: str,
    progress: streaming.Progress,
    further: Callable[[Tensor, Tensor], Summary] | None = None,
) -> LayerPassage:
    """The passage of a scene, which is rendered when it begins.

    Args:
        name: Of the scene among others of a store.
        render: Gives the images, which are let go of as soon as they are tokens.
        steps: Gives the layers; called once.
        layout: Where the tokens sit.
        depth: Number of layers.
        heads: Heads that are measured.
        spectra: Whose spectrum is measured.
        device: Where the stream is.
        progress: Told after each pass of layers that take seconds.
        further: What else to measure of a layer, as in ``LayerRecorder``.

    Home section: *A thousand frames*.
    """
    recorder = functools.partial(
        LayerRecorder,
        layout=layout,
        heads=heads,
        spectra=spectra,
        further=further,
        report=progress if layout.count**2 >= LONG_LAYER else streaming.silent,
    )
    made = functools.cache(steps)
    return LayerPassage(
        name=name,
        start=lambda: made().start(render()),
        step=lambda stream, layer, **options: made().step(stream, layer, **options),
        depth=depth,
        recorder=recorder,
        device=device,
    )
