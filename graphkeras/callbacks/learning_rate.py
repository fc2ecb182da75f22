"""Callbacks that change the optimizer's learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphkeras.callbacks.callback import Callback, Logs
from graphkeras.callbacks.monitor import MonitorCallback
from graphkeras.errors import DataError
from graphkeras.utils.messages import print_message


def _rate(optimizer: Any) -> float:
    """The optimizer's learning rate now."""
    return float(np.asarray(optimizer.learning_rate))


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch.

    Args:
        schedule: Called with the epoch (from 0) and the current learning rate, or with the epoch
            alone; returns the new learning rate as a float.
        verbose: 1 prints the new rate.

    Raises:
        DataError: The schedule returned something that is no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Asks the schedule."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise DataError(
                f"LearningRateScheduler: optimizer {optimizer!r} has no `learning_rate`"
            )
        try:
            rate = self.schedule(epoch, _rate(optimizer))
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, float | np.floating):
            raise DataError(
                f"LearningRateScheduler: the schedule must return a float, received {rate!r}"
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            print_message(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}."
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds `learning_rate` to the logs."""
        if logs is not None:
            logs["learning_rate"] = _rate(self.model.optimizer)


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a metric no longer improves.

    Args:
        monitor: Name of the watched value.
        factor: The learning rate is multiplied by it; less than 1.
        patience: Epochs without improvement after which the rate is lowered.
        verbose: 1 prints a message.
        mode: `"min"`, `"max"` or `"auto"`.
        min_delta: Least change that counts as an improvement.
        cooldown: Epochs after a reduction during which nothing is counted.
        min_lr: The rate is not lowered beyond it.

    Raises:
        DataError: `factor` is 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise DataError(f"ReduceLROnPlateau: factor must be less than 1, received {factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier `fit`."""
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compares the value with the best one."""
        self._direction()
        logs = {} if logs is None else logs
        logs["learning_rate"] = _rate(self.model.optimizer)
        current = logs.get(self.monitor)
        if current is None:
            self._warn_missing(logs)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        old = _rate(self.model.optimizer)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose > 0:
            print_message(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}."
            )
        return True

    def in_cooldown(self) -> bool:
        """Whether the last reduction is too recent to count epochs."""
        return self.cooldown_counter > 0
