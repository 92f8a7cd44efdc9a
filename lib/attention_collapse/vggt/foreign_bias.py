"""The reference bias for a VGGT that this package did not build, such as the released one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attention_collapse.vggt.attention import fused_attention
from attention_collapse.vggt.reduction import Heads
from attention_collapse.vggt.reference_bias import first_frame_bias, reference_bias


@contextmanager
def biased_reference(
    attentions: Iterable[nn.Module], *, tokens_per_frame: int, trained_frames: int
) -> Iterator[None]:
    """Run attention modules of any make with the reference bias, inside a ``with`` block.

    It needs no change to their code, if they call torch's ``scaled_dot_product_attention`` on
    tokens of all frames end to end, the reference frame first. For the released network, whose
    frames have 5 special tokens and patches of side 14::

        patches = (images.shape[-2] // 14) * (images.shape[-1] // 14)
        layers = [block.attn for block in model.aggregator.global_blocks]
        trunk = [block.attn for block in model.camera_head.trunk]
        biased = functools.partial(biased_reference, trained_frames=24)
        with biased(layers, tokens_per_frame=5 + patches), biased(trunk, tokens_per_frame=1):
            predictions = model(images)

    Its camera head has a second block, as the head attends over the camera tokens of all frames,
    one of each.

    The number of frames is read off the keys, so that the block serves scenes of any length. Up
    to ``trained_frames`` frames it changes nothing. Not tested on the released weights.

    Args:
        attentions: The modules that attend over all frames.
        tokens_per_frame: Tokens of a frame, special ones included.
        trained_frames: Most frames of a scene in training; 24 for VGGT-1B.

    Raises:
        ValueError: There is no module; or, when one runs, its keys are no whole frames, it masks,
            drops or weighs scores by itself, or it calls another kernel.

    Source: derived in the book. Home section: *What fails*.
    """
    modules = list(attentions)
    if not modules or tokens_per_frame < 1:
        raise ValueError(
            "attentions must name at least one module and tokens_per_frame be at least 1, got "
            f"{len(modules)} and {tokens_per_frame}; pass [block.attn for block in global_blocks]"
        )
    reference_bias(1, trained_frames)  # refuses what is no number of frames
    originals = [module.forward for module in modules]
    try:
        for module, original in zip(modules, originals, strict=True):
            module.forward = _biased(original, tokens_per_frame, trained_frames)
        yield
    finally:
        for module in modules:
            del module.forward


class _BiasedSoftmax(TorchFunctionMode):
    """While it is entered, torch's fused attention has the bias."""

    def __init__(self, tokens_per_frame: int, trained_frames: int) -> None:
        super().__init__()
        self._per_frame, self._trained_frames = tokens_per_frame, trained_frames
        self.calls = 0

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        self.calls += 1
        return self._attend(*args, **kwargs)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        if any(options.values()):
            raise ValueError(
                "the reference bias needs plain attention, got the options "
                f"{', '.join(name for name, given in options.items() if given)}; call eval() on "
                "the network"
            )
        frames, rest = divmod(key.shape[-2], self._per_frame)
        if rest or not frames:
            raise ValueError(
                f"keys must be those of whole frames of {self._per_frame} tokens, got "
                f"{key.shape[-2]}; pass the attentions over all frames, and count special tokens"
            )
        bias = reference_bias(frames, self._trained_frames)
        heads = Heads(query, key, value)
        if not bias:
            return fused_attention(heads)
        return fused_attention(heads, key_bias=first_frame_bias(key, self._per_frame, bias))


def _biased(forward: Callable, tokens_per_frame: int, trained_frames: int) -> Callable:
    def biased(*args: Any, **kwargs: Any) -> Any:
        with _BiasedSoftmax(tokens_per_frame, trained_frames) as softmax:
            output = forward(*args, **kwargs)
        if softmax.calls != 1:
            raise ValueError(
                "an attention must call scaled_dot_product_attention once, got "
                f"{softmax.calls} calls; switch its fused kernel on"
            )
        return output

    return biased
