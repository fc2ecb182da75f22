"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class SGD(Optimizer):
    """Gradient descent, with momentum or Nesterov's momentum.

    `w -= lr * g`; with momentum `v = momentum * v - lr * g` and `w += v`, and after Nesterov
    `w += momentum * v - lr * g`.

    Args:
        learning_rate: See `Optimizer`.
        momentum: Between 0 and 1; 0 for none.
        nesterov: Whether to look ahead along the momentum.
        **kwargs: Arguments of every optimizer; see `Optimizer`.

    Raises:
        ValueError: If `momentum` is not a float between 0 and 1.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not isinstance(momentum, float) or not 0 <= momentum <= 1:
            raise ValueError(
                f"`momentum` must be a float between [0, 1]. Received: momentum={momentum!r}"
            )
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the momenta."""
        if self.built:
            return
        super().build(variables)
        self.momentums: list[Variable] = []
        if self.momentum != 0:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its momentum."""
        step = ops.cast(gradient, variable.dtype) * ops.cast(learning_rate, variable.dtype)
        if self.momentum == 0:
            self.assign_sub(variable, step)
            return
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, m * self.momentum - step)
        self.assign_add(variable, m * self.momentum - step if self.nesterov else m)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        config = super().get_config()
        return {**config, "momentum": self.momentum, "nesterov": self.nesterov}
