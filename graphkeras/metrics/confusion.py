"""Counts of right and wrong decisions, precision, recall, and trade-offs between rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import ops
from graphkeras.metrics.confusion_matrix import (
    KINDS,
    NEG_INF,
    are_evenly_distributed,
    parse_thresholds,
    update_confusion_matrix,
)
from graphkeras.metrics.metric import Metric, at_once

Thresholds = float | Sequence[float] | None


class _ThresholdMetric(Metric):
    """Base of metrics that count some kinds of decisions at thresholds."""

    kinds: tuple[str, ...] = ()

    def _count_at(self, thresholds: list[float], class_id: int | None, top_k: int | None) -> None:
        self.thresholds = thresholds
        self.class_id = class_id
        self.top_k = top_k
        self._evenly_distributed = are_evenly_distributed(thresholds)
        self._counts = {
            kind: self.add_variable((len(thresholds),), "zeros", name=kind) for kind in self.kinds
        }
        for kind, variable in self._counts.items():
            setattr(self, kind, variable)

    @at_once
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts the decisions of a batch.

        Args:
            y_true: Labels, true where not 0.
            y_pred: Predictions between 0 and 1, of the same shape.
            sample_weight: Weights that broadcast to the labels.
        """
        update_confusion_matrix(
            self._counts,
            y_true,
            y_pred,
            self.thresholds,
            evenly_distributed=self._evenly_distributed,
            top_k=self.top_k,
            class_id=self.class_id,
            sample_weight=sample_weight,
        )

    def _rate(self, part: str, rest: str) -> Any:
        """`part / (part + rest)`, 0 where both are 0."""
        return ops.divide_no_nan(
            self._counts[part], ops.add(self._counts[part], self._counts[rest])
        )

    def _one_or_all(self, values: Any) -> Any:
        return values[0] if len(self.thresholds) == 1 else ops.convert_to_tensor(values)


class _Count(_ThresholdMetric):
    """Base of the metrics that report one count.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self, thresholds: Thresholds = None, name: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self._count_at(parse_thresholds(thresholds, 0.5), None, None)

    @at_once
    def result(self) -> Any:
        """The count so far: a scalar, or one for each of several thresholds."""
        (count,) = self._counts.values()
        return self._one_or_all(count)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """Weight of the samples rightly predicted positive.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("true_positives",)


class FalsePositives(_Count):
    """Weight of the samples wrongly predicted positive.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("false_positives",)


class TrueNegatives(_Count):
    """Weight of the samples rightly predicted negative.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("true_negatives",)


class FalseNegatives(_Count):
    """Weight of the samples wrongly predicted negative.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("false_negatives",)


class _Share(_ThresholdMetric):
    """Base of precision and recall: true positives over those and one kind of error."""

    _direction = "up"

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        default = 0.5 if top_k is None else NEG_INF
        self._count_at(parse_thresholds(thresholds, default), class_id, top_k)

    @at_once
    def result(self) -> Any:
        """The share so far: a scalar, or one for each of several thresholds."""
        return self._one_or_all(self._rate(*self.kinds))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


class Precision(_Share):
    """How many of the samples predicted positive are; 0 where there are none.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default, none with `top_k`.
        top_k: Take the `k` highest predictions of a sample as positive.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("true_positives", "false_positives")


class Recall(_Share):
    """How many of the positive samples are predicted so; 0 where there are none.

    Args:
        thresholds: One threshold in `[0, 1]` or several; 0.5 by default, none with `top_k`.
        top_k: Take the `k` highest predictions of a sample as positive.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    kinds = ("true_positives", "false_negatives")


class _BestUnderConstraint(_ThresholdMetric):
    """Base of metrics: the best of one rate over the thresholds where another is high enough."""

    _direction = "up"

    kinds = KINDS
    constrained: tuple[str, str]
    """The counts of the rate that must reach a value."""
    maximized: tuple[str, str]
    """The counts of the rate that is reported."""
    argument: str
    """Name of the argument that holds the value to reach."""

    def _configure(self, value: float, num_thresholds: int, class_id: int | None) -> None:
        if value < 0 or value > 1:
            raise ValueError(
                f"Argument `{self.argument}` must be in the range [0, 1]. "
                f"Received: {self.argument}={value}"
            )
        if num_thresholds <= 0:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 0. "
                f"Received: num_thresholds={num_thresholds}"
            )
        self.value = value
        self.num_thresholds = num_thresholds
        steps = num_thresholds - 1
        thresholds = [0.5] if steps == 0 else [i / steps for i in range(num_thresholds)]
        self._count_at(thresholds, class_id, None)

    @at_once
    def result(self) -> Any:
        """The best rate, a scalar; 0 where no threshold satisfies the constraint."""
        feasible = ops.greater_equal(self._rate(*self.constrained), self.value)
        return ops.max(ops.where(feasible, self._rate(*self.maximized), 0.0))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self.argument: self.value,
        }


_SENSITIVITY = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


class SensitivityAtSpecificity(_BestUnderConstraint):
    """The best sensitivity among thresholds whose specificity is at least a value.

    Args:
        specificity: The specificity to reach, in `[0, 1]`.
        num_thresholds: Number of thresholds, spread evenly over `[0, 1]`.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `specificity` is outside `[0, 1]` or `num_thresholds` is not positive.
    """

    constrained = _SPECIFICITY
    maximized = _SENSITIVITY
    argument = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._configure(specificity, num_thresholds, class_id)


class SpecificityAtSensitivity(_BestUnderConstraint):
    """The best specificity among thresholds whose sensitivity is at least a value.

    Args:
        sensitivity: The sensitivity to reach, in `[0, 1]`.
        num_thresholds: Number of thresholds, spread evenly over `[0, 1]`.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `sensitivity` is outside `[0, 1]` or `num_thresholds` is not positive.
    """

    constrained = _SENSITIVITY
    maximized = _SPECIFICITY
    argument = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._configure(sensitivity, num_thresholds, class_id)


class PrecisionAtRecall(_BestUnderConstraint):
    """The best precision among thresholds whose recall is at least a value.

    Args:
        recall: The recall to reach, in `[0, 1]`.
        num_thresholds: Number of thresholds, spread evenly over `[0, 1]`.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `recall` is outside `[0, 1]` or `num_thresholds` is not positive.
    """

    constrained = _SENSITIVITY
    maximized = _PRECISION
    argument = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._configure(recall, num_thresholds, class_id)


class RecallAtPrecision(_BestUnderConstraint):
    """The best recall among thresholds whose precision is at least a value.

    Args:
        precision: The precision to reach, in `[0, 1]`.
        num_thresholds: Number of thresholds, spread evenly over `[0, 1]`.
        class_id: Look at this class alone.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `precision` is outside `[0, 1]` or `num_thresholds` is not positive.
    """

    constrained = _PRECISION
    maximized = _SENSITIVITY
    argument = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._configure(precision, num_thresholds, class_id)
