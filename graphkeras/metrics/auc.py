"""Area under a curve of two rates over all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.errors import ShapeError
from graphkeras.metrics.confusion_matrix import (
    KINDS,
    are_evenly_distributed,
    update_confusion_matrix,
)
from graphkeras.metrics.metric import Metric, at_once

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATION_METHODS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """Area under a curve, from the decisions at a number of thresholds.

    Args:
        num_thresholds: Number of thresholds, at least 2, spread evenly over `[0, 1]`.
        curve: `"ROC"` (true against false positive rate), `"PR"` (precision against recall) or
            `"PRGAIN"` (the gains of both).
        summation_method: Height of the curve between two points: `"interpolation"` (the middle
            for ROC; Davis and Goadrich 2006 for PR), `"majoring"` or `"minoring"`.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        thresholds: The user's own thresholds in place of the even ones.
        multi_label: Whether to compute one area a label and average those.
        num_labels: Number of labels if `multi_label`; that of the first batch by default.
        label_weights: Weights of the labels.
        from_logits: Whether predictions are logits.

    Raises:
        ValueError: If an argument has no meaning.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.curve = _choose("curve", curve, CURVES)
        self.summation_method = _choose("summation_method", summation_method, SUMMATION_METHODS)
        self._init_from_thresholds = thresholds is not None
        inner = _inner_thresholds(thresholds, num_thresholds)
        self.num_thresholds = len(inner) + 2
        self._evenly_distributed = are_evenly_distributed([0.0, *inner, 1.0])
        self._thresholds = [-epsilon(), *inner, 1.0 + epsilon()]
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        self.from_logits = from_logits
        self._built = False
        if num_labels and not multi_label:
            raise ValueError("`num_labels` is needed only when `multi_label` is True.")
        if not multi_label:
            self._build((self.num_thresholds,))
        elif num_labels:
            self._build((self.num_thresholds, num_labels))

    @property
    def thresholds(self) -> list[float]:
        """All thresholds; the first and last are just outside `[0, 1]`."""
        return list(self._thresholds)

    def _build(self, shape: tuple[int, ...]) -> None:
        self._counts = {kind: self.add_variable(shape, "zeros", name=kind) for kind in KINDS}
        for kind, variable in self._counts.items():
            setattr(self, kind, variable)
        self._built = True

    @at_once
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts the decisions of a batch at all thresholds.

        Args:
            y_true: Labels, true where not 0; shape `(batch, labels)` if `multi_label`.
            y_pred: Predictions of the same shape, between 0 and 1 or logits.
            sample_weight: Weights that broadcast to the labels.
        """
        y_pred = ops.convert_to_tensor(y_pred)
        if not self._built:
            if len(y_pred.shape) != 2:
                raise ShapeError(
                    "AUC with `multi_label=True` expects predictions of shape (batch, labels). "
                    f"Received: y_pred.shape={y_pred.shape}"
                )
            self._build((self.num_thresholds, y_pred.shape[1]))
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        update_confusion_matrix(
            self._counts,
            y_true,
            y_pred,
            self._thresholds,
            evenly_distributed=self._evenly_distributed,
            sample_weight=sample_weight,
            multi_label=self.multi_label,
            label_weights=None if self.multi_label else self.label_weights,
        )

    @at_once
    def result(self) -> Any:
        """The area so far, a scalar; the weighted mean over labels if `multi_label`."""
        if not self._built:
            return ops.zeros((), dtype=self.dtype)
        tp, fp, tn, fn = (ops.convert_to_tensor(self._counts[kind]) for kind in KINDS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_pr(tp, fp, fn)
        else:
            x, y = _points(self.curve, tp, fp, tn, fn)
            areas = (x[:-1] - x[1:]) * self._heights(y)
        if not self.multi_label:
            return ops.sum(areas)
        by_label = ops.sum(areas, axis=0)
        if self.label_weights is None:
            return ops.mean(by_label)
        weights = ops.convert_to_tensor(self.label_weights, dtype=self.dtype)
        return ops.divide_no_nan(ops.sum(by_label * weights), ops.sum(weights))

    def _heights(self, y: Any) -> Any:
        if self.summation_method == "interpolation":
            return (y[:-1] + y[1:]) / 2.0
        choose = ops.minimum if self.summation_method == "minoring" else ops.maximum
        return choose(y[:-1], y[1:])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        if self._init_from_thresholds:
            config["thresholds"] = self._thresholds[1:-1]
        return config


def _choose(argument: str, value: str, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if str(value).lower() == choice.lower():
            return choice
    raise ValueError(
        f"Invalid value for argument `{argument}`. Expected one of {', '.join(choices)}. "
        f"Received: {argument}={value!r}"
    )


def _inner_thresholds(thresholds: Sequence[float] | None, num_thresholds: int) -> list[float]:
    """The thresholds strictly inside the first and last one."""
    if thresholds is not None:
        return sorted(thresholds)
    if num_thresholds <= 1:
        raise ValueError(
            "Argument `num_thresholds` must be an integer > 1. "
            f"Received: num_thresholds={num_thresholds}"
        )
    return [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]


def _points(curve: str, tp: Any, fp: Any, tn: Any, fn: Any) -> tuple[Any, Any]:
    """Abscissas and ordinates of the curve, from the lowest threshold on."""
    recall = ops.divide_no_nan(tp, tp + fn)
    if curve == "ROC":
        return ops.divide_no_nan(fp, fp + tn), recall
    if curve == "PR":
        return recall, ops.divide_no_nan(tp, tp + fp)
    odds = ops.divide_no_nan(tp + fn, tn + fp)
    none_found = ops.equal(tp, 0.0)
    recall_gain = 1.0 - odds * ops.divide_no_nan(fn, tp)
    precision_gain = 1.0 - odds * ops.divide_no_nan(fp, tp)
    recall_gain = ops.maximum(ops.where(none_found, 0.0, recall_gain), 0.0)
    return recall_gain, ops.where(none_found, 1.0, precision_gain)


def _interpolated_pr(tp: Any, fp: Any, fn: Any) -> Any:
    """Areas between neighbouring points, precision interpolated as Davis and Goadrich do.

    Between two thresholds true positives are taken to grow linearly with all positives `p`;
    the integral of precision over that is a slope and a logarithm.
    """
    p = tp + fp
    gained = tp[:-1] - tp[1:]
    slope = ops.divide_no_nan(gained, ops.maximum(p[:-1] - p[1:], 0.0))
    intercept = tp[1:] - slope * p[1:]
    both = ops.logical_and(ops.greater(p[:-1], 0.0), ops.greater(p[1:], 0.0))
    ratio = ops.where(both, ops.divide_no_nan(p[:-1], ops.maximum(p[1:], 0.0)), 1.0)
    positives = ops.maximum(tp[1:] + fn[1:], 0.0)
    return ops.divide_no_nan(slope * (gained + intercept * ops.log(ratio)), positives)
