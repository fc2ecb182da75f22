"""The sign of a momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from graphkeras import ops
from graphkeras.optimizers.arguments import CommonArguments
from graphkeras.optimizers.optimizer import LearningRate, Optimizer
from graphkeras.variables import Variable


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign of a momentum (Chen et al. 2023).

    Args:
        learning_rate: See `Optimizer`; a third to a tenth of Adam's.
        beta_1: Share of the momentum in the direction, more than 0 and at most 1.
        beta_2: Momentum of the average of gradients.
        **kwargs: Arguments of every optimizer; see `Optimizer`.

    Raises:
        ValueError: If `beta_1` is out of range.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Unpack[CommonArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                "Argument `beta_1` must be more than 0 and at most 1; otherwise only the sign of "
                f"the gradient is left. Received: beta_1={beta_1}"
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the momenta."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Updates one weight and its momentum."""
        lr = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        m = self._momentums[self._get_variable_index(variable)]
        self.assign_sub(variable, lr * ops.sign(m * self.beta_1 + gradient * (1 - self.beta_1)))
        self.assign(m, m * self.beta_2 + gradient * (1 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again."""
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
