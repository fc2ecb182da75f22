"""Callbacks driven by the same logs as those of the real Keras."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras as gk
from graphkeras import callbacks
from graphkeras.errors import NonFiniteLossError


class Optimizer:
    def __init__(self) -> None:
        self.learning_rate: Any = np.float32(0.5)


class Direction:
    def __init__(self, name: str, direction: str) -> None:
        self.name = name
        self._direction = direction


class Model:
    """What callbacks use of a model."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = Optimizer()
        self.weights = [np.zeros(1)]
        self.history: Any = None
        self.flat_metrics = [Direction("accuracy", "up"), Direction("error", "down")]

    def get_weights(self) -> list[Any]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = [w.copy() for w in weights]


def drive(callback: Any, values: list[float], name: str = "val_loss") -> tuple[Any, ...]:
    """Runs a `fit` that logs `values`; returns what the callback did."""
    model = Model()
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    epoch = 0
    for epoch, value in enumerate(values):
        model.weights = [np.full(1, float(epoch))]
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {name: value})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, model.stop_training, float(model.weights[0][0]), rates


SERIES = [
    [5.0, 4.0, 4.5, 4.4, 3.9, 4.0, 4.1, 4.2, 4.3],
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    [3.0, 2.9, 2.85, 2.84, 2.83, 2.0, 1.0, 1.1, 1.2],
    [1.0, 2.0, 3.0, 4.0],
]


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 1, "restore_best_weights": True},
        {"patience": 1, "min_delta": 0.2},
        {"patience": 2, "mode": "max", "restore_best_weights": True},
        {"patience": 2, "baseline": 4.2},
        {"start_from_epoch": 3, "restore_best_weights": True},
    ],
)
def test_early_stopping(
    values: list[float], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = drive(real_keras.callbacks.EarlyStopping(verbose=1, **options), values)
    text = capsys.readouterr().out
    assert drive(callbacks.EarlyStopping(verbose=1, **options), values) == expected
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("values", SERIES)
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "cooldown": 2},
        {"patience": 1, "min_lr": 0.05},
        {"patience": 1, "mode": "max", "min_delta": 0.5},
    ],
)
def test_reduce_lr_on_plateau(
    values: list[float], options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = drive(real_keras.callbacks.ReduceLROnPlateau(verbose=1, **options), values)
    text = capsys.readouterr().out
    assert drive(callbacks.ReduceLROnPlateau(verbose=1, **options), values) == expected
    assert capsys.readouterr().out == text


def test_the_direction_comes_from_the_metric() -> None:
    rising = [0.1, 0.2, 0.3]
    stop = callbacks.EarlyStopping(monitor="val_accuracy")
    assert drive(stop, rising, "val_accuracy")[:2] == (2, False)
    stop = callbacks.EarlyStopping(monitor="error")
    assert drive(stop, rising, "error")[:2] == (1, True)
    with pytest.raises(ValueError, match="Pass mode='max' if larger values are better"):
        drive(callbacks.EarlyStopping(monitor="val_score"), rising, "val_score")


def test_a_missing_metric_is_a_warning() -> None:
    with pytest.warns(
        UserWarning, match="`val_loss` is not available. Available metrics are: loss"
    ):
        drive(callbacks.EarlyStopping(), [1.0], "loss")
    with pytest.warns(UserWarning, match="`val_loss` is not available"):
        drive(callbacks.ReduceLROnPlateau(), [1.0], "loss")


def test_bad_arguments() -> None:
    with pytest.warns(UserWarning, match="mode 'up' is unknown"):
        callbacks.EarlyStopping(mode="up")
    with pytest.raises(ValueError, match=r"factor must be less than 1, received 1\.5"):
        callbacks.ReduceLROnPlateau(factor=1.5)


def test_learning_rate_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    def halve(epoch: int, rate: float) -> float:
        return rate / 2

    expected = drive(real_keras.callbacks.LearningRateScheduler(halve, verbose=1), [1.0] * 3)
    text = capsys.readouterr().out
    assert drive(callbacks.LearningRateScheduler(halve, verbose=1), [1.0] * 3) == expected
    assert capsys.readouterr().out == text
    only_epoch = callbacks.LearningRateScheduler(lambda epoch: 1.0 / (epoch + 1))
    assert drive(only_epoch, [1.0] * 2)[3] == [1.0, 0.5]
    with pytest.raises(ValueError, match="must return a float, received 'fast'"):
        drive(callbacks.LearningRateScheduler(lambda epoch, rate: "fast"), [1.0])  # type: ignore[arg-type, return-value]  # the mistake under test


def test_learning_rate_is_logged() -> None:
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: 0.25)
    scheduler.set_model(Model())
    logs: dict[str, Any] = {"loss": 1.0}
    scheduler.on_epoch_begin(0)
    scheduler.on_epoch_end(0, logs)
    assert logs["learning_rate"] == 0.25


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_terminate_on_nan(loss: float, capsys: pytest.CaptureFixture[str]) -> None:
    callback, model = callbacks.TerminateOnNaN(), Model()
    callback.set_model(model)
    callback.on_train_batch_end(3, {"loss": 1.0})
    assert not model.stop_training
    callback.on_train_batch_end(4, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 4: Invalid loss, terminating training\n"
    with pytest.raises(NonFiniteLossError, match=r"the loss is (nan|inf) at batch 4"):
        callbacks.TerminateOnNaN(raise_error=True).on_train_batch_end(4, {"loss": loss})


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_logger(tmp_path: Path, separator: str) -> None:
    logs = [{"loss": 1.5, "accuracy": 0.25, "lr": np.float32(0.5)}, {"loss": 1.0, "extra": 3}]
    texts = []
    for name, kind in (("ours", callbacks.CSVLogger), ("theirs", real_keras.callbacks.CSVLogger)):
        path = tmp_path / name
        for append in (False, True):
            logger: Any = kind(path, separator=separator, append=append)
            logger.on_train_begin()
            for epoch, values in enumerate(logs):
                logger.on_epoch_end(epoch, dict(values))
            logger.on_train_end()
        with open(path, newline="") as file:
            texts.append(list(csv.reader(file, delimiter=separator)))
    assert texts[0] == texts[1]
    assert texts[0][0] == ["epoch", "accuracy", "loss", "lr", "val_accuracy", "val_loss", "val_lr"]
    assert len(texts[0]) == 5


def test_csv_logger_replaces_a_file_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("old\n")
    logger = callbacks.CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 1.0})
    logger.on_train_end()
    assert path.read_text().splitlines() == ["epoch,loss,val_loss", "0,1.0,NA"]


def test_lambda_callback() -> None:
    seen: list[Any] = []
    callback = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        on_train_batch_begin=lambda batch, logs: seen.append(batch),
        on_test_end=lambda logs: seen.append("test"),
    )
    chain = callbacks.CallbackList([callback], model=Model())
    chain.on_train_begin()
    chain.on_train_batch_begin(2)
    chain.on_epoch_end(1, {"loss": np.float32(0.5)})
    chain.on_test_end()
    assert seen == [2, (1, {"loss": 0.5}), "test"]


def test_history_records_every_epoch() -> None:
    model = Model()
    chain = callbacks.CallbackList([], add_history=True, model=model)
    chain.on_train_begin()
    for epoch in range(2):
        chain.on_epoch_end(epoch, {"loss": float(epoch), "accuracy": np.float32(0.5)})
    assert model.history.history == {"accuracy": [0.5, 0.5], "loss": [0.0, 1.0]}
    assert list(model.history.history) == ["accuracy", "loss"]
    assert model.history.epoch == [0, 1]


def test_callback_list_sorts_and_converts_logs() -> None:
    seen: list[Any] = []
    callback = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    chain = callbacks.CallbackList([[callback], callbacks.History()], verbose=0)
    chain.on_train_batch_end(0, {"loss": np.float32(1), "acc": {"b": np.array(2.0), "a": "text"}})
    assert seen == [{"a": "text", "b": 2.0, "loss": 1.0}]
    assert list(seen[0]) == ["a", "b", "loss"]


def test_listeners_are_the_callbacks_that_do_something() -> None:
    class Old(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    class New(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    some = callbacks.LambdaCallback(on_train_batch_end=print)
    chain = callbacks.CallbackList([Old(), New(), some, callbacks.Callback(), callbacks.History()])
    assert len(chain.listeners("on_train_batch_end")) == 3
    assert chain.listeners("on_train_batch_begin") == []
    assert chain.listeners("on_test_batch_end") == []


def test_params_reach_callbacks() -> None:
    callback = callbacks.Callback()
    model = Model()
    callbacks.CallbackList([callback], model=model, epochs=3, steps=7, verbose=0)
    assert callback.params == {"epochs": 3, "steps": 7, "verbose": 0}
    assert callback.model is model


def test_early_stopping_knows_the_metrics_of_compile() -> None:
    x, y = np.ones((4, 2), "float32"), np.zeros(4)
    model = gk.Sequential([gk.Input((2,)), gk.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy", "mae"], run_eagerly=True)
    for monitor in ("val_accuracy", "val_mae"):
        stop = callbacks.EarlyStopping(monitor=monitor, min_delta=9.0)
        history = model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y), callbacks=[stop])
        assert len(history.epoch) == 2


@pytest.mark.parametrize(
    ("given", "hint"), [(callbacks.History, r"make one: History\(\)"), (5, "pass a Callback")]
)
def test_something_else_among_the_callbacks(given: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=f"which is no callback: {hint}"):
        callbacks.CallbackList([given])
