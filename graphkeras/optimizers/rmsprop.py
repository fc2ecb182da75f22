"""Root mean square propagation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class RMSprop(Optimizer):
    """Divides gradients by the root of the moving average of their squares.

    Hinton's lecture 6e, with the momentum and centering of Graves (2013). Epsilon is inside the
    root.

    Args:
        learning_rate: See `Optimizer`.
        rho: Momentum of the averages.
        momentum: Momentum of the updates; 0 for none.
        epsilon: Added to the average of squares.
        centered: Whether to divide by the deviation from the average gradient instead.
        **kwargs: Arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the averages and momenta."""
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._momentums: list[Variable] = []
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._average_gradients: list[Variable] = []
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its averages."""
        index = self._get_variable_index(variable)
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        velocity = self._velocities[index]
        self.assign(velocity, self.rho * velocity + (1 - self.rho) * ops.square(gradient))
        spread: Any = velocity
        if self.centered:
            average = self._average_gradients[index]
            self.assign(average, self.rho * average + (1 - self.rho) * gradient)
            spread = velocity - ops.square(average)
        increment = lr * gradient / ops.sqrt(spread + self.epsilon)
        if self.momentum > 0:
            momentum = self._momentums[index]
            self.assign(momentum, self.momentum * momentum + increment)
            increment = momentum
        self.assign_sub(variable, increment)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
