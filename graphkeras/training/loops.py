"""The loops over batches behind `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from graphkeras import config, tree
from graphkeras.callbacks import CallbackList, TerminateOnNaN
from graphkeras.callbacks.callback_list import python_logs
from graphkeras.errors import DataError
from graphkeras.ir.op import Array
from graphkeras.places import warn
from graphkeras.training.data import Batch, DataAdapter, Epochs
from graphkeras.training.inputs import order_inputs
from graphkeras.training.steps import Runner

Logs = dict[str, Any]


def runner_for(model: Any, mode: str, adapter: DataAdapter, stops_at_nan: bool = False) -> Runner:
    """A runner whose step is already made and whose data are already checked, where possible.

    So mistakes are reported before the first callback and before the first update.
    """
    first = adapter.first()
    first = first._replace(x=order_inputs(model, first.x))
    step = model.training_state.steps.get(model, mode, first)
    everything = adapter.everything()
    if everything is not None and mode != "predict":
        for check in step.checks:
            check.run(everything.y)
    return Runner(model, mode, checked=everything is not None, stops_at_nan=stops_at_nan)


class FitLoop:
    """Trains for some epochs.

    Args:
        model: The model.
        epochs: The training data.
        callbacks: All callbacks, the history's and the progress bar's among them.
        validation: The validation data, or `None`.
        validation_freq: Epochs between two validations, or a list of epochs counted from 1.
    """

    def __init__(
        self,
        model: Any,
        epochs: Epochs,
        callbacks: CallbackList,
        validation: Epochs | None,
        validation_freq: int | list[int],
    ) -> None:
        self._model = model
        self._epochs = epochs
        self._callbacks = callbacks
        self._validation = validation
        self._frequency = validation_freq
        self._policy = config.setting("nan_loss")
        terminates = any(isinstance(c, TerminateOnNaN) for c in callbacks.callbacks)
        stops = self._policy == "raise" and not terminates
        self._train = runner_for(model, "train", epochs.adapter, stops_at_nan=stops)
        self._test = None if validation is None else runner_for(model, "test", validation.adapter)

    def run(self, initial_epoch: int, epochs: int) -> None:
        """Trains from epoch `initial_epoch` (counted from 0) up to `epochs`."""
        model, callbacks = self._model, self._callbacks
        model.stop_training = False
        finished = False
        logs: Logs = {}
        callbacks.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                model.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                outcome = self._epoch()
                if outcome is None:
                    self._no_data(epoch)
                    break
                logs = outcome
                if self._validation is not None and self._validates(epoch):
                    logs |= {f"val_{name}": value for name, value in self._validate().items()}
                callbacks.on_epoch_end(epoch, logs)
                if model.stop_training:
                    break
            finished = True
        finally:
            self._epochs.close()
            trained = model.training_state.trainable_variables(model)
            if epochs > 0 and trained:
                model.optimizer.finalize_variable_values(trained)
            if finished:
                callbacks.on_train_end(logs)

    def _epoch(self) -> Logs | None:
        """Trains for one epoch; the metrics, or `None` where there were no data left."""
        begin = self._callbacks.listeners("on_train_batch_begin")
        end = self._callbacks.listeners("on_train_batch_end")
        run, outputs = self._train, None
        for step, group in self._epochs.epoch():
            for listener in begin:
                listener(step, logs={})
            last = step - 1
            for batch in group:
                outputs = run(batch)
                last += 1
            if end and outputs is not None:
                logs = python_logs(run.logs(outputs))
                for listener in end:
                    listener(last, logs=logs)
            if self._model.stop_training:
                break
        if outputs is None:
            return None
        logs = python_logs(run.logs(outputs))
        if self._policy == "warn" and not math.isfinite(logs.get("loss", 0.0)):
            warn(
                f"the loss is {logs['loss']}: lower the learning rate, scale the inputs, or look "
                "for NaN in the data"
            )
        return logs

    def _no_data(self, epoch: int) -> None:
        message = (
            f"Your input ran out of data before epoch {epoch + 1}; training ends here. A generator "
            "is used up by one pass: let it yield batches without end and pass `steps_per_epoch`, "
            "or use a PyDataset"
        )
        if epoch == 0:
            raise DataError(message)
        warn(message)

    def _validates(self, epoch: int) -> bool:
        if isinstance(self._frequency, int):
            return (epoch + 1) % self._frequency == 0
        return epoch + 1 in self._frequency

    def _validate(self) -> Logs:
        assert self._validation is not None
        assert self._test is not None
        return evaluate(self._model, self._validation, self._test, self._callbacks)


def evaluate(model: Any, epochs: Epochs, run: Runner, callbacks: CallbackList) -> Logs:
    """One pass over the data; returns the metrics."""
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    begin = callbacks.listeners("on_test_batch_begin")
    end = callbacks.listeners("on_test_batch_end")
    outputs: tuple[Array, ...] | None = None
    with contextlib.closing(epochs):
        for step, group in epochs.epoch():
            for listener in begin:
                listener(step, logs={})
            last = step - 1
            for batch in group:
                outputs = run(batch)
                last += 1
            if end and outputs is not None:
                logs = python_logs(run.logs(outputs))
                for listener in end:
                    listener(last, logs=logs)
            if model.stop_evaluating:
                break
    if outputs is None:
        raise DataError("there are no data left to evaluate: the generator is used up")
    logs = python_logs(run.logs(outputs))
    callbacks.on_test_end(logs)
    return logs


def predict(model: Any, epochs: Epochs, run: Runner, callbacks: CallbackList) -> Any:
    """The outputs for all batches, in the structure of the model's outputs."""
    model.stop_predicting = False
    callbacks.on_predict_begin()
    begin = callbacks.listeners("on_predict_batch_begin")
    end = callbacks.listeners("on_predict_batch_end")
    results = _Results(epochs.adapter.num_samples if epochs.whole else None)
    with contextlib.closing(epochs):
        for step, group in epochs.epoch():
            for listener in begin:
                listener(step, logs={})
            last = step - 1
            for batch in group:
                outputs = run(batch)
                results.add(outputs, _samples(batch))
                last += 1
            for listener in end:
                listener(last, logs={"outputs": packed(run, outputs)})
            if model.stop_predicting:
                break
    callbacks.on_predict_end()
    return packed(run, results.joined())


def packed(run: Runner, outputs: Any) -> Any:
    """Flat outputs in the structure the model returns them in."""
    assert run.step is not None
    return tree.map_structure(lambda position: outputs[position], run.step.structure)


def _samples(batch: Batch) -> int:
    return len(next(tree.leaves(batch.x)))


class _Results:
    """Joins the outputs of batches: in one array where the number of samples is known.

    Args:
        total: Number of samples, or `None`.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._done = 0
        self._whole: list[Array] | None = None
        self._parts: list[tuple[Array, ...]] = []

    def add(self, outputs: tuple[Array, ...], samples: int) -> None:
        """Takes the outputs of a batch."""
        total = self._total
        if total is None or any(o.ndim == 0 or len(o) != samples for o in outputs):
            self._parts.append(outputs)
            return
        if self._done == 0 and samples == total:
            self._whole = list(outputs)
        elif self._whole is None:
            self._whole = [np.empty((total, *o.shape[1:]), o.dtype) for o in outputs]
        if samples != total:
            for whole, part in zip(self._whole, outputs, strict=True):
                whole[self._done : self._done + samples] = part
        self._done += samples

    def joined(self) -> list[Array]:
        """All outputs.

        Raises:
            DataError: There was no batch.
        """
        if self._whole is not None:
            return [whole[: self._done] for whole in self._whole]
        if not self._parts:
            raise DataError("there are no data left to predict: the generator is used up")
        return [
            np.stack(parts) if parts[0].ndim == 0 else np.concatenate(parts)
            for parts in zip(*self._parts, strict=True)
        ]
