"""Generators and data sets that are computed while steps run: order, errors, threads, memory."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from typing import Any

import keras as real_keras
import numpy as np
import pytest

import graphkeras as gk
from graphkeras.training.data import Batch, ahead
from graphkeras.training.data.ahead import DEPTH, Ahead

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 48)
WAIT = 60.0
"""Seconds after which a test that waits for a thread has failed."""


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads start behind the first batch, however fast it was; none is left behind a test."""
    monkeypatch.setattr(ahead, "WORTH", -1.0)
    yield
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "graphkeras batches"]


def network() -> Any:
    gk.utils.set_random_seed(1)
    model = gk.Sequential([gk.Input((4,)), gk.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def slices(size: int = 8) -> Iterator[Any]:
    while True:
        for start in range(0, len(X), size):
            yield X[start : start + size], Y[start : start + size]


class Slices(gk.utils.PyDataset):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.used: list[threading.Thread] = []

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        self.used.append(threading.current_thread())
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def test_a_batch_is_computed_while_the_step_before_it_runs() -> None:
    asked = [threading.Event() for _ in range(6)]

    def generator() -> Iterator[Any]:
        for event, batch in zip(asked, slices(), strict=False):
            event.set()
            yield batch

    def wait(step: int, logs: Any) -> None:
        # Without a thread nobody would ask for the next batch before this one returns.
        assert step == 5 or asked[step + 1].wait(WAIT)

    callback = gk.callbacks.LambdaCallback(on_train_batch_end=wait)
    network().fit(generator(), verbose=0, callbacks=[callback])


def test_the_numbers_are_those_of_arrays() -> None:
    expected = network()
    expected.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for data, steps in ((slices(), 6), (Slices(), None), (Slices(workers=0), None)):
        model = network()
        model.fit(data, steps_per_epoch=steps, epochs=3, shuffle=False, verbose=0)
        for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(
            model.predict(Slices(), verbose=0), expected.predict(X, batch_size=8, verbose=0)
        )
        assert model.evaluate(Slices(), verbose=0) == pytest.approx(
            expected.evaluate(X, Y, batch_size=8, verbose=0)
        )


def test_the_order_is_that_of_the_seed() -> None:
    weights = []
    for workers in (0, 1, 1, 3):
        model = network()
        model.fit(Slices(workers=workers), epochs=3, shuffle=True, verbose=0)
        weights.append(model.get_weights()[0])
    for others in weights[1:]:
        np.testing.assert_array_equal(others, weights[0])


def test_arrays_may_be_used_again() -> None:
    def same_memory() -> Iterator[Any]:
        x, y = np.empty((8, 4), np.float32), np.empty(8, np.int64)
        for a, b in slices():
            x[...], y[...] = a, b
            yield x, y

    weights = []
    for data in (slices(), same_memory()):
        model = network()
        model.fit(data, steps_per_epoch=6, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_generator_gives_no_more_than_is_used() -> None:
    taken: list[int] = []

    def generator() -> Iterator[Any]:
        for i, batch in enumerate(slices()):
            taken.append(i)
            yield batch

    data = generator()
    model = network()
    model.fit(data, steps_per_epoch=5, epochs=3, verbose=0)
    assert len(taken) == 15
    model.fit(data, steps_per_epoch=2, verbose=0)
    assert len(taken) == 17


def test_no_more_than_some_wait() -> None:
    taken = threading.Semaphore(0)
    count = []

    def generator() -> Iterator[Batch]:
        while True:
            count.append(1)
            taken.release()
            yield Batch(X)

    batches = Ahead(generator(), None)
    next(batches)
    for _ in range(1 + DEPTH):
        assert taken.acquire(timeout=WAIT)
    assert len(count) == 1 + DEPTH
    batches.close()
    assert len(count) == 1 + DEPTH
    assert list(batches) == []


@pytest.mark.parametrize("steps", [None, 6])
def test_an_error_has_the_line_it_came_from(steps: int | None) -> None:
    def broken() -> Iterator[Any]:
        for i, batch in enumerate(slices()):
            if i == 3:
                raise KeyError("no such picture")
            yield batch

    model = network()
    with pytest.raises(KeyError, match=r"^'no such picture'$") as info:
        model.fit(broken(), steps_per_epoch=steps, verbose=0)
    lines = [frame.line for frame in traceback.extract_tb(info.value.__traceback__)]
    assert 'raise KeyError("no such picture")' in lines
    # What came before it was used.
    assert int(np.asarray(model.optimizer.iterations)) == 3


def test_an_error_of_a_data_set() -> None:
    class Broken(Slices):
        def __getitem__(self, index: int) -> Any:
            if index == 4:
                raise OSError("disk gone")
            return super().__getitem__(index)

    with pytest.raises(OSError, match=r"^disk gone$"):
        network().fit(Broken(), verbose=0)


@pytest.mark.parametrize("how", ["stop", "raise", "interrupt"])
def test_a_thread_ends_with_training(how: str) -> None:
    model = network()

    def end(step: int, logs: Any) -> None:
        assert threads()
        if how == "stop":
            model.stop_training = True
        elif step == 1:
            raise ArithmeticError if how == "raise" else KeyboardInterrupt

    callback = gk.callbacks.LambdaCallback(on_train_batch_end=end)
    data = slices()
    expected = {"raise": ArithmeticError, "interrupt": KeyboardInterrupt}
    if how == "stop":
        model.fit(data, steps_per_epoch=100, verbose=0, callbacks=[callback])
    else:
        with pytest.raises(expected[how]):
            model.fit(data, steps_per_epoch=100, verbose=0, callbacks=[callback])
    assert threads() == []
    # Nobody is inside the generator any more.
    next(data)


def test_validation_data_have_a_thread_of_their_own() -> None:
    model = network()
    history = model.fit(
        slices(),
        steps_per_epoch=6,
        epochs=2,
        validation_data=slices(),
        validation_steps=6,
        verbose=0,
    ).history
    assert len(history["val_loss"]) == 2


def test_workers() -> None:
    main = threading.main_thread()
    for workers, alone in ((0, True), (1, False)):
        data = Slices(workers=workers)
        network().fit(data, verbose=0)
        # The first batch, which tells shapes, is read before training and again by it.
        assert all(thread is main for thread in data.used[:2])
        assert all((thread is main) is alone for thread in data.used[2:])


def test_what_is_there_at_once_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH", WAIT)
    data = Slices()
    network().fit(data, verbose=0)
    assert {*data.used} == {threading.main_thread()}


def test_settings_hold_in_the_thread() -> None:
    found = []

    def generator() -> Iterator[Any]:
        for batch in slices():
            found.append(gk.config.setting("nan_loss"))
            yield batch

    with gk.config.override(nan_loss="warn"):
        network().fit(generator(), steps_per_epoch=6, verbose=0)
    assert set(found) == {"warn"}


@pytest.mark.parametrize("workers", [0, 1])
def test_data_sets_train_as_in_keras(workers: int, pair: Any) -> None:
    # In order, by one worker, as the models have not been trained before (see test_data_sets.py).
    def build(keras: Any) -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])

    models = pair(build, optimizer="sgd", loss="sparse_categorical_crossentropy")
    losses = []
    for keras, model in zip((gk, real_keras), models, strict=True):

        class Data(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return 6

            def __getitem__(self, index: int) -> Any:
                return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]

        history = model.fit(Data(workers=workers), epochs=3, shuffle=False, verbose=0).history
        losses.append(history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_as_in_keras(workers: int, pair: Any) -> None:
    def build(keras: Any) -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])

    for keras, model in zip(
        (gk, real_keras), pair(build, loss="sparse_categorical_crossentropy"), strict=True
    ):

        class Broken(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return 6

            def __getitem__(self, index: int) -> Any:
                if index == 4:
                    raise LookupError("picture 4 is missing")
                return X[:8], Y[:8]

        with pytest.raises(LookupError, match=r"^picture 4 is missing$"):
            model.fit(Broken(workers=workers), shuffle=False, verbose=0)
