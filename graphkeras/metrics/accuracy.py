"""How often predictions are right."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.config import floatx
from graphkeras.losses.reduction import squeeze_or_expand_to_same_rank
from graphkeras.metrics.reduction import BuiltinMetric
from graphkeras.trace import op


@op
def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where labels and predictions are equal, else 0.

    Args:
        y_true: Labels.
        y_pred: Predictions of the same shape, up to a last axis of length 1.

    Returns:
        Ones and zeros of that shape.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    return ops.cast(ops.equal(y_true, y_pred), floatx())


@op
def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where the prediction is on the label's side of a threshold, else 0.

    Args:
        y_true: Labels 0 and 1.
        y_pred: Predictions of the same shape, up to a last axis of length 1.
        threshold: Predictions above it mean 1.

    Returns:
        Ones and zeros of that shape.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    y_pred = ops.cast(ops.greater(y_pred, threshold), y_true.dtype)
    return ops.cast(ops.equal(y_true, y_pred), floatx())


@op
def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the likeliest class is that of the one-hot label, else 0.

    Args:
        y_true: One-hot labels, shape `(batch, ..., classes)`.
        y_pred: Probabilities or logits of the same shape.

    Returns:
        Ones and zeros of shape `(batch, ...)`.
    """
    right = ops.argmax(ops.convert_to_tensor(y_true), axis=-1)
    chosen = ops.argmax(ops.convert_to_tensor(y_pred), axis=-1)
    return ops.cast(ops.equal(right, chosen), floatx())


@op
def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the likeliest class is the label, else 0.

    Args:
        y_true: Class numbers, shape `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: Probabilities or logits, shape `(batch, ..., classes)`.

    Returns:
        Ones and zeros of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, axis=-1)
    chosen = ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype)
    matches = ops.cast(ops.equal(y_true, chosen), floatx())
    if len(matches.shape) > 1 and matches.shape[-1] == 1:
        matches = ops.squeeze(matches, axis=-1)
    return matches


@op
def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the class of the one-hot label is among the `k` likeliest, else 0.

    Args:
        y_true: One-hot labels, shape `(batch, ..., classes)`.
        y_pred: Probabilities or logits of the same shape.
        k: How many classes are considered.

    Returns:
        Ones and zeros of shape `(batch, ...)`.
    """
    right = ops.argmax(ops.convert_to_tensor(y_true), axis=-1)
    return _in_top_k(right, ops.convert_to_tensor(y_pred), k)


@op
def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """1 where the label is among the `k` likeliest classes, else 0.

    Args:
        y_true: Class numbers, shape `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: Probabilities or logits, shape `(batch, ..., classes)`; class numbers from the
            likeliest on if `from_sorted_ids`.
        k: How many classes are considered.
        from_sorted_ids: Whether `y_pred` holds sorted class numbers.

    Returns:
        Ones and zeros of the shape of `y_true`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype if from_sorted_ids else "int32")
    column = len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1
    classes = ops.squeeze(y_true, axis=-1) if column else y_true
    if from_sorted_ids:
        found = ops.any(ops.equal(ops.expand_dims(classes, -1), y_pred[..., :k]), axis=-1)
        matches = ops.cast(found, floatx())
    else:
        matches = _in_top_k(classes, y_pred, k)
    return ops.expand_dims(matches, -1) if column else matches


def _in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether fewer than `k` classes are likelier than the target; NaN counts as unlikely."""
    targets = ops.expand_dims(ops.cast(targets, "int32"), -1)
    at_target = ops.take_along_axis(predictions, targets, axis=-1)
    at_target = ops.where(ops.isnan(at_target), float("-inf"), at_target)
    likelier = ops.sum(ops.cast(ops.greater(predictions, at_target), "int32"), axis=-1)
    return ops.cast(ops.less(likelier, k), floatx())


class Accuracy(BuiltinMetric):
    """How often predictions equal labels; see `accuracy`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(BuiltinMetric):
    """How often predictions are on the right side of a threshold.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        threshold: Predictions above it mean 1.
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "binary_accuracy",
        dtype: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(BuiltinMetric):
    """How often the likeliest class is that of the one-hot label.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "categorical_accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(BuiltinMetric):
    """How often the likeliest class is the label, a class number.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "sparse_categorical_accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(BuiltinMetric):
    """How often the class of the one-hot label is among the likeliest.

    Args:
        k: How many classes are considered.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "top_k_categorical_accuracy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(BuiltinMetric):
    """How often the label, a class number, is among the likeliest classes.

    Args:
        k: How many classes are considered.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        from_sorted_ids: Whether predictions are sorted class numbers.
    """

    _direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )
        self.k = k
        self.from_sorted_ids = from_sorted_ids
