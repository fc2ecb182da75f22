"""Schedules along a cosine (Loshchilov and Hutter 2016, "SGDR")."""

from __future__ import annotations

import math
from typing import Any

from graphkeras import ops
from graphkeras.optimizers.schedules.schedule import LearningRateSchedule, check_steps


class CosineDecay(LearningRateSchedule):
    """Half a cosine down to `alpha` times the first rate, after an optional linear warmup.

    Args:
        initial_learning_rate: The first learning rate.
        decay_steps: Steps of the decay, without those of the warmup; more than 0.
        alpha: The last rate as a fraction of the rate at the start of the decay.
        name: Name of the schedule.
        warmup_target: Rate at the end of the warmup; no warmup by default.
        warmup_steps: Steps of the warmup.

    Raises:
        ValueError: If `decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        check_steps("decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate)
        decayed = self._decayed(step - float(self.warmup_steps), self.warmup_target)
        if not self.warmup_steps:
            return decayed
        slope = (self.warmup_target - self.initial_learning_rate) / self.warmup_steps
        warming = self.initial_learning_rate + slope * step
        return ops.where(ops.less(step, float(self.warmup_steps)), warming, decayed)

    def _decayed(self, step: Any, start: float) -> Any:
        done = ops.minimum(step, float(self.decay_steps)) / self.decay_steps
        cosine = 0.5 * (1.0 + ops.cos(math.pi * done))
        return start * ((1 - self.alpha) * cosine + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after another, each longer and starting lower than the one before.

    Args:
        initial_learning_rate: The first learning rate.
        first_decay_steps: Steps of the first decay; more than 0.
        t_mul: Factor from the steps of one decay to those of the next.
        m_mul: Factor from the first rate of one decay to that of the next.
        alpha: The last rate of a decay as a fraction of `initial_learning_rate`.
        name: Name of the schedule.

    Raises:
        ValueError: If `first_decay_steps` is not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        check_steps("first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def rate(self, step: Any) -> Any:
        """The learning rate after `step` updates."""
        done = step / self.first_decay_steps
        if self._t_mul == 1.0:
            restarts = ops.floor(done)
            done = done - restarts
        else:
            growth = ops.cast(self._t_mul, step.dtype)
            restarts = ops.floor(ops.log(1.0 - done * (1.0 - growth)) / ops.log(growth))
            scale = ops.power(growth, restarts)
            done = (done - (1.0 - scale) / (1.0 - growth)) / scale
        factor = ops.power(ops.cast(self._m_mul, step.dtype), restarts)
        cosine = 0.5 * factor * (1.0 + ops.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this schedule again."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }
