"""Crossentropies of `keras.ops`, one value a sample."""

from __future__ import annotations

from graphkeras.config import epsilon
from graphkeras.ops._common import (
    TensorLike,
    align,
    expand_to,
    one_axis,
    reshape_to,
    scalar_like,
    to_float,
)
from graphkeras.ops.elementwise import clip
from graphkeras.ops.nn import log_softmax, softplus
from graphkeras.ops.reduction import reduce
from graphkeras.ops.shaping import moveaxis
from graphkeras.trace import Tensor, as_tensor, cast_to, emit, op


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return log_softmax(output, axis=axis)
    total = reduce("reduce_sum", output, axis, True)
    share = emit("div", output, expand_to(total, output.dims))
    return emit("log", clip(share, epsilon(), 1.0 - epsilon()))


@op
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """`-sum(target * log(output))` along the class axis.

    Args:
        target: class probabilities (one-hot vectors), of the shape of `output`.
        output: probabilities, or logits.
        from_logits: whether `output` are logits. Probabilities are scaled to the sum 1 and kept
            away from 0 and 1 by `keras.config.epsilon()`.
        axis: the class axis.

    Raises:
        ValueError: where the shapes differ.
    """
    scores = to_float(output)
    truth = as_tensor(target, scores.dtype)
    if truth.shape != scores.shape:
        raise ValueError(
            f"categorical_crossentropy: target and output must have the same shape, received "
            f"target.shape={truth.shape}, output.shape={scores.shape}. For class numbers instead "
            "of one-hot vectors use sparse_categorical_crossentropy."
        )
    truth, scores = align(truth, scores)
    logs = _log_probabilities(scores, from_logits, axis)
    return emit("neg", reduce("reduce_sum", emit("mul", truth, logs), axis, False))


@op
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """`-log(output[target])`.

    Args:
        target: class numbers, of the shape of `output` without the class axis (which may also be
            there with size 1).
        output: probabilities, or logits.
        from_logits: whether `output` are logits.
        axis: the class axis.

    Raises:
        ValueError: where the shapes do not fit.
    """
    scores = to_float(output)
    rank = len(scores.dims)
    axis = one_axis(axis, rank)
    classes = as_tensor(target)
    if not classes.dtype.startswith(("int", "uint")):
        classes = cast_to(classes, "int32")
    if len(classes.dims) == rank and classes.dims[-1] == 1:
        classes = reshape_to(classes, classes.dims[:-1])
    if len(classes.dims) != rank - 1:
        raise ValueError(
            "sparse_categorical_crossentropy: the target must be class numbers with one "
            f"dimension less than the output, received target.shape={classes.shape}, "
            f"output.shape={scores.shape}. For one-hot vectors use categorical_crossentropy."
        )
    logs = moveaxis(_log_probabilities(scores, from_logits, axis), axis, -1)
    if classes.shape != logs.shape[:-1]:
        raise ValueError(
            f"sparse_categorical_crossentropy: target.shape={classes.shape} does not fit "
            f"output.shape={scores.shape}"
        )
    index = reshape_to(classes, (*classes.dims, 1))
    picked = emit("take_along", logs, index, axis=rank - 1)
    return emit("neg", reshape_to(picked, classes.dims))


@op
def binary_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False
) -> Tensor:
    """`-(target * log(output) + (1 - target) * log(1 - output))`, element by element.

    Args:
        target: probabilities, of the shape of `output`.
        output: probabilities, or logits.
        from_logits: whether `output` are logits. Probabilities are kept away from 0 and 1 by
            `keras.config.epsilon()`.

    Raises:
        ValueError: where the shapes differ.
    """
    scores = to_float(output)
    truth = as_tensor(target, scores.dtype)
    if truth.shape != scores.shape:
        raise ValueError(
            "binary_crossentropy: target and output must have the same shape, received "
            f"target.shape={truth.shape}, output.shape={scores.shape}"
        )
    truth, scores = align(truth, scores)
    one = scalar_like(scores, 1)
    if from_logits:
        product = emit("mul", scores, truth)
        return emit("sub", softplus(scores), product)
    share = clip(scores, epsilon(), 1.0 - epsilon())
    yes = emit("mul", truth, emit("log", share))
    no = emit("mul", emit("sub", one, truth), emit("log", emit("sub", one, share)))
    return emit("neg", emit("add", yes, no))
