"""Programs of inference: what was prepared from variables follows every change of them."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import changes, config
from graphkeras.runtime.prepared import PreparedExecutable

L = keras.layers


def build(**options) -> keras.Model:
    """A model with a normalisation to fold and two layers to pack."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 160)),
            L.Conv2D(96, 3, padding="same", use_bias=False, name="conv"),
            L.BatchNormalization(name="norm"),
            L.ReLU(),
            L.Flatten(),
            L.Dense(80, name="dense"),
        ]
    )
    model.compile("sgd", "mse", **options)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 0.4, variable.shape))
    return model


RNG = np.random.default_rng(1)
X = RNG.normal(size=(6, 4, 4, 160)).astype("float32")
Y = RNG.normal(size=(6, 80)).astype("float32")


def expected(model: keras.Model) -> np.ndarray:
    """The outputs for the weights as they are now, computed node by node."""
    twin = build(run_eagerly=True)
    twin.set_weights(model.get_weights())
    return twin.predict(X, verbose=0)


def check(model: keras.Model) -> None:
    wanted = expected(model)
    for found in (
        model.predict(X, verbose=0),
        model.predict_on_batch(X),
        model.predict(X, batch_size=2, verbose=0),
    ):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4 * np.abs(wanted).max())
    loss = float(np.mean((wanted - Y) ** 2))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(loss, rel=1e-3)
    assert model.test_on_batch(X, Y) == pytest.approx(loss, rel=1e-3)


def test_a_transformed_kernel_is_made_once() -> None:
    with config.override(winograd="always"):
        model = build()
        check(model)
        model.weights[0].assign(model.weights[0] * 2.0)
        check(model)
    ops = {n.op for k in prepared_of(model).prepare.program.graph.nodes for n in k.body.nodes}
    assert "winograd_kernel" in ops


def prepared_of(model: keras.Model) -> PreparedExecutable:
    steps = model.training_state.steps.made()
    (found,) = [s.executable for s in steps if s.traced.graph.name == "predict_step"]
    assert isinstance(found, PreparedExecutable)
    return found


def save_and_load(model: keras.Model) -> None:
    other = build()
    other.layers[0].kernel.assign(other.layers[0].kernel * 2.0)
    model.set_weights(other.get_weights())


CHANGES: dict[str, Callable[[keras.Model], object]] = {
    "assign of a kernel": lambda m: m.get_layer("conv").kernel.assign(
        m.get_layer("conv").kernel * 1.5
    ),
    "assign_add of a moving mean": lambda m: m.get_layer("norm").moving_mean.assign_add(
        np.ones(96)
    ),
    "assign_sub of a bias": lambda m: m.get_layer("dense").bias.assign_sub(np.ones(80)),
    "set_weights of a layer": lambda m: m.get_layer("norm").set_weights(
        [w + 0.25 for w in m.get_layer("norm").get_weights()]
    ),
    "set_weights of the model": save_and_load,
    "fit": lambda m: m.fit(X, Y, epochs=2, batch_size=3, verbose=0),
    "fit on a generator": lambda m: m.fit(((X, Y) for _ in range(3)), verbose=0),
    "train_on_batch": lambda m: m.train_on_batch(X, Y),
    "optimizer": lambda m: m.optimizer.apply(
        [np.ones(v.shape, "float32") for v in m.trainable_variables], m.trainable_variables
    ),
}


@pytest.mark.parametrize("way", CHANGES)
def test_every_change_reaches_predict_and_evaluate(way: str) -> None:
    model = build()
    model.optimizer.learning_rate = 1e-3
    check(model)
    before = model.get_weights()
    CHANGES[way](model)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    check(model)
    prepared_of(model)


def test_a_call_of_the_model_in_user_code_that_assigns() -> None:
    class Counting(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(700)
            self.scale = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, x):
            self.scale.assign(self.scale + 1.0)
            return self.dense(x) * self.scale

    model = Counting()
    x = np.ones((2, 700), "float32")
    once = model.predict_on_batch(x)
    np.testing.assert_allclose(model.predict_on_batch(x), once / 2 * 3, rtol=1e-5)
    model.dense.kernel.assign(model.dense.kernel * 2.0)
    np.testing.assert_allclose(model.predict_on_batch(x), once / 2 * 4 * 2, rtol=1e-5)
    model(x)
    np.testing.assert_allclose(model.predict_on_batch(x), once / 2 * 6 * 2, rtol=1e-5)


def test_validation_inside_fit_sees_the_weights_of_each_epoch() -> None:
    model = build()
    model.optimizer.learning_rate = 1e-3
    seen: list[float] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None) -> None:
            seen.append(float(np.mean((expected(model) - Y) ** 2)))

    history = model.fit(
        X, Y, epochs=3, validation_data=(X, Y), callbacks=[Watch()], verbose=0
    ).history
    np.testing.assert_allclose(history["val_loss"], seen, rtol=1e-3)
    assert len(set(seen)) == 3


def test_two_models_that_share_a_layer() -> None:
    shared = L.Dense(300, name="shared")
    inputs = keras.Input((600,))
    one = keras.Model(inputs, L.Dense(300)(shared(inputs)))
    other = keras.Model(inputs, L.ReLU()(shared(inputs)))
    x = np.random.default_rng(0).normal(size=(3, 600)).astype("float32")
    one.predict(x, verbose=0), other.predict(x, verbose=0)
    one.compile("sgd", "mse")
    one.fit(x, np.ones((3, 300)), verbose=0)
    kernel, bias = (np.asarray(w) for w in shared.get_weights())
    np.testing.assert_allclose(
        other.predict(x, verbose=0), np.maximum(x @ kernel + bias, 0), rtol=1e-4, atol=1e-4
    )


def test_nothing_is_prepared_again_without_a_change() -> None:
    model = build()
    model.predict(X, verbose=0)
    executable = prepared_of(model)
    made = executable._prepared
    assert made is not None
    model.predict(X, verbose=0)
    assert executable._prepared is made
    # Another variable changes: the stamps are looked at, the arrays stay.
    keras.Variable(1.0).assign(2.0)
    model.predict(X, verbose=0)
    assert executable._prepared is not made
    assert executable._prepared.arrays is made.arrays
    model.weights[0].assign(model.weights[0])
    model.predict(X, verbose=0)
    assert executable._prepared.arrays is not made.arrays


def test_threads_see_a_change_that_happened_before_their_call() -> None:
    model = build()
    bias = model.get_layer("dense").bias
    start = model.predict_on_batch(X)
    errors: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            low = float(bias.value[0])
            shift = float((model.predict_on_batch(X) - start)[0, 0])
            high = float(bias.value[0])
            first = low - base
            if not first - 0.05 <= shift <= high - base + 0.05:
                errors.append(f"{first} {shift} {high - base}")

    base = float(bias.value[0])
    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        bias.assign(bias + 1.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_kernels_that_change_in_one_thread_are_never_mixed_up() -> None:
    model = build()
    kernel = model.get_layer("dense").kernel
    model.get_layer("dense").bias.assign(np.zeros(80))
    start = model.predict_on_batch(X)
    stop = threading.Event()
    failed: list[float] = []

    def change() -> None:
        while not stop.is_set():
            kernel.assign(kernel * 1.0)

    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(100):
        failed += [float(np.abs(model.predict_on_batch(X) - start).max())]
    stop.set()
    thread.join()
    assert max(failed) == 0


def test_prepared_memory_is_freed_with_the_model_and_with_a_change() -> None:
    model = build()
    model.predict(X, verbose=0)
    arrays = prepared_of(model)._prepared.arrays
    old = [weakref.ref(array) for array in arrays]
    del arrays
    model.weights[0].assign(model.weights[0] * 2.0)
    model.predict(X, verbose=0)
    gc.collect()
    buffers = {id(variable.buffer) for variable in model.weights}
    assert all(r() is None or id(r()) in buffers for r in old)
    new = [weakref.ref(array) for array in prepared_of(model)._prepared.arrays]
    del model, buffers
    gc.collect()
    assert all(r() is None for r in new)


def test_a_copied_variable_has_changes_of_its_own() -> None:
    import copy

    variable = keras.Variable(1.0)
    other = copy.deepcopy(variable)
    stamp = variable.change.stamp
    other.assign(2.0)
    assert variable.change.stamp is stamp
    assert changes.latest.stamp is other.change.stamp


def test_the_prepared_program_can_be_looked_at() -> None:
    model = build()
    model.predict(X, verbose=0)
    steps = keras.utils.compiled_steps(model)
    assert list(steps) == ["predict_step", "prepare_predict_step"]
    prepare = steps["prepare_predict_step"]
    assert {name.split("/")[-2] for name in prepare.program.graph.output_names} == {"conv", "dense"}
    cut = [r.before for r in steps["predict_step"].records if r.name == "split_constants"]
    assert prepare.records[0].name == "split_constants"
    assert [prepare.records[0].before] == cut
    kernels = [launch.kernel.comment for launch in prepare.program.launches]
    assert any("sequential" in text and "conv" in text for text in kernels)
