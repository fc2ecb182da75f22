"""Adam in the maximum norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class Adamax(Optimizer):
    """Adam with the largest decayed gradient in place of the root of squares.

    Kingma and Ba 2014, section 7.1: `u = max(beta_2 * u, abs(g))` and
    `w -= lr / (1 - beta_1**t) * m / (u + epsilon)`.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: Momentum of the average of gradients.
        beta_2: Decay of the largest gradient.
        epsilon: Added to the largest gradient.
        **kwargs: Arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the averages and largest gradients."""
        if self.built:
            return
        super().build(variables)
        self._m, self._u = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its slots."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        lr = ops.cast(learning_rate, dtype)
        gradient = ops.cast(gradient, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        power_1 = ops.power(ops.cast(self.beta_1, dtype), step)
        m, u = self._m[index], self._u[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign(u, ops.maximum(self.beta_2 * u, ops.abs(gradient)))
        self.assign_sub(variable, lr * m / ((1 - power_1) * (u + self.epsilon)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
