"""The base of learning rate schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from graphkeras import ops
from graphkeras.config import floatx
from graphkeras.trace import run_eagerly


class LearningRateSchedule:
    """Base of schedules. A subclass implements `__call__(step)` with `keras.ops`.

    The library's own schedules implement `rate(step)` instead, where `step` is a tensor of
    dtype `config.floatx()`.
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate.

        Args:
            step: Number of updates made so far: a number, tensor or variable.

        Returns:
            A scalar.
        """
        return run_eagerly(lambda: self.rate(ops.cast(step, floatx())))

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        raise NotImplementedError(
            f"Learning rate schedule {type(self).__name__} must implement `__call__(self, step)`."
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        raise NotImplementedError(
            f"Learning rate schedule {type(self).__name__} must implement `get_config()` to be "
            "saved."
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A schedule with the arguments `get_config` returned."""
        return cls(**config)


def check_steps(argument: str, steps: float) -> None:
    """Raises `ValueError` unless a number of steps is positive."""
    if steps <= 0:
        raise ValueError(f"Argument `{argument}` must be > 0. Received: {argument}={steps}")
