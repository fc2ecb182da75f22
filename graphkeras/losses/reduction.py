"""From the losses of the samples to one number: ranks, masks, sample weights, reductions."""

from __future__ import annotations

from typing import Any

from graphkeras import ops

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
"""Accepted values of `reduction`."""


def standardize_reduction(reduction: str | None) -> str | None:
    """Returns `reduction` if it is one of `REDUCTIONS`.

    Raises:
        ValueError: If it is not.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            "Invalid value for argument `reduction`. Expected one of "
            f"{', '.join(repr(r) for r in REDUCTIONS)}. Received: reduction={reduction!r}"
        )
    return reduction


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """Drops or adds a last axis of length 1 where the ranks of two tensors differ by one.

    Args:
        x1: A tensor.
        x2: A tensor.
        expand_rank_1: Give a vector a second axis rather than take it from the other tensor.

    Returns:
        Both tensors, of equal rank where that was possible.
    """
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if rank1 == rank2 + 1 and x1.shape[-1] == 1:
        if rank2 == 1 and expand_rank_1:
            return x1, ops.expand_dims(x2, axis=-1)
        return ops.squeeze(x1, axis=-1), x2
    if rank2 == rank1 + 1 and x2.shape[-1] == 1:
        if rank1 == 1 and expand_rank_1:
            return ops.expand_dims(x1, axis=-1), x2
        return x1, ops.squeeze(x2, axis=-1)
    return x1, x2


def get_mask(tensor: Any) -> Any:
    """The mask a layer attached to a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def combine_masks(first: Any, second: Any) -> Any:
    """Elements both masks keep; a mask that is None keeps everything."""
    if first is None or second is None:
        return second if first is None else first
    return ops.logical_and(first, second)


def apply_mask(sample_weight: Any, mask: Any, dtype: str, reduction: str | None) -> Any:
    """Merges a mask into the sample weights.

    For the reductions that divide by the number of elements, the elements kept weigh
    total / kept, so that the result is the mean over those alone.

    Args:
        sample_weight: Weights, or None.
        mask: Boolean mask, or None.
        dtype: Dtype of the weights returned.
        reduction: The reduction that will follow.

    Returns:
        Weights, or None if there are neither weights nor a mask.
    """
    if mask is None:
        return sample_weight
    kept = ops.cast(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        total = ops.cast(ops.size(mask), dtype)
        kept = kept * ops.divide_no_nan(total, ops.sum(kept))
    if sample_weight is None:
        return kept
    kept, sample_weight = squeeze_or_expand_to_same_rank(kept, ops.cast(sample_weight, dtype))
    return sample_weight * kept


def reduce_values(
    values: Any, sample_weight: Any = None, reduction: str | None = "sum_over_batch_size"
) -> Any:
    """Sums or averages losses that already carry their weights.

    Args:
        values: Losses, any shape. A scalar, or a vector of length 0, is returned as it is.
        sample_weight: The weights in `values`; the divisor of `"mean_with_sample_weight"`.
        reduction: One of `REDUCTIONS`.

    Returns:
        A scalar, or `values` where the reduction is none.
    """
    if reduction in (None, "none") or tuple(values.shape) in ((), (0,)):
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        divisor = ops.cast(ops.sum(sample_weight), total.dtype)
    else:
        divisor = ops.cast(ops.size(values), total.dtype)
    return ops.divide_no_nan(total, divisor)


def reduce_weighted_values(
    values: Any,
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: str | None = None,
) -> Any:
    """Weights losses, masks them, and reduces them.

    Args:
        values: Losses, any shape.
        sample_weight: Weights that broadcast to `values` after a last axis of length 1 is added
            or dropped, or None.
        mask: Boolean mask of the shape of `values`, or None.
        reduction: One of `REDUCTIONS`.
        dtype: Dtype of the computation; that of `values` by default.

    Returns:
        A scalar, or an array where the reduction is none.
    """
    reduction = standardize_reduction(reduction)
    values = ops.convert_to_tensor(values, dtype=dtype)
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight, dtype=dtype)
    sample_weight = apply_mask(sample_weight, mask, values.dtype, reduction)
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, values.dtype)
        values, sample_weight = squeeze_or_expand_to_same_rank(values, sample_weight)
        values = values * sample_weight
    return reduce_values(values, sample_weight, reduction)
