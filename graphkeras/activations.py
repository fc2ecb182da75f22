"""`keras.activations`: functions a layer applies to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphkeras import ops
from graphkeras.ops._common import Axis, TensorLike
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


def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below."""
    return ops.leaky_relu(x, negative_slope=negative_slope)


def relu6(x: TensorLike) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return ops.relu6(x)


def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along the axis."""
    return ops.softmax(x, axis=axis)


def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """`log(softmax(x))` along the axis."""
    return ops.log_softmax(x, axis=axis)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below."""
    return ops.elu(x, alpha=alpha)


def selu(x: TensorLike) -> Tensor:
    """The scaled `elu` of self-normalising networks."""
    return ops.selu(x)


def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`."""
    return ops.celu(x, alpha=alpha)


def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """`x` times the normal distribution function of `x`."""
    return ops.gelu(x, approximate=approximate)


def silu(x: TensorLike) -> Tensor:
    """`x * sigmoid(x)`."""
    return ops.silu(x)


def sigmoid(x: TensorLike) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return ops.sigmoid(x)


def hard_sigmoid(x: TensorLike) -> Tensor:
    """`min(max(x / 6 + 1/2, 0), 1)`."""
    return ops.hard_sigmoid(x)


def hard_silu(x: TensorLike) -> Tensor:
    """`x * hard_sigmoid(x)`."""
    return ops.hard_silu(x)


def tanh(x: TensorLike) -> Tensor:
    """Hyperbolic tangent."""
    return ops.tanh(x)


def softplus(x: TensorLike) -> Tensor:
    """`log(1 + exp(x))`."""
    return ops.softplus(x)


def softsign(x: TensorLike) -> Tensor:
    """`x / (1 + |x|)`."""
    return ops.softsign(x)


def exponential(x: TensorLike) -> Tensor:
    """`exp(x)`."""
    return ops.exp(x)


def linear(x: TensorLike) -> Tensor:
    """`x` itself."""
    return x  # type: ignore[no-any-return]  # a tensor-like goes out as it came in


def mish(x: TensorLike) -> Tensor:
    """`x * tanh(softplus(x))` (Misra, 2019)."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second half."""
    return ops.glu(x, axis=axis)


def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` where `|x| > threshold`, 0 elsewhere."""
    return ops.hard_shrink(x, threshold=threshold)


def hard_tanh(x: TensorLike) -> Tensor:
    """`x` limited to `[-1, 1]`."""
    return ops.hard_tanh(x)


def log_sigmoid(x: TensorLike) -> Tensor:
    """`log(sigmoid(x))`."""
    return ops.log_sigmoid(x)


def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` moved by `threshold` towards zero, 0 where it would cross."""
    return ops.soft_shrink(x, threshold=threshold)


def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """`(x + sqrt(x**2 + b)) / 2`."""
    return ops.squareplus(x, b=b)


def tanh_shrink(x: TensorLike) -> Tensor:
    """`x - tanh(x)`."""
    return ops.tanh_shrink(x)


def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above the threshold, `default_value` elsewhere."""
    return ops.threshold(x, threshold, default_value)


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
