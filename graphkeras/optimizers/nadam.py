"""Adam with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.config import floatx
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable

MOMENTUM_DECAY = 0.96
"""Base of the schedule of the momentum, 0.96**t, of Dozat's report."""


class Nadam(Optimizer):
    """Adam that looks ahead along the momentum (Dozat 2015), with a momentum that warms up.

    The momentum of step t is `u_t = beta_1 * (1 - 0.5 * 0.96**t)`.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: Limit of the momentum of the average of gradients.
        beta_2: Momentum of the average of squares.
        epsilon: Added to the root of the average of squares.
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
        """Makes the averages and the product of all momenta so far."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        dtype = variables[0].dtype if variables else floatx()
        self._u_product = self.add_variable((), "ones", dtype, "u_product")

    def _momentum_at(self, step: Any, dtype: str) -> Any:
        decay = ops.power(ops.cast(MOMENTUM_DECAY, dtype), ops.cast(step, dtype))
        return self.beta_1 * (1.0 - 0.5 * decay)

    def update_all(self, grads: list[Any], variables: list[Variable], learning_rate: Any) -> None:
        """Updates the product of momenta, then all weights."""
        product = self._u_product
        self.assign(product, product * self._momentum_at(self.iterations + 1, product.dtype))
        super().update_all(grads, variables, learning_rate)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its averages."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        lr = ops.cast(learning_rate, dtype)
        gradient = ops.cast(gradient, dtype)
        step = self.iterations + 1
        now, next_one = self._momentum_at(step, dtype), self._momentum_at(step + 1, dtype)
        product = ops.cast(self._u_product, dtype)
        power_2 = ops.power(ops.cast(self.beta_2, dtype), ops.cast(step, dtype))
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        ahead = next_one * m / (1 - product * next_one) + (1 - now) * gradient / (1 - product)
        self.assign_sub(variable, ahead * lr / (ops.sqrt(v / (1 - power_2)) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
