"""The base class of callbacks: the moments of training a program can hook into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Logs = dict[str, Any]
Listener = TypeVar("Listener", bound=Callable[..., None])


def patient(listener: Listener) -> Listener:
    """Marks a listener to batches that need not hear of every one of them."""
    listener.patient = True  # type: ignore[attr-defined]
    return listener


class Callback:
    """Hooks into `fit`, `evaluate` and `predict`. Every method does nothing until overridden.

    Attributes:
        params: `{"verbose": ..., "epochs": ..., "steps": ...}` of the running call.
        model: The model being trained.

    The `logs` of a batch hold the metrics so far in the epoch, those of an epoch its metrics
    and, as `val_...`, the validation metrics; keys are sorted and values are floats.
    """

    def __init__(self) -> None:
        self.params: Mapping[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model this callback was given to."""
        return self._model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Receives `verbose`, `epochs` and `steps` of the call."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receives the model."""
        self._model = model

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before the first batch of epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After the validation of epoch `epoch`."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch, counted from 0 in every epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate` or of the validation in `fit`."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate` or of the validation in `fit`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; `logs` is `{"outputs": ...}`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """At the start of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """At the end of `fit`; `logs` are those of the last epoch."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """At the start of an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """At the end of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """At the start of `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """At the end of `predict`."""
