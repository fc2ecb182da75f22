"""From what a user passes to `compile` to a metric or loss, given the shapes it will meet."""

from __future__ import annotations

from typing import Any

from graphkeras import losses, metrics
from graphkeras.names import to_snake_case


def is_binary_or_sparse_categorical(y_true: Any, y_pred: Any) -> tuple[bool, bool]:
    """Whether there is one output unit, and whether labels are class numbers.

    Args:
        y_true: Labels, or anything with a shape.
        y_pred: Predictions, or anything with a shape.
    """
    true_shape, pred_shape = tuple(y_true.shape), tuple(y_pred.shape)
    units = pred_shape[-1] if pred_shape else None
    is_binary = units == 1
    one_label = bool(true_shape) and true_shape[-1] == 1
    is_sparse = len(true_shape) < len(pred_shape) or (one_label and not is_binary)
    return is_binary, is_sparse


def get_metric(identifier: Any, y_true: Any, y_pred: Any) -> metrics.Metric:
    """The metric a user means.

    `"accuracy"` and `"acc"` become `BinaryAccuracy` for one output unit,
    `SparseCategoricalAccuracy` for class numbers as labels, and `CategoricalAccuracy` otherwise.

    Args:
        identifier: A name, a config, a function, a `Loss` or a `Metric`.
        y_true: Labels, for their shape.
        y_pred: Predictions, for their shape.

    Returns:
        A metric named as the user named it.

    Raises:
        ValueError: If no metric has that name.
    """
    if identifier is None:
        raise ValueError("Expected a metric, received `None`.")
    metric: Any
    if str(identifier).lower() in ("accuracy", "acc"):
        is_binary, is_sparse = is_binary_or_sparse_categorical(y_true, y_pred)
        if is_binary:
            metric = metrics.BinaryAccuracy(name=str(identifier))
        elif is_sparse:
            metric = metrics.SparseCategoricalAccuracy(name=str(identifier))
        else:
            metric = metrics.CategoricalAccuracy(name=str(identifier))
    else:
        metric = metrics.get(identifier)
    name = identifier if isinstance(identifier, str) else _name_of(metric)
    resolved = metric if isinstance(metric, metrics.Metric) else metrics.MeanMetricWrapper(metric)
    resolved.name = name
    return resolved


def get_loss(identifier: Any, y_true: Any, y_pred: Any) -> losses.Loss | None:
    """The loss a user means.

    `"crossentropy"` and `"ce"` become the binary crossentropy for one output unit, the sparse
    categorical one for class numbers as labels, and the categorical one otherwise.

    Args:
        identifier: A name, a config, a function, a `Loss`, or None.
        y_true: Labels, for their shape.
        y_pred: Predictions, for their shape.

    Returns:
        A loss, or None for None.

    Raises:
        ValueError: If no loss has that name.
    """
    if identifier is None:
        return None
    if str(identifier).lower() in ("crossentropy", "ce"):
        is_binary, is_sparse = is_binary_or_sparse_categorical(y_true, y_pred)
        if is_binary:
            loss: Any = losses.binary_crossentropy
        elif is_sparse:
            loss = losses.sparse_categorical_crossentropy
        else:
            loss = losses.categorical_crossentropy
    else:
        loss = losses.get(identifier)
    if isinstance(loss, losses.Loss):
        return loss
    name = identifier if isinstance(identifier, str) else _name_of(loss)
    return losses.LossFunctionWrapper(loss, name=name)


def _name_of(obj: Any) -> str:
    if hasattr(obj, "name"):
        return str(obj.name)
    return to_snake_case(getattr(obj, "__name__", type(obj).__name__))
