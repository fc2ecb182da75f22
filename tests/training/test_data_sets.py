"""`PyDataset`s and generators as in the real Keras: which batch is when, and what is called when.

The models have been trained before. Keras, on JAX, looks at the first batch of a model's very first
`fit` in a pass of its own: it shuffles once more for that, and several workers leave what they had
computed of that pass to the first epoch, which then repeats some batches and misses others. On
TensorFlow it does not, and neither does this package.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras as gk

RAN_OUT = "Your input ran out of data; interrupting training"


def trained(keras: Any) -> Any:
    """A model whose weights stay zero, so that a batch's loss is its number."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    zeros = np.zeros((2, 1), np.float32)
    model.fit(zeros, zeros, verbose=0)
    return model


def batch(number: int) -> tuple[Any, Any]:
    x = np.full((2, 1), number, np.float32)
    return x, x


def data_set(keras: Any, events: list[Any], count: int, **given: Any) -> Any:
    """Batch `i` has the number `i`, and 100 more for each epoch that has ended before."""

    class Data(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
        epochs = 0

        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int) -> Any:
            time.sleep(0.01)
            return batch(index + 100 * self.epochs)

        def on_epoch_begin(self) -> None:
            events.append("data begin")

        def on_epoch_end(self) -> None:
            self.epochs += 1
            events.append("data end")

    return Data(**given)


def recorder(keras: Any, events: list[Any], stop: int | None = None) -> Any:
    """A callback that notes the number of each batch."""

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        total = 0.0

        def on_train_begin(self, logs: Any = None) -> None:
            events.append("train")

        def on_test_begin(self, logs: Any = None) -> None:
            events.append("test")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.total = 0.0

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            # The loss is the mean over the epoch so far.
            assert logs is not None
            before, self.total = self.total, logs["loss"] * (step + 1)
            events.append(round(float(self.total - before)))
            if step == stop:
                self.model.stop_training = True

    return Recorder()


def both(run: Callable[[Any, list[Any]], None]) -> list[Any]:
    """What happened, the same with Keras: events, and warnings about the data."""
    found = []
    for keras in (gk, real_keras):
        events: list[Any] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(keras, events)
        about = [str(w.message) for w in caught if "ran out" in str(w.message)]
        found.append([*events, *(text[: len(RAN_OUT)] for text in about)])
    assert found[0] == found[1]
    return found[0]


WORKERS: list[dict[str, Any]] = [
    {"workers": 0},
    {"workers": 1},
    {"workers": 2},
    {"workers": 3, "max_queue_size": 1},
    {"workers": 2, "max_queue_size": 0},
    {"workers": 2, "use_multiprocessing": True},
]


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_the_order_is_that_of_keras(workers: dict[str, Any], shuffle: bool) -> None:
    def run(keras: Any, events: list[Any]) -> None:
        data, model = data_set(keras, events, 13, **workers), trained(keras)
        random.seed(7)
        callbacks = [recorder(keras, events)]
        model.fit(data, epochs=3, shuffle=shuffle, verbose=0, callbacks=callbacks)

    events = both(run)
    # The data set is told of the end of an epoch before the first one, too.
    assert events[:3] == ["data end", "train", "data begin"]
    assert sorted(events[3:16]) == list(range(100, 113))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("steps", [3, 4, 8])
def test_epochs_of_some_steps(workers: int, steps: int) -> None:
    def run(keras: Any, events: list[Any]) -> None:
        data, model = data_set(keras, events, 6, workers=workers), trained(keras)
        given = {"steps_per_epoch": steps, "epochs": 3, "shuffle": False, "verbose": 0}
        model.fit(data, **given, callbacks=[recorder(keras, events)])

    # What workers compute for the next epoch is there when this one ends, also for the data set.
    # 6 batches are two epochs of 3 steps, one and a half of 4, and less than one of 8.
    assert both(run).count(RAN_OUT) == {3: 0, 4: 1, 8: 3}[steps]


@pytest.mark.parametrize("workers", [1, 2])
def test_training_that_stops_early(workers: int) -> None:
    def run(keras: Any, events: list[Any]) -> None:
        data, model = data_set(keras, events, 6, workers=workers), trained(keras)
        callbacks = [recorder(keras, events, stop=1)]
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)

    assert both(run) == ["data end", "train", "data begin", 100, 101]


def test_validation_evaluation_and_prediction() -> None:
    def run(keras: Any, events: list[Any]) -> None:
        model, callbacks = trained(keras), [recorder(keras, events)]
        x, test = np.ones((4, 1), np.float32), data_set(keras, events, 2)
        model.fit(x, x, validation_data=test, epochs=2, verbose=0, callbacks=callbacks)
        model.evaluate(test, verbose=0, callbacks=callbacks)
        model.predict(test, verbose=0)

    evaluated = ["data end", "test", "data begin", "data end"]
    assert both(run) == ["train", 1, *evaluated, 1, *evaluated, *evaluated, *evaluated[-2:]]


def test_a_generator_that_ends_within_an_epoch() -> None:
    def batches() -> Iterator[Any]:
        yield from map(batch, range(5))

    def run(keras: Any, events: list[Any]) -> None:
        callbacks = [recorder(keras, events)]
        trained(keras).fit(batches(), steps_per_epoch=3, epochs=2, verbose=0, callbacks=callbacks)

    assert both(run) == ["train", 0, 1, 2, 3, 4, RAN_OUT]


def test_what_is_said_where_data_end() -> None:
    def batches() -> Iterator[Any]:
        yield from map(batch, range(5))

    model = trained(gk)
    with pytest.warns(UserWarning, match="ran out of data") as caught:
        history = model.fit(batches(), steps_per_epoch=3, epochs=4, verbose=0)
    assert len(history.epoch) == 2
    assert [str(w.message) for w in caught] == [
        "Your input ran out of data; interrupting training: this epoch has 2 of 3 steps. A "
        "generator must yield at least `steps_per_epoch * epochs` batches: pass fewer steps or "
        "more data",
        "Your input ran out of data before epoch 3; training ends here. A generator is used up by "
        "one pass: let it yield batches without end and pass `steps_per_epoch`, or use a PyDataset",
    ]


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_an_error_of_a_batch(workers: dict[str, Any]) -> None:
    def run(keras: Any, events: list[Any]) -> None:
        class Broken(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return 6

            def __getitem__(self, index: int) -> Any:
                if index == 3:
                    raise LookupError(f"picture {index} is missing")
                return batch(index)

        model, callbacks = trained(keras), [recorder(keras, events)]
        with pytest.raises(LookupError, match=r"^picture 3 is missing$"):
            model.fit(Broken(**workers), shuffle=False, verbose=0, callbacks=callbacks)

    # JAX asks for two batches more than it has trained with.
    found = []
    for keras in (gk, real_keras):
        events: list[Any] = []
        run(keras, events)
        found.append(events)
    assert found[0] == ["train", 0, 1, 2]
    assert found[1] == found[0][: len(found[1])]
