"""Bounds on gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import ops


def clip_by_value(gradient: Any, bound: float) -> Any:
    """The gradient with every element between `-bound` and `bound`."""
    return ops.clip(gradient, -bound, bound)


def clip_by_norm(gradient: Any, bound: float) -> Any:
    """The gradient, scaled down where its norm is larger than `bound`."""
    squares = ops.sum(ops.square(gradient))
    # The square root of 0 is avoided: its derivative is infinite.
    positive = ops.greater(squares, 0.0)
    norm = ops.where(positive, ops.sqrt(ops.where(positive, squares, 1.0)), squares)
    return gradient * bound / ops.maximum(norm, bound)


def clip_by_global_norm(gradients: Sequence[Any], bound: float) -> list[Any]:
    """All gradients, scaled down by one factor where their common norm is larger than `bound`.

    An infinite or NaN norm makes all of them NaN, so that it does not go unnoticed.
    """
    squares: Any = 0.0
    for gradient in gradients:
        squares = squares + ops.sum(ops.square(gradient))
    norm = ops.sqrt(squares)
    scale = bound * ops.minimum(1.0 / norm, 1.0 / bound) + (norm - norm)
    return [gradient * scale for gradient in gradients]
