"""Shows the progress of `fit`, `evaluate` and `predict` on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphkeras.callbacks.callback import Callback, Logs, patient
from graphkeras.utils.messages import print_message
from graphkeras.utils.progbar import Progbar


class ProgbarLogger(Callback):
    """Draws a progress bar (`verbose=1`) or prints a line an epoch (`verbose=2`).

    Validation inside `fit` is silent: its metrics appear at the end of the epoch's line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self._progbar: Progbar | None = None
        self._in_fit = False

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Takes the verbosity and the numbers of epochs and steps of the call."""
        super().set_params(params)
        self.verbose = 1 if params["verbose"] == "auto" else int(params["verbose"])
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Notes that evaluations are now validations."""
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Notes that `fit` is over."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints `Epoch 1/5` where there are several epochs."""
        self._progbar = None
        if self.verbose and self.epochs > 1:
            print_message(f"Epoch {epoch + 1}/{self.epochs}")
        self._bar()

    @patient
    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Completes the bar."""
        self._finish(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Starts a bar, unless this is a validation."""
        if not self._in_fit:
            self._progbar = None
            self._bar()

    @patient
    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar, unless this is a validation."""
        if not self._in_fit:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Completes the bar, unless this is a validation."""
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Starts a bar."""
        self._progbar = None
        self._bar()

    @patient
    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        self._update(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Completes the bar."""
        self._finish(logs)

    def _bar(self) -> Progbar:
        if self._progbar is None:
            self.seen = 0
            self._progbar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())
        return self._progbar

    def _update(self, batch: int, logs: Logs | None) -> None:
        bar = self._bar()
        self.seen = batch + 1
        if self.verbose == 1:
            bar.update(self.seen, (logs or {}).items(), finalize=False)

    def _finish(self, logs: Logs | None) -> None:
        bar = self._bar()
        if self.target is None:
            self.target = bar.target = self.seen
        bar.update(self.target, (logs or {}).items(), finalize=True)
