"""Schedules that decay by a power, a polynomial, a hyperbola, or in stairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import ops
from graphkeras.optimizers.schedules.schedule import LearningRateSchedule, check_steps


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: The first learning rate.
        decay_steps: Steps after which the rate is multiplied by `decay_rate`; more than 0.
        decay_rate: Factor of the decay.
        staircase: Whether to change only every `decay_steps` steps.
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        periods = step / self.decay_steps
        if self.staircase:
            periods = ops.floor(periods)
        decay_rate = ops.cast(self.decay_rate, step.dtype)
        return self.initial_learning_rate * ops.power(decay_rate, periods)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: The first learning rate.
        decay_steps: Steps of one unit of time; more than 0.
        decay_rate: Decay in one unit of time.
        staircase: Whether to change only every `decay_steps` steps.
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        periods = step / self.decay_steps
        if self.staircase:
            periods = ops.floor(periods)
        return self.initial_learning_rate / (1.0 + self.decay_rate * periods)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` along a power of the time left.

    `(initial - end) * (1 - step / decay_steps) ** power + end`.

    Args:
        initial_learning_rate: The first learning rate.
        decay_steps: Steps to the end; more than 0.
        end_learning_rate: The last learning rate.
        power: Exponent; 1 for a straight line.
        cycle: Whether to rise again after the end, over ever longer multiples of
            `decay_steps`, rather than to stay there.
        name: Name of the schedule.

    Raises:
        ValueError: If `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        total: Any = float(self.decay_steps)
        if self.cycle:
            total = total * ops.maximum(ops.ceil(step / total), 1.0)
        else:
            step = ops.minimum(step, total)
        left = ops.power(1.0 - step / total, float(self.power))
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` for steps above `boundaries[i - 1]`, up to and with `boundaries[i]`.

    Args:
        boundaries: Increasing step numbers.
        values: Learning rates, one more than boundaries.
        name: Name of the schedule.

    Raises:
        ValueError: If the lengths do not fit.
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries must be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of "
                f"length {len(values)}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        rate = ops.cast(self.values[0], step.dtype)
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = ops.where(ops.greater(step, float(boundary)), float(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}
