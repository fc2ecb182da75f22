"""Follow the regularized leader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import initializers, ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class Ftrl(Optimizer):
    """Follow the regularized leader, for wide sparse models (McMahan et al. 2013).

    With `n` the sum of squared gradients and `p = learning_rate_power`:
    `z += g - (n_new**-p - n_old**-p) / lr * w`, and
    `w = (clip(z, -l1, l1) - z) / (n_new**-p / lr + 2 * l2)`.

    Args:
        learning_rate: See `Optimizer`.
        learning_rate_power: At most 0; how the rate falls with the sum of squares.
        initial_accumulator_value: First value of the sum, not negative.
        l1_regularization_strength: L1 penalty, not negative.
        l2_regularization_strength: L2 penalty that moves the solution, not negative.
        l2_shrinkage_regularization_strength: L2 penalty on the weights' size, not negative.
        beta: The beta of the paper; adds `beta / (2 * lr)` to the L2 penalty.
        **kwargs: Arguments of every optimizer; see `Optimizer`.

    Raises:
        ValueError: If an argument has the wrong sign.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if learning_rate_power > 0:
            raise ValueError(
                "`learning_rate_power` needs to be negative or zero. "
                f"Received: learning_rate_power={learning_rate_power}"
            )
        self._arguments = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for name, value in self._arguments.items():
            if value < 0:
                raise ValueError(f"`{name}` needs to be positive or zero. Received: {name}={value}")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the sums of squares and the linear terms."""
        if self.built:
            return
        super().build(variables)
        first = initializers.Constant(self.initial_accumulator_value)
        self._sums, self._linears = self.add_optimizer_variables(
            variables, ["accumulator", "linear"], [first, "zeros"]
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight, its sum and its linear term."""
        index = self._get_variable_index(variable)
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        total, linear = self._sums[index], self._linears[index]
        power = -self.learning_rate_power
        l2 = self.l2_regularization_strength + self.beta / (2.0 * lr)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        new_total = total + ops.square(gradient)
        grown = (ops.power(new_total, power) - ops.power(total, power)) / lr
        self.assign_add(linear, shrunk - grown * variable)
        quadratic = ops.power(new_total, power) / lr + 2 * l2
        l1 = self.l1_regularization_strength
        self.assign(variable, (ops.clip(linear, -l1, l1) - linear) / quadratic)
        self.assign(total, new_total)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            **self._arguments,
            "learning_rate_power": self.learning_rate_power,
            "beta": self.beta,
        }
