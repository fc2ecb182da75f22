"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class Adam(Optimizer):
    """Moving averages of gradients and of their squares (Kingma and Ba 2014, before section 2.1).

    `m += (1 - beta_1) * (g - m)`, `v += (1 - beta_2) * (g*g - v)` and, with the correction of
    both for the zeros they start from, `w -= lr * m / (sqrt(v) + epsilon)`.

    Args:
        learning_rate: See `Optimizer`.
        beta_1: Momentum of the average of gradients.
        beta_2: Momentum of the average of squares.
        epsilon: The "epsilon hat" of the paper, added to the root.
        amsgrad: Whether to divide by the largest `v` so far (Reddi et al. 2018).
        **kwargs: Arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the averages."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        self._velocity_hats: list[Variable] = []
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its averages."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        lr = ops.cast(learning_rate, dtype)
        gradient = ops.cast(gradient, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        power_1 = ops.power(ops.cast(self.beta_1, dtype), step)
        power_2 = ops.power(ops.cast(self.beta_2, dtype), step)
        alpha = lr * ops.sqrt(1 - power_2) / (1 - power_1)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        if self.amsgrad:
            largest = self._velocity_hats[index]
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        self.assign_sub(variable, m * alpha / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019).

    Args:
        learning_rate: See `Optimizer`.
        weight_decay: Fraction a weight loses, times the learning rate, before each update.
        beta_1: Momentum of the average of gradients.
        beta_2: Momentum of the average of squares.
        epsilon: Added to the root of the average of squares.
        amsgrad: Whether to divide by the largest average of squares so far.
        **kwargs: Arguments of every optimizer; see `Optimizer`.

    Raises:
        ValueError: If `weight_decay` is None.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError(
                "Argument `weight_decay` must be a float. Received: weight_decay=None. For no "
                "decay use Adam."
            )
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )
