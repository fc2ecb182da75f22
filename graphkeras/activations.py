"""`keras.activations`: functions a layer applies to its outputs.

Most are functions of `keras.ops`. Defined here are those with other arguments or defaults, and
those that only this module has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphkeras import ops
from graphkeras.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from graphkeras.ops._common import TensorLike
from graphkeras.registry import Registry
from graphkeras.trace import Tensor


def relu(
    x: TensorLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """`x` above `threshold`, `negative_slope * (x - threshold)` below, at most `max_value`.

    Args:
        x: tensor.
        negative_slope: slope below the threshold.
        max_value: upper limit, or None for none.
        threshold: where the slope changes.
    """
    if negative_slope == 0.0 and threshold == 0.0:
        if max_value is None:
            return ops.relu(x)
        return ops.relu6(x) if max_value == 6 else ops.clip(x, 0.0, max_value)
    if threshold == 0.0 and max_value is None:
        return ops.leaky_relu(x, negative_slope)
    above = ops.where(ops.greater(x, threshold), x, 0.0)
    if max_value is not None:
        above = ops.clip(above, 0.0, max_value)
    if negative_slope == 0.0:
        return above
    return ops.subtract(above, negative_slope * ops.relu(ops.subtract(threshold, x)))


def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """`x` times the normal distribution function of `x`."""
    return ops.gelu(x, approximate=approximate)


def exponential(x: TensorLike) -> Tensor:
    """`exp(x)`."""
    return ops.exp(x)


def linear(x: TensorLike) -> Tensor:
    """`x` itself."""
    return x  # type: ignore[no-any-return]  # a tensor-like goes out as it came in


def mish(x: TensorLike) -> Tensor:
    """`x * tanh(softplus(x))` (Misra, 2019)."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


swish = silu
hard_swish = hard_silu

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    relu,
    leaky_relu,
    relu6,
    softmax,
    log_softmax,
    elu,
    selu,
    celu,
    gelu,
    silu,
    sigmoid,
    hard_sigmoid,
    hard_silu,
    tanh,
    softplus,
    softsign,
    exponential,
    linear,
    mish,
    glu,
    hard_shrink,
    hard_tanh,
    log_sigmoid,
    soft_shrink,
    squareplus,
    tanh_shrink,
    threshold,
)
_registry = Registry(
    "activation",
    "keras.activations",
    {f.__name__: f for f in _FUNCTIONS},
    {"swish": "silu", "hard_swish": "hard_silu"},
)


def get(identifier: Any) -> Callable[..., Any]:
    """The activation function a user means.

    Args:
        identifier: a name, a function (also a layer), a config, or None for `linear`.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    if identifier is None:
        return linear
    found: Callable[..., Any] = _registry.get(identifier)
    return found


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of an activation function, or the config of an activation layer."""
    return _registry.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The activation of what `serialize` returned."""
    return _registry.deserialize(config, custom_objects)


__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
