"""Activations and normalisation, of `keras.ops`."""

from __future__ import annotations

import math

from graphkeras.config import epsilon as default_epsilon
from graphkeras.ops._common import (
    Axis,
    TensorLike,
    align,
    all_axes,
    expand_to,
    one_axis,
    scalar_like,
    to_float,
)
from graphkeras.ops.indexing import one_hot
from graphkeras.ops.reduction import logsumexp, mean, norm, reduce, square_mean_distance
from graphkeras.ops.shaping import split
from graphkeras.trace import Tensor, as_tensor, emit, op


@op
def relu(x: TensorLike) -> Tensor:
    """`max(x, 0)`."""
    return emit("relu", as_tensor(x))


@op
def relu6(x: TensorLike) -> Tensor:
    """`min(max(x, 0), 6)`."""
    tensor = as_tensor(x)
    positive = emit("max", tensor, scalar_like(tensor, 0))
    return emit("min", positive, scalar_like(tensor, 6))


@op
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """`x` above zero, `negative_slope * x` below."""
    tensor = to_float(x)
    return _piece(tensor, emit("mul", tensor, scalar_like(tensor, negative_slope)))


def _piece(x: Tensor, below: Tensor) -> Tensor:
    """`x` above zero, `below` elsewhere."""
    return emit("select", emit("gt", x, scalar_like(x, 0)), x, below)


@op
def sigmoid(x: TensorLike) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return emit("logistic", to_float(x))


@op
def log_sigmoid(x: TensorLike) -> Tensor:
    """`log(sigmoid(x))` without overflow."""
    return emit("neg", softplus(emit("neg", to_float(x))))


@op
def softplus(x: TensorLike) -> Tensor:
    """`log(1 + exp(x))` without overflow."""
    tensor = to_float(x)
    tail = emit("log1p", emit("exp", emit("neg", emit("abs", tensor))))
    return emit("add", emit("max", tensor, scalar_like(tensor, 0)), tail)


@op
def softsign(x: TensorLike) -> Tensor:
    """`x / (1 + |x|)`."""
    tensor = to_float(x)
    return emit("div", tensor, emit("add", scalar_like(tensor, 1), emit("abs", tensor)))


@op
def silu(x: TensorLike) -> Tensor:
    """`x * sigmoid(x)`, also called swish."""
    tensor = to_float(x)
    return emit("mul", tensor, emit("logistic", tensor))


swish = silu


@op
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """`x` above zero, `alpha * (exp(x) - 1)` below."""
    tensor = to_float(x)
    below = emit("expm1", emit("min", tensor, scalar_like(tensor, 0)))
    return _piece(tensor, emit("mul", below, scalar_like(tensor, alpha)))


@op
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`."""
    tensor = to_float(x)
    scaled = emit("div", emit("min", tensor, scalar_like(tensor, 0)), scalar_like(tensor, alpha))
    below = emit("mul", emit("expm1", scaled), scalar_like(tensor, alpha))
    return emit("add", emit("max", tensor, scalar_like(tensor, 0)), below)


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@op
def selu(x: TensorLike) -> Tensor:
    """The scaled `elu` of self-normalising networks (Klambauer et al., 2017)."""
    unit = elu(x, _SELU_ALPHA)
    return emit("mul", unit, scalar_like(unit, _SELU_SCALE))


@op
def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """`x` times the normal distribution function of `x` (Hendrycks and Gimpel, 2016).

    Args:
        x: tensor.
        approximate: whether to use the tanh formula instead of `erf`.
    """
    tensor = to_float(x)
    half, one = scalar_like(tensor, 0.5), scalar_like(tensor, 1)
    if approximate:
        cube = emit("mul", emit("mul", tensor, tensor), tensor)
        inner = emit("add", tensor, emit("mul", cube, scalar_like(tensor, 0.044715)))
        wave = emit("tanh", emit("mul", inner, scalar_like(tensor, math.sqrt(2 / math.pi))))
    else:
        wave = emit("erf", emit("mul", tensor, scalar_like(tensor, math.sqrt(0.5))))
    return emit("mul", emit("mul", tensor, half), emit("add", one, wave))


@op
def hard_sigmoid(x: TensorLike) -> Tensor:
    """`min(max(x / 6 + 1/2, 0), 1)`."""
    tensor = to_float(x)
    line = emit("mul", tensor, scalar_like(tensor, 1 / 6))
    line = emit("add", line, scalar_like(tensor, 0.5))
    return emit("min", emit("max", line, scalar_like(tensor, 0)), scalar_like(tensor, 1))


@op
def hard_silu(x: TensorLike) -> Tensor:
    """`x * hard_sigmoid(x)`, also called hard swish."""
    tensor = to_float(x)
    return emit("mul", tensor, hard_sigmoid(tensor))


hard_swish = hard_silu


@op
def hard_tanh(x: TensorLike) -> Tensor:
    """`x` limited to `[-1, 1]`."""
    tensor = to_float(x)
    return emit("min", emit("max", tensor, scalar_like(tensor, -1)), scalar_like(tensor, 1))


@op
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` where `|x| > threshold`, 0 elsewhere."""
    tensor = to_float(x)
    far = emit("gt", emit("abs", tensor), scalar_like(tensor, threshold))
    return emit("select", far, tensor, scalar_like(tensor, 0))


@op
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """`x` moved by `threshold` towards zero, 0 where it would cross."""
    tensor = to_float(x)
    limit = scalar_like(tensor, threshold)
    above = emit("max", emit("sub", tensor, limit), scalar_like(tensor, 0))
    below = emit("min", emit("add", tensor, limit), scalar_like(tensor, 0))
    return emit("add", above, below)


@op
def tanh_shrink(x: TensorLike) -> Tensor:
    """`x - tanh(x)`."""
    tensor = to_float(x)
    return emit("sub", tensor, emit("tanh", tensor))


@op
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above the threshold, `default_value` elsewhere."""
    tensor = to_float(x)
    above = emit("gt", tensor, scalar_like(tensor, threshold))
    return emit("select", above, tensor, scalar_like(tensor, default_value))


@op
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """`(x + sqrt(x**2 + b)) / 2`."""
    tensor = to_float(x)
    root = emit("sqrt", emit("add", emit("mul", tensor, tensor), scalar_like(tensor, b)))
    return emit("mul", emit("add", tensor, root), scalar_like(tensor, 0.5))


@op
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second half."""
    value, gate = split(to_float(x), 2, axis=axis)
    return emit("mul", value, emit("logistic", gate))


@op
def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along the axis (or axes), without overflow."""
    tensor = to_float(x)
    peak = emit("stop_gradient", reduce("reduce_max", tensor, axis, True))
    weights = emit("exp", emit("sub", tensor, expand_to(peak, tensor.dims)))
    total = reduce("reduce_sum", weights, axis, True)
    return emit("div", weights, expand_to(total, tensor.dims))


@op
def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """`log(softmax(x))` along the axis (or axes), without overflow."""
    tensor = to_float(x)
    total = logsumexp(tensor, axis=axis, keepdims=True)
    return emit("sub", tensor, expand_to(total, tensor.dims))


@op
def moments(
    x: TensorLike, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and variance over the axes.

    Args:
        x: tensor.
        axes: axes to reduce.
        keepdims: whether they stay with size 1.
        synchronized: must be False; there is one device.
    """
    if synchronized:
        raise ValueError("moments: synchronized=True needs several devices; there is one")
    tensor = to_float(x)
    centre = mean(tensor, axis=axes, keepdims=True)
    spread = square_mean_distance(tensor, centre, axes, keepdims)
    return (centre if keepdims else mean(tensor, axis=axes)), spread


@op
def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike = None,
    scale: TensorLike = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`, vectors along `axis`."""
    tensor = to_float(x)
    place = one_axis(axis, len(tensor.dims))

    def spread(vector: TensorLike) -> Tensor:
        column = as_tensor(vector, tensor.dtype)
        return emit("broadcast", column, shape=tensor.dims, dims=(place,))

    spread_of = as_tensor(variance, tensor.dtype)
    factor = emit("rsqrt", emit("add", spread_of, scalar_like(spread_of, epsilon)))
    if scale is not None:
        factor = emit("mul", factor, as_tensor(scale, tensor.dtype))
    result = emit("mul", emit("sub", tensor, spread(mean)), spread(factor))
    return result if offset is None else emit("add", result, spread(offset))


@op
def layer_normalization(
    x: TensorLike,
    gamma: TensorLike = None,
    beta: TensorLike = None,
    axis: Axis = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """Normalises each sample over the axes to mean 0 and variance 1.

    Args:
        x: tensor.
        gamma: factor of the shape of the normalised axes, or None.
        beta: offset of the same shape, or None.
        axis: axes to normalise over.
        epsilon: added to the variance; `keras.config.epsilon()` by default.
        rms_scaling: whether to divide by the root mean square only.
    """
    tensor = to_float(x)
    axes = all_axes(axis, len(tensor.dims))
    small = default_epsilon() if epsilon is None else epsilon
    if rms_scaling:
        centred = tensor
        power = mean(emit("mul", tensor, tensor), axis=axes, keepdims=True)
    else:
        centre = mean(tensor, axis=axes, keepdims=True)
        centred = emit("sub", tensor, expand_to(centre, tensor.dims))
        power = square_mean_distance(tensor, centre, axes, keepdims=True)
    factor = emit("rsqrt", emit("add", power, scalar_like(power, small)))
    result = emit("mul", centred, expand_to(factor, tensor.dims))

    def spread(weights: TensorLike) -> Tensor:
        block = as_tensor(weights, tensor.dtype)
        return emit("broadcast", block, shape=tensor.dims, dims=axes)

    if gamma is not None:
        result = emit("mul", result, spread(gamma))
    return result if beta is None or rms_scaling else emit("add", result, spread(beta))


@op
def rms_normalization(
    x: TensorLike, scale: TensorLike = 1, axis: Axis = -1, epsilon: float | None = None
) -> Tensor:
    """Divides each sample by its root mean square over the axes, times `scale`."""
    result = layer_normalization(x, axis=axis, epsilon=epsilon, rms_scaling=True)
    return emit("mul", *align(result, as_tensor(scale, result.dtype)))


@op
def normalize(
    x: TensorLike, axis: int = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    """Vectors along an axis divided by their norm, or by `epsilon` where that is smaller."""
    tensor = to_float(x)
    small = default_epsilon() if epsilon is None else epsilon
    if order == 2:
        power = reduce("reduce_sum", emit("mul", tensor, tensor), axis, True)
        floor = scalar_like(power, small * small)
        return emit("mul", tensor, expand_to(emit("rsqrt", emit("max", power, floor)), tensor.dims))
    length = norm(tensor, ord=order, axis=axis, keepdims=True)
    length = emit("max", length, scalar_like(length, small))
    return emit("div", tensor, expand_to(length, tensor.dims))


@op
def multi_hot(
    inputs: TensorLike, num_classes: int, axis: int = -1, dtype: object = None, sparse: bool = False
) -> Tensor:
    """Sets of class numbers as vectors with a one for each member.

    Args:
        inputs: class numbers; the last axis (the first of a vector) is the set.
        num_classes: length of the vectors.
        axis: place of the class axis in the result.
        dtype: dtype of the result, floatx by default.
        sparse: must be False.
    """
    classes = as_tensor(inputs)
    members = 1 if len(classes.dims) > 1 else 0
    hot = one_hot(classes, num_classes, axis=axis, dtype=dtype, sparse=sparse)
    return reduce("reduce_max", hot, members, False)
