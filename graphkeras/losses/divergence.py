"""Losses between distributions other than the crossentropies: divergence and counts."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.losses.loss import BuiltinLoss
from graphkeras.trace import op


@op
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Kullback and Leibler's divergence `sum(y_true * log(y_true / y_pred))`, last axis.

    Both are clipped to `[epsilon(), 1]` first.

    Args:
        y_true: Probabilities, shape `(batch, ..., classes)`.
        y_pred: Predicted probabilities of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    y_true = ops.clip(y_true, epsilon(), 1.0)
    y_pred = ops.clip(y_pred, epsilon(), 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@op
def poisson(y_true: Any, y_pred: Any) -> Any:
    """`mean(y_pred - y_true * log(y_pred + epsilon))` over the last axis.

    Minus the log-likelihood of counts whose expected values are predicted, up to a constant.

    Args:
        y_true: Counts, shape `(batch, ..., d)`.
        y_pred: Expected counts, not negative, of the same shape.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


class KLDivergence(BuiltinLoss):
    """Divergence of the prediction from the label; see `kl_divergence`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: str | None = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(BuiltinLoss):
    """Poisson loss of predicted counts; see `poisson`.

    Args:
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: str | None = None,
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)
