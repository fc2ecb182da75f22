"""Rates for each weight from all its gradients: Adagrad, and Adadelta, which forgets old ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import initializers, ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class Adagrad(Optimizer):
    """Divides gradients by the root of the sum of their squares so far (Duchi et al. 2011).

    Args:
        learning_rate: See `Optimizer`.
        initial_accumulator_value: First value of the sum.
        epsilon: Added to the sum.
        **kwargs: Arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the sums."""
        if self.built:
            return
        super().build(variables)
        first = initializers.Constant(self.initial_accumulator_value)
        self._sums = self.add_optimizer_variables(variables, "accumulator", first)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its sum."""
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        total = self._sums[self._get_variable_index(variable)]
        self.assign_add(total, ops.square(gradient))
        self.assign_sub(variable, lr * gradient / ops.sqrt(total + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """Scales gradients by the sizes of past updates and gradients (Zeiler 2012).

    Args:
        learning_rate: Factor of the updates; 1.0 for those of the paper.
        rho: Momentum of both averages of squares.
        epsilon: Added to both.
        **kwargs: Arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the averages."""
        if self.built:
            return
        super().build(variables)
        self._accumulated_grads, self._accumulated_delta_vars = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its averages."""
        index = self._get_variable_index(variable)
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        grads, deltas = self._accumulated_grads[index], self._accumulated_delta_vars[index]
        self.assign(grads, self.rho * grads + (1 - self.rho) * ops.square(gradient))
        ratio = ops.sqrt(deltas + self.epsilon) / ops.sqrt(grads + self.epsilon)
        delta = ratio * gradient
        self.assign(deltas, self.rho * deltas + (1 - self.rho) * ops.square(delta))
        self.assign_sub(variable, lr * delta)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
