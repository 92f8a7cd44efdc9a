"""Checks that several sizes of the network share."""

from typing import Any


def require_minimum(config: Any, **minimums: int) -> None:
    """Refuse a configuration with a count below its minimum.

    Args:
        config: A configuration dataclass whose defaults are VGGT's sizes.
        minimums: The smallest allowed value by field name.

    Raises:
        ValueError: A field is not an integer or is too small.

    Home section: *Notation*.
    """
    for name, minimum in minimums.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < minimum:
            raise ValueError(
                f"{name} must be an integer of at least {minimum}, got {value!r}; "
                f"VGGT uses {getattr(type(config), name)}"
            )
