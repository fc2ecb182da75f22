"""Harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.errors import ShapeError
from graphkeras.metrics.metric import Metric, at_once


class FBetaScore(Metric):
    """Weighted harmonic mean of precision and recall.

    Args:
        average: How the scores of the classes become one: None (one score a class), `"micro"`
            (count over all classes), `"macro"` (mean) or `"weighted"` (by frequency).
        beta: Weight of recall against precision, more than 0.
        threshold: Predictions above it are positive; the highest of each sample by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If an argument has no meaning.
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: None, 'micro', 'macro', "
                f"'weighted'. Received: average={average!r}"
            )
        if not isinstance(beta, float) or beta <= 0.0:
            raise ValueError(
                f"Invalid `beta` argument value. Expected a float > 0. Received: beta={beta!r}"
            )
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(
                "Invalid `threshold` argument value. Expected a float with 0 < threshold <= 1. "
                f"Received: threshold={threshold!r}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._built = False

    def _build(self, y_true: Any, y_pred: Any) -> None:
        if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
            raise ShapeError(
                f"{type(self).__name__} expects labels and predictions of shape (batch, classes). "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        shape = () if self.average == "micro" else (y_pred.shape[-1],)
        self.true_positives = self.add_variable(shape, "zeros", self.dtype, name="true_positives")
        self.false_positives = self.add_variable(shape, "zeros", self.dtype, name="false_positives")
        self.false_negatives = self.add_variable(shape, "zeros", self.dtype, name="false_negatives")
        self.intermediate_weights = self.add_variable(
            shape, "zeros", self.dtype, name="intermediate_weights"
        )
        self._built = True

    @at_once
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts the decisions of a batch.

        Args:
            y_true: One-hot or multi-hot labels, shape `(batch, classes)`.
            y_pred: Predictions of the same shape.
            sample_weight: Weights of shape `(batch,)`.
        """
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        if not self._built:
            self._build(y_true, y_pred)
        if self.threshold is None:
            highest = ops.greater_equal(y_pred, ops.max(y_pred, axis=-1, keepdims=True))
            positive = ops.logical_and(highest, ops.greater(ops.abs(y_pred), 1e-9))
        else:
            positive = ops.greater(y_pred, self.threshold)
        chosen = ops.cast(positive, self.dtype)
        weight: Any = 1.0
        if sample_weight is not None:
            weight = ops.expand_dims(ops.convert_to_tensor(sample_weight, dtype=self.dtype), 1)
        axis = None if self.average == "micro" else 0
        self.true_positives.assign_add(ops.sum(chosen * y_true * weight, axis=axis))
        self.false_positives.assign_add(ops.sum(chosen * (1 - y_true) * weight, axis=axis))
        self.false_negatives.assign_add(ops.sum((1 - chosen) * y_true * weight, axis=axis))
        self.intermediate_weights.assign_add(ops.sum(y_true * weight, axis=axis))

    @at_once
    def result(self) -> Any:
        """The score so far: a scalar, or one a class without averaging."""
        tiny = epsilon()
        precision = self.true_positives / (self.true_positives + self.false_positives + tiny)
        recall = self.true_positives / (self.true_positives + self.false_negatives + tiny)
        beta2 = self.beta**2
        scores = precision * recall / (beta2 * precision + recall + tiny) * (1 + beta2)
        if self.average == "weighted":
            total = ops.sum(self.intermediate_weights) + tiny
            return ops.sum(scores * (self.intermediate_weights / total))
        return scores if self.average is None else ops.mean(scores)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall.

    Args:
        average: How the scores of the classes become one; see `FBetaScore`.
        threshold: Predictions above it are positive; the highest of each sample by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        config = super().get_config()
        del config["beta"]
        return config
