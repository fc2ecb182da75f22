"""Losses between numbers: squared, absolute, percentage, logarithmic, robust, cosine."""

from __future__ import annotations

import math
from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.losses.loss import BuiltinLoss
from graphkeras.losses.reduction import squeeze_or_expand_to_same_rank
from graphkeras.trace import op


def as_pair(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Labels and predictions as tensors of one dtype, that of the predictions, and one rank."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    return squeeze_or_expand_to_same_rank(y_true, y_pred)


@op
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """`mean((y_true - y_pred)**2)` over the last axis.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@op
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """`mean(abs(y_true - y_pred))` over the last axis.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@op
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """`100 * mean(abs((y_true - y_pred) / y_true))` over the last axis.

    Labels smaller than `config.epsilon()` in size are divided by that instead.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    scale = ops.maximum(ops.abs(y_true), epsilon())
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / scale), axis=-1)


@op
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """`mean((log(y_true + 1) - log(y_pred + 1))**2)` over the last axis.

    Values below `config.epsilon()`, negative ones too, are raised to it first.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    log_true = ops.log(ops.maximum(y_true, epsilon()) + 1.0)
    log_pred = ops.log(ops.maximum(y_pred, epsilon()) + 1.0)
    return ops.mean(ops.square(log_pred - log_true), axis=-1)


@op
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Huber's loss: a parabola for errors up to `delta`, a straight line beyond.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.
        delta: Where the line begins.

    Returns:
        Losses of shape `(batch, ...)`, the mean over the last axis.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    parabola = 0.5 * ops.square(error)
    line = delta * size - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, parabola, line), axis=-1)


@op
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """`mean(log(cosh(y_pred - y_true)))` over the last axis, without overflow.

    Args:
        y_true: Labels, shape `(batch, ..., d)`.
        y_pred: Predictions of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


@op
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine of the angle between labels and predictions.

    -1 for equal directions, 0 for orthogonal ones, 1 for opposite ones; 0 where either is zero.

    Args:
        y_true: Labels.
        y_pred: Predictions of the same shape.
        axis: Axis that holds the vectors.

    Returns:
        Losses without that axis.
    """
    y_true, y_pred = as_pair(y_true, y_pred)
    y_true = ops.normalize(y_true, axis=axis)
    y_pred = ops.normalize(y_pred, axis=axis)
    return -ops.sum(y_true * y_pred, axis=axis)


class MeanSquaredError(BuiltinLoss):
    """Mean of the squared errors; see `mean_squared_error`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(BuiltinLoss):
    """Mean of the absolute errors; see `mean_absolute_error`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(BuiltinLoss):
    """Mean error in percent of the label; see `mean_absolute_percentage_error`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(BuiltinLoss):
    """Mean squared difference of logarithms; see `mean_squared_logarithmic_error`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(BuiltinLoss):
    """Minus the cosine between labels and predictions; see `cosine_similarity`.

    Args:
        axis: Axis that holds the vectors.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
        self.axis = axis


class Huber(BuiltinLoss):
    """Huber's loss: quadratic for small errors, linear for large ones; see `huber`.

    Args:
        delta: Where the straight line begins.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)
        self.delta = delta


class LogCosh(BuiltinLoss):
    """Logarithm of the hyperbolic cosine of the error; see `log_cosh`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: str | None = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
