"""Exponential moving averages of the weights."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.frozen import frozen
from graphkeras.variables import Variable


@frozen
class WeightAverages:
    """Weights and their averages."""

    momentum: float
    weights: list[Variable]
    averages: list[Variable]

    def update(self, iterations: Any) -> None:
        """Takes the weights into the averages; at the first step the averages are the weights."""
        is_later = ops.not_equal(iterations, 0)
        for weight, average in zip(self.weights, self.averages, strict=True):
            momentum = ops.cast(is_later, weight.dtype) * self.momentum
            average.assign(momentum * average + (1 - momentum) * weight)

    def overwrite_every(self, frequency: int, iterations: Any) -> None:
        """Gives the weights the values of their averages every `frequency` iterations."""
        now = ops.equal(ops.mod(iterations + 1, frequency), 0)
        for weight, average in zip(self.weights, self.averages, strict=True):
            weight.assign(ops.where(now, average, weight))

    def overwrite(self) -> None:
        """Gives the weights the values of their averages."""
        for weight, average in zip(self.weights, self.averages, strict=True):
            weight.assign(average)
