"""Losses of maximum-margin classification."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.losses.loss import BuiltinLoss
from graphkeras.trace import op


def _margins(y_true: Any, y_pred: Any) -> Any:
    """`1 - y_true * y_pred`, with labels 0 and 1 read as -1 and 1 if there are no others."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    is_binary = ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1)))
    y_true = ops.where(is_binary, 2.0 * y_true - 1.0, y_true)
    return 1.0 - y_true * y_pred


@op
def hinge(y_true: Any, y_pred: Any) -> Any:
    """`mean(maximum(1 - y_true * y_pred, 0))` over the last axis.

    Args:
        y_true: Labels -1 and 1, or 0 and 1, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    return ops.mean(ops.maximum(_margins(y_true, y_pred), 0.0), axis=-1)


@op
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """`mean(maximum(1 - y_true * y_pred, 0)**2)` over the last axis.

    Args:
        y_true: Labels -1 and 1, or 0 and 1, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    return ops.mean(ops.square(ops.maximum(_margins(y_true, y_pred), 0.0)), axis=-1)


@op
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """`maximum(neg - pos + 1, 0)`: the best wrong class against the right one.

    `pos = sum(y_true * y_pred)` and `neg = max((1 - y_true) * y_pred)` over the last axis.

    Args:
        y_true: One-hot labels, shape `(batch, ..., classes)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


class Hinge(BuiltinLoss):
    """Hinge loss; see `hinge`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(BuiltinLoss):
    """Squared hinge loss; see `squared_hinge`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(BuiltinLoss):
    """Hinge loss over classes; see `categorical_hinge`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
