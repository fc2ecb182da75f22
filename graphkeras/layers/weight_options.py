"""The options that come with every weight of a built-in layer.

A weight called `kernel` has the constructor arguments `kernel_initializer`,
`kernel_regularizer` and `kernel_constraint`. They become attributes of the same names, are
used when the weight is made, and go into the config.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import constraints, initializers, regularizers
from graphkeras.layers.layer import Layer
from graphkeras.variables import Variable


def set_weight_options(
    layer: Layer, prefix: str, initializer: Any, regularizer: Any, constraint: Any
) -> None:
    """Sets `<prefix>_initializer`, `<prefix>_regularizer` and `<prefix>_constraint`."""
    setattr(layer, f"{prefix}_initializer", initializers.get(initializer))
    setattr(layer, f"{prefix}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{prefix}_constraint", constraints.get(constraint))


def make_weight(
    layer: Layer, prefix: str, shape: Sequence[int], name: str | None = None
) -> Variable:
    """A trainable weight made with the options set under `prefix`; named `prefix` by default."""
    return layer.add_weight(
        shape=tuple(shape),
        initializer=getattr(layer, f"{prefix}_initializer"),
        regularizer=getattr(layer, f"{prefix}_regularizer"),
        constraint=getattr(layer, f"{prefix}_constraint"),
        trainable=True,
        name=name or prefix,
    )


def weight_options_config(layer: Layer, *prefixes: str) -> dict[str, Any]:
    """The config entries of the options set under `prefixes`."""
    config: dict[str, Any] = {}
    for prefix in prefixes:
        for option, module in (
            ("initializer", initializers),
            ("regularizer", regularizers),
            ("constraint", constraints),
        ):
            name = f"{prefix}_{option}"
            config[name] = module.serialize(getattr(layer, name))
    return config


def known_size(layer: Layer, input_shape: Sequence[int | None], axis: int) -> int:
    """`input_shape[axis]`, which must be known to make a weight.

    Raises:
        ValueError: the size is `None`, or there is no such axis.
    """
    check_axes(layer, (axis,), input_shape)
    size = input_shape[axis]
    if size is None:
        raise ValueError(
            f"Layer '{layer.name}': the size of axis {axis} of the input must be known to make "
            f"the weights. Received: input_shape={tuple(input_shape)}. "
            f"Give that size in `keras.Input(shape=...)`."
        )
    return size


def check_axes(layer: Layer, axes: Sequence[int], input_shape: Sequence[int | None]) -> None:
    """Raises `ValueError` if an input of `input_shape` lacks one of `axes`."""
    rank = len(input_shape)
    for axis in axes:
        if not -rank <= axis < rank:
            raise ValueError(
                f"Layer '{layer.name}': axis {axis} is out of bounds for an input of shape "
                f"{tuple(input_shape)}. Use an axis between {-rank} and {rank - 1}."
            )
