"""Stops training when a metric no longer improves."""

from __future__ import annotations

from typing import Any

from graphkeras.callbacks.callback import Logs
from graphkeras.callbacks.monitor import MonitorCallback
from graphkeras.utils.messages import print_message


class EarlyStopping(MonitorCallback):
    """Stops `fit` after `patience` epochs without improvement.

    Args:
        monitor: Name of the watched value.
        min_delta: Least change that counts as an improvement.
        patience: Epochs without improvement after which training stops.
        verbose: 1 prints a message when training stops.
        mode: `"min"`, `"max"` or `"auto"`.
        baseline: Value that must be beaten for the patience to start again.
        restore_best_weights: Whether the weights of the best epoch are put back at the end.
        start_from_epoch: Epochs at the start that are not watched.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forgets an earlier `fit`."""
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best = None
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compares the value with the best one."""
        self._direction()
        current = (logs or {}).get(self.monitor)
        if current is None:
            self._warn_missing(logs or {})
            return
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self._remember(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Puts the best weights back."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                print_message(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)
