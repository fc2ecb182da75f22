"""Training through compiled kernels: the same numbers as node by node, and a usable model."""

from __future__ import annotations

import _thread
import gc
import signal
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphkeras as gk

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 70)


def network() -> Any:
    x = gk.Input((6,))
    h = gk.layers.Dense(8, "relu", kernel_regularizer="l2")(x)
    h = gk.layers.Dropout(0.3)(gk.layers.BatchNormalization()(h))
    return gk.Model(x, gk.layers.Dense(3, "softmax", name="classes")(h))


def trained(eagerly: bool) -> tuple[Any, Any]:
    gk.utils.set_random_seed(1)
    model = network()
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly
    )
    history = model.fit(X, Y, batch_size=16, epochs=2, validation_split=0.3, verbose=0)
    return model, history


@pytest.fixture(scope="module")
def compiled() -> tuple[Any, Any]:
    return trained(eagerly=False)


def test_kernels_and_references_train_alike(compiled: Any) -> None:
    model, history = compiled
    reference, expected = trained(eagerly=True)
    for a, b in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert list(history.history) == list(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), reference.predict(X, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_a_loss_that_is_nan_keeps_the_weights(compiled: Any) -> None:
    model, _ = compiled
    before = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    with pytest.raises(gk.errors.NonFiniteLossError, match="x holds NaN"):
        model.train_on_batch(np.full_like(X, np.nan), Y)
    after = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def heard() -> Iterator[None]:
    """A shell has background processes ignore interrupts, and Python keeps to that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_ends_fit_between_two_steps(compiled: Any) -> None:
    model, _ = compiled
    began = threading.Event()

    def interrupt() -> None:
        began.wait(60)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    first_batch = gk.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: began.set())
    gc.disable()  # JAX, the oracle's backend, has a callback of it: Python ignores errors there
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, batch_size=16, epochs=10_000, verbose=0, callbacks=[first_batch])
    finally:
        gc.enable()
    thread.join()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(X, Y, batch_size=16, verbose=0)


def test_training_does_not_grow_memory(compiled: Any) -> None:
    model, _ = compiled
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    tracemalloc.start()
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(5):
        model.fit(X, Y, batch_size=16, epochs=4, verbose=0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 50_000
