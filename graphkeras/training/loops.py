"""The loops over batches behind `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

from graphkeras import config
from graphkeras.callbacks import CallbackList, TerminateOnNaN
from graphkeras.callbacks.callback_list import python_logs
from graphkeras.errors import DataError
from graphkeras.ir.op import Array
from graphkeras.places import warn
from graphkeras.training.data import DEFAULT_BATCH_SIZE, Batch, DataAdapter, Epochs, is_plain
from graphkeras.training.pace import Pace
from graphkeras.training.results import Results
from graphkeras.training.steps import Runner
from graphkeras.training.stream import Outputs, Stream

Logs = dict[str, Any]


def runner_for(model: Any, mode: str, adapter: DataAdapter, stops_at_nan: bool = False) -> Runner:
    """A runner whose step is already made and whose data are already checked, where possible.

    So mistakes are reported before the first callback and before the first update.
    """
    everything = adapter.everything()
    run = Runner(model, mode, checked=everything is not None, stops_at_nan=stops_at_nan)
    _, step = run.read(adapter.first())
    if everything is not None and mode != "predict":
        for check in step.checks:
            check.run(everything.y)
    if mode != "predict":
        Stream(run).compile(adapter, step)
    return run


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
        self._batches = Batches(model, epochs, self._train, callbacks, "train")
        self._test = None if validation is None else runner_for(model, "test", validation.adapter)

    def run(self, initial_epoch: int, epochs: int) -> None:
        """Trains from epoch `initial_epoch` (counted from 0) up to `epochs`."""
        model, callbacks = self._model, self._callbacks
        model.stop_training = False
        finished = False
        logs: Logs = {}
        self._epochs.reset()
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
        outputs = self._batches.run(lambda: bool(self._model.stop_training))
        if outputs is None:
            return None
        logs = python_logs(self._train.logs(outputs))
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


class Batches:
    """The batches of one epoch after another, and the callbacks around them.

    Args:
        model: The model.
        epochs: The data.
        run: Runs one batch.
        callbacks: All callbacks.
        mode: `"train"` or `"test"`.
    """

    def __init__(
        self, model: Any, epochs: Epochs, run: Runner, callbacks: CallbackList, mode: str
    ) -> None:
        self._epochs = epochs
        self._run = run
        self._stream = Stream(run)
        self._begin = callbacks.listeners(f"on_{mode}_batch_begin")
        self._end = callbacks.listeners(f"on_{mode}_batch_end")
        self._pace = Pace(epochs.steps_per_execution, [*self._begin, *self._end])

    def run(self, stopped: Callable[[], bool]) -> Outputs | None:
        """One epoch.

        Args:
            stopped: Says behind each group whether a callback has ended the epoch.

        Returns:
            The outputs of the last batch; `None` where there was none.
        """
        outputs: Outputs | None = None
        self._pace.start()
        for step, group in self._epochs.epoch(self._pace):
            for listener in self._begin:
                listener(step, logs={})
            outputs = self._stream(group)
            if self._end and outputs is not None:
                logs = python_logs(self._run.logs(outputs))
                for listener in self._end:
                    listener(step + len(group) - 1, logs=logs)
            if stopped():
                break
        return outputs


def evaluate(model: Any, epochs: Epochs, run: Runner, callbacks: CallbackList) -> Logs:
    """One pass over the data; returns the metrics."""
    model.stop_evaluating = False
    epochs.reset()
    callbacks.on_test_begin()
    model.reset_metrics()
    with contextlib.closing(epochs):
        batches = Batches(model, epochs, run, callbacks, "test")
        outputs = batches.run(lambda: bool(model.stop_evaluating))
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
    pace = Pace(epochs.steps_per_execution, [*begin, *end])
    results = Results(run, epochs.adapter.num_samples if epochs.whole else None)
    with contextlib.closing(epochs):
        for step, group in epochs.epoch(pace):
            for listener in begin:
                listener(step, logs={})
            outputs = results.add(group, keep_last=pace.strict)
            for listener in end:
                logs = {} if outputs is None else {"outputs": run.packed(outputs)}
                listener(step + len(group) - 1, logs=logs)
            if model.stop_predicting:
                break
    callbacks.on_predict_end()
    return run.packed(results.joined())


def is_one_batch(x: Any, batch_size: int | None) -> bool:
    """Whether `x` is one array that makes one batch."""
    size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    return is_plain(x) and type(size) is int and len(x) <= size


def predict_alone(run: Runner, x: Array) -> Any:
    """As `predict` for one batch that nobody listens to: a small model takes less than the loop."""
    results = Results(run, len(x))
    results.add((Batch(x),), keep_last=False)
    return run.packed(results.joined())
