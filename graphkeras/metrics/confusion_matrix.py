"""Counts of true and false positives and negatives at several thresholds.

All counts come from one comparison of every prediction with every threshold::

    positive[t, i] = y_pred[i] > thresholds[t]          [thresholds, samples (, labels)]
    tp[t] = sum over i of weight[i] * y_true[i]       where positive[t, i]
    fp[t] = sum over i of weight[i] * (1 - y_true[i]) where positive[t, i]

Thresholds spread evenly over [0, 1] are compared by bucket number, as Keras does, so that both
round the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.errors import ShapeError
from graphkeras.losses.reduction import squeeze_or_expand_to_same_rank
from graphkeras.variables import Variable

NEG_INF = -1e10
"""Prediction given to classes outside the top k."""

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def parse_thresholds(thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ValueError: If one of those given is outside `[0, 1]`.
    """
    if thresholds is None:
        return [default]
    listed = list(thresholds) if isinstance(thresholds, list | tuple | np.ndarray) else [thresholds]
    invalid = [t for t in listed if t is None or t < 0 or t > 1]
    if invalid:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {invalid}")
    return listed


def are_evenly_distributed(thresholds: Sequence[float]) -> bool:
    """Whether there are at least three thresholds, evenly spread from 0 to 1."""
    count = len(thresholds)
    if count < 3:
        return False
    even = np.arange(count, dtype=np.float32) / (count - 1)
    return bool(np.allclose(thresholds, even, atol=epsilon()))


def update_confusion_matrix(
    variables: Mapping[str, Variable],
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    *,
    evenly_distributed: bool = False,
    top_k: int | None = None,
    class_id: int | None = None,
    sample_weight: Any = None,
    multi_label: bool = False,
    label_weights: Any = None,
) -> None:
    """Adds the counts of a batch to variables.

    Args:
        variables: The variables to update, by kind (`KINDS`); shape `(thresholds,)`, or
            `(thresholds, labels)` if `multi_label`.
        y_true: Labels, true where not 0.
        y_pred: Predictions of the same shape.
        thresholds: Predictions above them are positive.
        evenly_distributed: Result of `are_evenly_distributed`.
        top_k: Take all but the `k` highest predictions of a sample as negative.
        class_id: Look at this class alone.
        sample_weight: Weights that broadcast to the labels, or None.
        multi_label: Whether to count each label (last axis) apart.
        label_weights: Weights of the labels, or None.

    Raises:
        ShapeError: If labels and predictions differ in rank, or `class_id` has no axis.
    """
    dtype = next(iter(variables.values())).dtype
    y_true, y_pred = _as_pair(y_true, y_pred, dtype)
    weight = _align_weight(sample_weight, y_true, dtype)
    if top_k is not None:
        y_pred = _keep_top_k(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred = _select_class(y_true, class_id), _select_class(y_pred, class_id)
    if label_weights is not None:
        weight = weight * ops.expand_dims(ops.convert_to_tensor(label_weights, dtype=dtype), 0)
    weight = ops.broadcast_to(weight, ops.shape(y_pred))
    is_true = ops.not_equal(y_true, 0.0)
    if not multi_label:
        y_pred, weight, is_true = (ops.reshape(x, (-1,)) for x in (y_pred, weight, is_true))
    positive = _positive(y_pred, thresholds, evenly_distributed, dtype)
    true_weight = ops.where(is_true, weight, 0.0)
    false_weight = ops.where(is_true, 0.0, weight)
    _add(variables, "true_positives", "false_negatives", positive, true_weight)
    _add(variables, "false_positives", "true_negatives", positive, false_weight)


def _as_pair(y_true: Any, y_pred: Any, dtype: str) -> tuple[Any, Any]:
    """Labels and predictions in a dtype and of one rank."""
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), dtype)
    y_true = ops.cast(ops.convert_to_tensor(y_true), dtype)
    y_pred, y_true = squeeze_or_expand_to_same_rank(y_pred, y_true)
    if len(y_pred.shape) != len(y_true.shape):
        raise ShapeError(
            "Labels and predictions must have the same shape. Received: "
            f"y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )
    return y_true, y_pred


def _add(
    variables: Mapping[str, Variable], above: str, below: str, positive: Any, weight: Any
) -> None:
    """Adds the weights of positive predictions to `above`, of the others to `below`."""
    if above not in variables and below not in variables:
        return
    counts = ops.sum(ops.where(positive, ops.expand_dims(weight, 0), 0.0), axis=1)
    if above in variables:
        variables[above].assign_add(counts)
    if below in variables:
        total = ops.sum(weight, axis=0)
        variables[below].assign_add(total - counts)


def _positive(y_pred: Any, thresholds: Sequence[float], even: bool, dtype: str) -> Any:
    """Whether predictions are above thresholds, shape `(thresholds, *y_pred.shape)`."""
    column = (len(thresholds),) + (1,) * len(y_pred.shape)
    y_pred = ops.expand_dims(y_pred, 0)
    if not even:
        return ops.greater(y_pred, np.asarray(thresholds, dtype).reshape(column))
    bucket = ops.ceil(ops.clip(y_pred, 0.0, 1.0) * float(len(thresholds) - 1)) - 1.0
    if thresholds[0] < 0.0 or thresholds[-1] > 1.0:
        bucket = ops.maximum(bucket, 0.0)
    return ops.greater_equal(bucket, np.arange(len(thresholds), dtype=dtype).reshape(column))


def _align_weight(sample_weight: Any, y_true: Any, dtype: str) -> Any:
    if sample_weight is None:
        return ops.ones((1,) * len(y_true.shape), dtype=dtype)
    weight = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    weight = ops.expand_dims(weight, -1)
    return squeeze_or_expand_to_same_rank(y_true, weight, expand_rank_1=False)[1]


def _keep_top_k(y_pred: Any, k: int) -> Any:
    _, best = ops.top_k(y_pred, k)
    kept = ops.sum(ops.one_hot(best, y_pred.shape[-1], dtype=y_pred.dtype), axis=-2)
    return ops.where(ops.greater(kept, 0.0), y_pred, NEG_INF)


def _select_class(x: Any, class_id: int) -> Any:
    if len(x.shape) < 2:
        raise ShapeError(
            "With `class_id`, labels and predictions must have shape (samples, classes). "
            f"Received: shape={x.shape}"
        )
    return ops.expand_dims(x[..., class_id], -1)
