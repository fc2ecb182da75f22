"""Losses of image segmentation: they compare regions rather than pixels."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.losses.loss import BuiltinLoss
from graphkeras.trace import op

Axes = int | tuple[int, ...] | list[int] | None


@op
def dice(y_true: Any, y_pred: Any, axis: Axes = None) -> Any:
    """One minus Dice's coefficient, twice the overlap over the sum of both regions.

    Args:
        y_true: Labels between 0 and 1.
        y_pred: Predictions of the same shape.
        axis: Axes of one region; all, the whole batch too, by default.

    Returns:
        Losses over the axes left.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    overlap = ops.sum(y_true * y_pred, axis=axis)
    regions = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1 - 2.0 * overlap / (regions + epsilon())


@op
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None
) -> Any:
    """One minus Tversky's index, which weighs the two kinds of error apart.

    Args:
        y_true: Labels between 0 and 1.
        y_pred: Predictions of the same shape.
        alpha: Weight of what is labelled but not predicted.
        beta: Weight of what is predicted but not labelled.
        axis: Axes of one region; all, the whole batch too, by default.

    Returns:
        Losses over the axes left.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    overlap = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum((1 - y_pred) * y_true, axis=axis)
    extra = ops.sum(y_pred * (1 - y_true), axis=axis)
    return 1 - overlap / (overlap + missed * alpha + extra * beta + epsilon())


class Dice(BuiltinLoss):
    """One minus Dice's coefficient; see `dice`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        axis: Axes of one region; all by default.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "dice",
        axis: Axes = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = axis


class Tversky(BuiltinLoss):
    """One minus Tversky's index; see `tversky`.

    Args:
        alpha: Weight of what is labelled but not predicted.
        beta: Weight of what is predicted but not labelled.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        axis: Axes of one region; all by default.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tversky",
        axis: Axes = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
        self.alpha = alpha
        self.beta = beta
        self.axis = axis
