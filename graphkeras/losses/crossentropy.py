"""Crossentropies between labels and predicted probabilities or logits.

Probabilities are normalized over the classes and clipped to `[epsilon, 1 - epsilon]`, with
`config.epsilon()`, before the logarithm. Logits go through a log-softmax or log-sigmoid, which
neither overflows nor clips; prefer them where the last layer can do without its activation.
"""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.errors import ShapeError
from graphkeras.losses.loss import BuiltinLoss
from graphkeras.places import warn
from graphkeras.trace import op


@op
def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Crossentropy of independent yes-or-no labels, averaged over an axis.

    Args:
        y_true: Labels between 0 and 1, shape `(batch, ..., d)`.
        y_pred: Probabilities or logits of the same shape.
        from_logits: Whether predictions are logits.
        label_smoothing: Moves the labels towards 0.5 by this fraction.
        axis: Axis over which the mean is taken.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _smooth(ops.cast(y_true, y_pred.dtype), label_smoothing, 2)
    _check_same_shape("binary_crossentropy", y_true, y_pred)
    losses = ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    return ops.mean(losses, axis=axis)


@op
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary crossentropy that plays down what is already predicted well.

    `(1 - p)**gamma` times the crossentropy, where `p` is the probability given to the right
    answer (Lin et al. 2018, "Focal loss for dense object detection").

    Args:
        y_true: Labels between 0 and 1, shape `(batch, ..., d)`.
        y_pred: Probabilities or logits of the same shape.
        apply_class_balancing: Whether to weigh ones by `alpha` and zeros by `1 - alpha`.
        alpha: Weight of the label 1.
        gamma: Focusing exponent.
        from_logits: Whether predictions are logits.
        label_smoothing: Moves the labels towards 0.5 by this fraction.
        axis: Axis over which the mean is taken.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _smooth(ops.cast(y_true, y_pred.dtype), label_smoothing, 2)
    _check_same_shape("binary_focal_crossentropy", y_true, y_pred)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    losses = ops.binary_crossentropy(y_true, y_pred, from_logits=False)
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    losses = ops.power(1.0 - right, gamma) * losses
    if apply_class_balancing:
        losses = (y_true * alpha + (1 - y_true) * (1 - alpha)) * losses
    return ops.mean(losses, axis=axis)


@op
def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Crossentropy between one-hot labels and predicted classes.

    Args:
        y_true: Probabilities of the classes, usually one-hot, shape `(batch, ..., classes)`.
        y_pred: Probabilities or logits of the same shape.
        from_logits: Whether predictions are logits.
        label_smoothing: Moves the labels towards the uniform distribution by this fraction.
        axis: Axis of the classes.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = _categorical_pair(
        "categorical_crossentropy", y_true, y_pred, label_smoothing, axis
    )
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@op
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Categorical crossentropy that plays down what is already predicted well.

    `alpha * (1 - p)**gamma` times the crossentropy of each class (Lin et al. 2018).

    Args:
        y_true: Probabilities of the classes, usually one-hot, shape `(batch, ..., classes)`.
        y_pred: Probabilities or logits of the same shape.
        alpha: Weight, the same for all classes or one for each.
        gamma: Focusing exponent.
        from_logits: Whether predictions are logits.
        label_smoothing: Moves the labels towards the uniform distribution by this fraction.
        axis: Axis of the classes.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_true, y_pred = _categorical_pair(
        "categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis
    )
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    y_pred = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    weight = ops.multiply(ops.power(1.0 - y_pred, gamma), alpha)
    return ops.sum(weight * (-y_true * ops.log(y_pred)), axis=axis)


@op
def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """Crossentropy between class numbers and predicted classes.

    Args:
        y_true: Class numbers, shape `(batch, ...)` or `(batch, ..., 1)`.
        y_pred: Probabilities or logits, shape `(batch, ..., classes)`.
        from_logits: Whether predictions are logits.
        ignore_class: Samples of this class number, for example -1 for "void", have loss 0 and
            are masked: a `Loss` leaves them out of its mean.
        axis: Axis of the classes.

    Returns:
        Losses of shape `(batch, ...)`.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _class_numbers(y_true, y_pred, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=from_logits, axis=axis
        )
    kept = ops.not_equal(y_true, ignore_class)
    y_true = ops.where(kept, y_true, 0)
    y_pred = ops.where(ops.expand_dims(kept, axis), y_pred, 0.0)
    losses = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    losses = ops.where(kept, losses, 0.0)
    losses._keras_mask = kept
    return losses


def _class_numbers(y_true: Any, y_pred: Any, axis: int) -> Any:
    y_true = ops.convert_to_tensor(y_true)
    rank = len(y_pred.shape)
    if len(y_true.shape) == rank and y_true.shape[axis] == 1:
        return ops.squeeze(y_true, axis=axis)
    if len(y_true.shape) != rank - 1:
        hint = (
            " For one-hot labels use categorical_crossentropy." if len(y_true.shape) == rank else ""
        )
        raise ShapeError(
            "sparse_categorical_crossentropy expects class numbers whose shape is that of the "
            f"predictions without the axis of classes. Received: y_true.shape={y_true.shape}, "
            f"y_pred.shape={y_pred.shape}.{hint}"
        )
    return y_true


def _categorical_pair(
    function: str, y_true: Any, y_pred: Any, label_smoothing: float, axis: int
) -> tuple[Any, Any]:
    """Checks and converts the arguments of the losses on one-hot labels."""
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be an int. Received: axis={axis} of type {type(axis)}")
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    if y_pred.shape and y_pred.shape[-1] == 1:
        warn(
            f"{function} expects y_pred.shape to be (batch, classes) with more than one class. "
            f"Received: y_pred.shape={y_pred.shape}. For two classes in one output use "
            "'binary_crossentropy'.",
            SyntaxWarning,
        )
    _check_same_shape(function, y_true, y_pred)
    return _smooth(y_true, label_smoothing, y_true.shape[-1]), y_pred


def _smooth(y_true: Any, label_smoothing: float, classes: int) -> Any:
    if not label_smoothing:
        return y_true
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes


def _check_same_shape(function: str, y_true: Any, y_pred: Any) -> None:
    fits = len(y_true.shape) == len(y_pred.shape) and all(
        a == b or a is None or b is None for a, b in zip(y_true.shape, y_pred.shape, strict=True)
    )
    if not fits:
        hint = ""
        if function.startswith("categorical"):
            hint = (
                " If the labels are class numbers, use sparse_categorical_crossentropy or turn "
                "them into one-hot labels with utils.to_categorical."
            )
        raise ShapeError(
            f"{function} expects labels and predictions of the same shape. Received: "
            f"y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}.{hint}"
        )


class BinaryCrossentropy(BuiltinLoss):
    """Crossentropy of yes-or-no labels; see `binary_crossentropy`.

    Args:
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards 0.5 by this fraction, 0 to 1.
        axis: Axis over which the mean is taken.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class BinaryFocalCrossentropy(BuiltinLoss):
    """Binary crossentropy that plays down easy samples; see `binary_focal_crossentropy`.

    Args:
        apply_class_balancing: Whether to weigh ones by `alpha` and zeros by `1 - alpha`.
        alpha: Weight of the label 1.
        gamma: Focusing exponent.
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards 0.5 by this fraction, 0 to 1.
        axis: Axis over which the mean is taken.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalCrossentropy(BuiltinLoss):
    """Crossentropy with one-hot labels; see `categorical_crossentropy`.

    Args:
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards the uniform distribution by this fraction,
            0 to 1.
        axis: Axis of the classes.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalFocalCrossentropy(BuiltinLoss):
    """Categorical crossentropy that plays down easy samples; see the function.

    Args:
        alpha: Weight of all classes.
        gamma: Focusing exponent.
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards the uniform distribution by this fraction,
            0 to 1.
        axis: Axis of the classes.
        reduction: How samples are reduced to one number; see `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.alpha = alpha
        self.gamma = gamma
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseCategoricalCrossentropy(BuiltinLoss):
    """Crossentropy with class numbers as labels; see `sparse_categorical_crossentropy`.

    Args:
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_class: Samples of this class number are left out of the loss and of its mean.
        reduction: How samples are reduced to one number; see `Loss`.
        axis: Axis of the classes.
        name: Name of the loss.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
