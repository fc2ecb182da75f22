"""Convolution and pooling, of `keras.ops`.

The primitives are channels-last; channels-first data is transposed on the way in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphkeras.config import image_data_format
from graphkeras.ir.dims import Shape
from graphkeras.ops._common import (
    TensorLike,
    promote,
    reshape_to,
    scalar_like,
    static,
    to_float,
)
from graphkeras.ops.shaping import permuted
from graphkeras.trace import Tensor, as_tensor, emit, op

Pairs = tuple[tuple[int, int], ...]


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """A size argument as one number for each spatial axis. Raises `ValueError`."""
    items = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(items) == 1:
        items *= rank
    if len(items) != rank or any(int(i) < 1 for i in items):
        raise ValueError(f"{name} must be a positive integer or {rank} of them, received {value!r}")
    return tuple(int(i) for i in items)


def paddings(
    padding: str, sizes: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """Elements added before and after each axis.

    `"valid"` adds none. `"same"` makes the result `ceil(size / stride)`, with the odd element
    at the end.

    Raises:
        ValueError: for another string.
    """
    if padding == "valid":
        return tuple((0, 0) for _ in sizes)
    if padding != "same":
        raise ValueError(f"padding must be 'valid' or 'same', received {padding!r}")
    pairs = []
    for size, width, stride in zip(sizes, window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def _channels_last(x: Tensor, data_format: str | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The tensor with channels last, and the way back."""
    chosen = data_format or image_data_format()
    if chosen == "channels_last":
        return x, lambda y: y
    if chosen != "channels_first":
        raise ValueError(
            f"data_format must be 'channels_last' or 'channels_first', received {data_format!r}"
        )
    rank = len(x.dims)
    there = (0, *range(2, rank), 1)
    back = (0, rank - 1, *range(1, rank - 1))
    return permuted(x, there), lambda y: permuted(y, back)


def _spatial(x: Tensor, what: str) -> tuple[int, ...]:
    return tuple(
        static(d, f"size {i} of the image that {what} works on")
        for i, d in enumerate(x.dims)
        if 0 < i < len(x.dims) - 1
    )


def _check_fits(what: str, shape: Shape, sizes: Sequence[int], window: Sequence[int]) -> None:
    if any(w > s for s, w in zip(sizes, window, strict=True)):
        raise ValueError(
            f"{what}: the window {tuple(window)} is larger than the image {tuple(sizes)} "
            f"(input shape {tuple(shape)}). Use padding='same', a smaller window, or fewer "
            "layers that shrink the image."
        )


def _groups(x: Tensor, w: Tensor) -> int:
    """How many groups of input channels a kernel works on. Raises `ValueError`."""
    if len(w.dims) != len(x.dims):
        raise ValueError(f"conv: inputs {x.shape} and kernel {w.shape} differ in rank")
    channels, depth = static(x.dims[-1], "the number of channels"), w.dims[-2]
    if not isinstance(depth, int) or depth == 0 or channels % depth:
        raise ValueError(
            f"conv: the number of input channels must be a multiple of the kernel's, "
            f"received {channels} and {depth} (inputs {x.shape}, kernel {w.shape})"
        )
    return channels // depth


@op
def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution (a cross-correlation, as everywhere in deep learning) in 1 to 3 dimensions.

    Args:
        inputs: `(batch, *spatial, channels)`, or channels second with `"channels_first"`.
        kernel: `(*window, channels / groups, filters)`; fewer channels than the input's means
            groups.
        strides: steps of the window.
        padding: `"valid"` or `"same"`.
        data_format: order of the axes; `keras.config.image_data_format()` by default.
        dilation_rate: distance between the elements of the window.

    Raises:
        ValueError: where ranks, channels or window do not fit.
    """
    x, w = promote(inputs, kernel, floating=True)
    x, back = _channels_last(x, data_format)
    rank = len(x.dims) - 2
    groups = _groups(x, w)
    step, spread = per_axis(strides, rank, "strides"), per_axis(dilation_rate, rank, "dilation")
    sizes = _spatial(x, "conv")
    window = tuple(
        (static(k, "the kernel size") - 1) * d + 1 for k, d in zip(w.dims, spread, strict=False)
    )
    pairs = paddings(padding, sizes, window, step)
    if padding == "valid":
        _check_fits("conv", x.dims, sizes, window)
    result = emit(
        "conv",
        x,
        w,
        strides=step,
        padding=pairs,
        lhs_dilation=(1,) * rank,
        rhs_dilation=spread,
        groups=groups,
    )
    return back(result)


@op
def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution of each channel by itself.

    Args:
        inputs: `(batch, *spatial, channels)`.
        kernel: `(*window, channels, multiplier)`.
        strides: steps of the window.
        padding: `"valid"` or `"same"`.
        data_format: order of the axes.
        dilation_rate: distance between the elements of the window.
    """
    w = as_tensor(kernel)
    *window, channels, multiplier = w.dims
    grouped = reshape_to(w, (*window, 1, channels * multiplier))
    return conv(inputs, grouped, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """`depthwise_conv`, then a convolution with a window of one element."""
    deep = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(deep, pointwise_kernel, 1, "valid", data_format)


def _windows(x: Tensor, what: str, pool_size: Any, strides: Any, padding: str) -> dict[str, Any]:
    """Attributes of a window primitive over all axes."""
    rank = len(x.dims) - 2
    window = per_axis(pool_size, rank, "pool_size")
    step = window if strides is None else per_axis(strides, rank, "strides")
    sizes = _spatial(x, what)
    pairs = paddings(padding, sizes, window, step)
    if padding == "valid":
        _check_fits(what, x.dims, sizes, window)
    return {
        "window": (1, *window, 1),
        "strides": (1, *step, 1),
        "padding": ((0, 0), *pairs, (0, 0)),
    }


@op
def max_pool(
    inputs: TensorLike,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest element of each window.

    Args:
        inputs: `(batch, *spatial, channels)`, or channels second with `"channels_first"`.
        pool_size: size of the window.
        strides: steps of the window; its size by default.
        padding: `"valid"` or `"same"`.
        data_format: order of the axes; `keras.config.image_data_format()` by default.
    """
    x, back = _channels_last(as_tensor(inputs), data_format)
    return back(emit("window_max", x, **_windows(x, "max_pool", pool_size, strides, padding)))


@op
def average_pool(
    inputs: TensorLike,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window; elements that padding adds are not counted.

    Args:
        inputs: `(batch, *spatial, channels)`, or channels second with `"channels_first"`.
        pool_size: size of the window.
        strides: steps of the window; its size by default.
        padding: `"valid"` or `"same"`.
        data_format: order of the axes; `keras.config.image_data_format()` by default.
    """
    x, back = _channels_last(to_float(inputs), data_format)
    attributes = _windows(x, "average_pool", pool_size, strides, padding)
    total = emit("window_sum", x, **attributes)
    if any(low or high for low, high in attributes["padding"]):
        return back(emit("mul", total, _window_share(x, total, attributes)))
    count = 1
    for width in attributes["window"]:
        count *= width
    return back(emit("mul", total, scalar_like(total, 1.0 / count)))


def _window_share(x: Tensor, total: Tensor, attributes: dict[str, Any]) -> Tensor:
    """One over the number of elements of each window that are no padding."""
    share = np.ones(())
    for axis in range(1, len(x.dims) - 1):
        size, (low, _) = static(x.dims[axis], "image size"), attributes["padding"][axis]
        width, stride = attributes["window"][axis], attributes["strides"][axis]
        start = np.arange(static(total.dims[axis], "image size")) * stride - low
        count = np.minimum(start + width, size) - np.maximum(start, 0)
        share = np.multiply.outer(share, 1.0 / count)
    block = as_tensor(share, total.dtype)
    places = tuple(range(1, len(x.dims) - 1))
    return emit("broadcast", block, shape=total.dims, dims=places)
