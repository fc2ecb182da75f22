"""Order: sort, top-k, of `keras.ops`."""

from __future__ import annotations

from graphkeras.ir.dims import product
from graphkeras.ops._common import TensorLike, expand_to, one_axis, reshape_to
from graphkeras.ops.shaping import cut
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op


@op
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The positions that sort an axis, as int32; equal elements keep their order."""
    tensor = as_tensor(x)
    if axis is None:
        tensor, axis = reshape_to(tensor, (product(tensor.dims),)), 0
    return emit("argsort", tensor, axis=one_axis(axis, len(tensor.dims)), descending=False)


@op
def sort(x: TensorLike, axis: int = -1) -> Tensor:
    """The elements from small to large along an axis."""
    tensor = as_tensor(x)
    axis = one_axis(axis, len(tensor.dims))
    order = emit("argsort", tensor, axis=axis, descending=False)
    return emit("take_along", tensor, order, axis=axis)


@op
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest elements of the last axis, from large to small, and their positions.

    Raises:
        ValueError: where the axis has fewer than k elements.
    """
    tensor = as_tensor(x)
    axis = len(tensor.dims) - 1
    size = tensor.dims[axis]
    if isinstance(size, int) and not 0 < k <= size:
        raise ValueError(f"top_k: k={k} must be between 1 and the size of the last axis, {size}")
    order = emit("argsort", tensor, axis=axis, descending=True)
    best = cut(order, axis, 0, k)
    return emit("take_along", tensor, best, axis=axis), best


@op
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Whether the target class is among the k best predictions of its row.

    Args:
        targets: class numbers, shape `(batch,)`.
        predictions: scores, shape `(batch, classes)`.
        k: how many of the best count; ties with the k-th count too.
    """
    scores, classes = as_tensor(predictions), cast_to(as_tensor(targets), "int32")
    index = reshape_to(classes, (*classes.dims, 1))
    own = emit("take_along", scores, index, axis=1)
    better = emit("gt", scores, expand_to(own, scores.dims))
    count = emit("reduce_sum", cast_to(better, "int32"), axes=(1,))
    inside = emit("lt", count, expand_to(as_tensor(k, "int32"), count.dims))
    return emit("and", inside, emit("is_finite", reshape_to(own, classes.dims)))
