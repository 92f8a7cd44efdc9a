"""Weights of a trained network in numpy, as theory reads them."""

from attention_collapse.theory import propagate
from attention_collapse.tokens import TokenLayout
from attention_collapse.vggt import Aggregator, AggregatorConfig


def as_arrays(network: Aggregator, layout: TokenLayout) -> propagate.Network:
    """The weights of an aggregator in numpy, float64.

    Raises:
        ValueError: if its scores grow with the number of tokens.

    Home section: *Predicting the profile*.
    """
    check_scores(network.config)
    rotary = network.rotary(layout)
    blocks = (
        [
            {name: value.double().cpu().numpy() for name, value in block.state_dict().items()}
            for block in kind
        ]
        for kind in (network.frame_blocks, network.global_blocks)
    )
    angles = (table.double().cpu().numpy() for table in (rotary.cos, rotary.sin))
    return propagate.Network(*blocks, network.config.heads, *angles)


def check_scores(sizes: AggregatorConfig) -> None:
    """Refuse a network whose scores the propagation does not know.

    Raises:
        ValueError: if they grow with the number of tokens.

    Home section: *Predicting the profile*.
    """
    if sizes.scalable_softmax is not None:
        raise ValueError(
            "propagation has scores that do not depend on the number of tokens, got a network with "
            f"scalable_softmax {sizes.scalable_softmax}: use the preset mini"
        )
