"""Errors and agreement between numbers."""

from __future__ import annotations

from typing import Any

from graphkeras import losses, ops
from graphkeras.errors import ShapeError
from graphkeras.losses import (
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from graphkeras.losses.reduction import squeeze_or_expand_to_same_rank
from graphkeras.metrics.metric import Metric, at_once
from graphkeras.metrics.reduction import BuiltinMetric, Mean
from graphkeras.trace import op


@op
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between labels and predictions; minus the loss of that name.

    Args:
        y_true: Labels.
        y_pred: Predictions of the same shape.
        axis: Axis that holds the vectors.

    Returns:
        Cosines, without that axis.
    """
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis=axis))


class MeanSquaredError(BuiltinMetric):
    """Mean of the squared errors.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "mean_squared_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_squared_error, name, dtype)


class MeanAbsoluteError(BuiltinMetric):
    """Mean of the absolute errors.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "mean_absolute_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(BuiltinMetric):
    """Mean error in percent of the label.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(BuiltinMetric):
    """Mean squared difference of `log(1 + y)`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, name, dtype)


class LogCoshError(BuiltinMetric):
    """Mean logarithm of the hyperbolic cosine of the error.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "logcosh",
        dtype: str | None = None,
    ) -> None:
        super().__init__(log_cosh, name, dtype)


class CosineSimilarity(BuiltinMetric):
    """Mean cosine of the angle between labels and predictions.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        axis: Axis that holds the vectors.
    """

    _direction = "up"

    def __init__(
        self,
        name: str | None = "cosine_similarity",
        dtype: str | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)
        self.axis = axis


class RootMeanSquaredError(Mean):
    """Square root of the mean of the squared errors, over all batches.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    _direction = "down"

    def __init__(
        self, name: str | None = "root_mean_squared_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, dtype)

    @at_once
    def update_state(  # type: ignore[override]  # Keras's signatures
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Takes a batch into the mean.

        Args:
            y_true: Labels.
            y_pred: Predictions of the same shape.
            sample_weight: Weights with the shape of the predictions or of its first axes.
        """
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        super().update_state(ops.square(y_pred - y_true), sample_weight=sample_weight)

    @at_once
    def result(self) -> Any:
        """The root of the mean so far, a scalar."""
        return ops.sqrt(super().result())


class R2Score(Metric):
    """Coefficient of determination: the share of the labels' variance that is explained.

    Args:
        class_aggregation: How the scores of the outputs become one: `"uniform_average"`,
            `"variance_weighted_average"`, or None for one score an output.
        num_regressors: Number of independent variables; 0 for the plain score, else the score
            adjusted for that number (left plain where there are too few samples).
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `class_aggregation` is none of these, or `num_regressors` is negative.
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        choices = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in choices:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {choices}. "
                f"Received: class_aggregation={class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._built = False

    def _build(self, y_true: Any, y_pred: Any) -> None:
        if len(y_true.shape) != 2 or len(y_pred.shape) != 2:
            raise ShapeError(
                "R2Score expects labels and predictions of shape (batch, outputs). Received: "
                f"y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        shape = (y_pred.shape[-1],)
        self.squared_sum = self.add_variable(shape, "zeros", name="squared_sum")
        self.sum = self.add_variable(shape, "zeros", name="sum")
        self.total_mse = self.add_variable(shape, "zeros", name="residual")
        self.count = self.add_variable(shape, "zeros", name="count")
        self._built = True

    @at_once
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch into account.

        Args:
            y_true: Labels of shape `(batch, outputs)`.
            y_pred: Predictions of the same shape.
            sample_weight: Weights of shape `(batch,)`, or that broadcast to the predictions.
        """
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if not self._built:
            self._build(y_true, y_pred)
        weight = ops.convert_to_tensor(
            1.0 if sample_weight is None else sample_weight, dtype=self.dtype
        )
        if len(weight.shape) == 1:
            weight = ops.expand_dims(weight, axis=1)
        weight = ops.broadcast_to(weight, ops.shape(y_true))
        weighted = y_true * weight
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(y_true * weighted, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weight, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(ops.cast(ops.size(y_true), self.num_samples.dtype))

    @at_once
    def result(self) -> Any:
        """The score so far: a scalar, or one an output without aggregation."""
        total = self.squared_sum - self.sum * (self.sum / self.count)
        scores = 1.0 - self.total_mse / total
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.sum(total * scores) / ops.sum(total)
        if not self.num_regressors:
            return scores
        spare = self.num_samples - 1.0 - self.num_regressors
        enough = ops.greater(spare, 0.0)
        divisor = ops.where(enough, spare, 1.0)
        adjusted = 1.0 - (1.0 - scores) * (self.num_samples - 1.0) / divisor
        return ops.where(enough, adjusted, scores)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
