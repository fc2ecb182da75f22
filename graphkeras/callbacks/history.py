"""What `fit` returns: the metrics of every epoch."""

from __future__ import annotations

from typing import Any

from graphkeras.callbacks.callback import Callback, Logs


class History(Callback):
    """Records the logs of every epoch. `fit` adds one and returns it.

    Attributes:
        history: `{"loss": [...], "val_loss": [...], ...}`, one value an epoch.
        epoch: Numbers of the epochs, counted from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Starts a new list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Appends the logs of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
