"""`fit` as a loop: callbacks, output, validation, kinds of data, steps, interrupts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import keras as real_keras
import numpy as np
import pandas as pd
import pytest

import graphkeras as gk

MOMENTS = [
    f"on_{kind}_{edge}"
    for kind in ("train", "test", "predict", "epoch", "train_batch", "test_batch", "predict_batch")
    for edge in ("begin", "end")
]


def linear(k: Any) -> Any:
    return k.Sequential([k.Input((4,)), k.layers.Dense(1)])


@pytest.fixture
def model() -> Any:
    made = linear(gk)
    made.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return made


X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = X.sum(axis=1)


def recorder(k: Any, log: list[Any]) -> Any:
    class Recorder(k.callbacks.Callback):  # type: ignore[misc, name-defined]  # an argument
        pass

    def method(name: str) -> Any:
        def record(self: Any, *args: Any, logs: Any = None) -> None:
            values = args[-1] if logs is None and args and not isinstance(args[-1], int) else logs
            keys = sorted(values) if values else []
            log.append((name, [a for a in args if isinstance(a, int)], keys))

        return record

    for name in MOMENTS:
        setattr(Recorder, name, method(name))
    return Recorder()


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 2, "batch_size": 20},
        {"epochs": 2, "batch_size": 20, "validation_split": 0.4},
        {"epochs": 4, "batch_size": 25, "validation_data": (X, Y), "validation_freq": 2},
        {"epochs": 3, "initial_epoch": 1, "validation_data": (X, Y), "validation_freq": [3]},
        {"epochs": 2, "steps_per_epoch": 2, "batch_size": 10},
        {"epochs": 1, "validation_data": (X, Y), "validation_steps": 1},
    ],
)
def test_callbacks_are_called_in_the_order_of_keras(pair: Any, options: dict[str, Any]) -> None:
    logs: list[list[Any]] = [[], []]
    ours, theirs = pair(linear, optimizer="sgd", loss="mse", metrics=["mae"])
    for k, model, log in ((gk, ours, logs[0]), (real_keras, theirs, logs[1])):
        model.fit(X, Y, callbacks=[recorder(k, log)], verbose=0, **options)
        model.evaluate(X, Y, callbacks=[recorder(k, log)], verbose=0)
        model.predict(X, callbacks=[recorder(k, log)], verbose=0)
    assert logs[0] == logs[1]


def timeless(text: str) -> str:
    """The printed text after cursor movements, colours and times are taken out."""
    text = re.sub(r"\x1b\[\d+m", "", text)
    lines = []
    for line in text.split("\n"):
        shown = line.split("\r")[-1].replace("\b", "")
        lines.append(
            re.sub(r"\d+(:\d+)*s \d+[mu]?s/step|\d+s - \d+[mu]?s/step", "T", shown).rstrip()
        )
    return "\n".join(lines)


@pytest.mark.parametrize("verbose", ["auto", 0, 1, 2])
@pytest.mark.parametrize("epochs", [1, 2])
def test_printed_text_is_that_of_keras(
    pair: Any, verbose: Any, epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for model in pair(linear, optimizer="sgd", loss="mse", metrics=["mae"]):
        options = {"verbose": verbose, "batch_size": 16}
        model.fit(X, Y, epochs=epochs, shuffle=False, validation_split=0.2, **options)
        model.evaluate(X, Y, **options)
        model.predict(X, **options)
        texts.append(timeless(capsys.readouterr().out))
    assert texts[0] == texts[1]
    if verbose in (1, "auto"):
        assert "━━━━━━━━━━━━━━━━━━━━ T - loss: " in texts[0]


def test_history_and_model_history(model: Any) -> None:
    history = model.fit(X, Y, epochs=2, validation_split=0.5, verbose=0)
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert history.epoch == [0, 1]
    assert model.history is history
    assert all(isinstance(v, float) for values in history.history.values() for v in values)


def test_stop_training_from_a_batch(model: Any) -> None:
    seen: list[int] = []

    class Stop(gk.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)
            self.model.stop_training = batch == 1

    history = model.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1]
    assert history.epoch == [0]


def test_early_stopping_restores_weights(model: Any) -> None:
    stop = gk.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    kept: dict[int, Any] = {}
    keep = gk.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.setdefault(epoch, model.get_weights())
    )
    raise_rate = gk.callbacks.LearningRateScheduler(lambda e, r: 0.01 if e < 3 else 0.9)
    model.fit(X, Y, epochs=20, verbose=0, callbacks=[keep, raise_rate, stop])
    assert stop.stopped_epoch
    for a, b in zip(model.get_weights(), kept[stop.best_epoch], strict=True):
        np.testing.assert_array_equal(a, b)


def test_run_eagerly_may_be_set_after_compile() -> None:
    model = linear(gk)
    model.compile("sgd", "mse")
    compiled = model.predict(X, verbose=0)
    model.run_eagerly = True
    assert model.run_eagerly
    np.testing.assert_allclose(model.predict(X, verbose=0), compiled, rtol=1e-5, atol=1e-6)
    (step,) = model.training_state.steps.made()
    assert type(step.executable).__name__ == "ReferenceExecutable"


def test_learning_rate_changes_reach_the_compiled_step() -> None:
    model = linear(gk)
    model.compile(gk.optimizers.SGD(0.1), "mse", run_eagerly=True)
    before = model.get_weights()
    schedule = gk.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    model.fit(X, Y, verbose=0, callbacks=[schedule])
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def generator() -> Iterator[Any]:
    while True:
        for i in range(0, 50, 10):
            yield X[i : i + 10], Y[i : i + 10]


class Batches(gk.utils.PyDataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        return X[i * 10 : i * 10 + 10], Y[i * 10 : i * 10 + 10]


@pytest.mark.parametrize(
    "source",
    [
        lambda: (X, Y),
        lambda: (X.tolist(), Y.tolist()),
        lambda: (pd.DataFrame(X), pd.Series(Y)),
        lambda: (X.astype(np.float64), Y[:, None]),
        lambda: (Batches(), None),
        lambda: (Batches(workers=2), None),
        lambda: (generator(), None),
    ],
)
def test_every_kind_of_data_trains_alike(source: Any) -> None:
    model = linear(gk)
    model.set_weights([np.ones((4, 1), np.float32), np.zeros(1, np.float32)])
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = source()
    arrays = y is not None
    model.fit(
        x,
        y,
        batch_size=10 if arrays else None,
        epochs=2,
        steps_per_epoch=None if arrays or isinstance(x, gk.utils.PyDataset) else 5,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
    )
    reference = real_keras.Sequential([real_keras.Input((4,)), real_keras.layers.Dense(1)])
    reference.set_weights([np.ones((4, 1)), np.zeros(1)])
    reference.compile("sgd", "mse")
    reference.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_finite_generator_ends_training_with_advice(model: Any) -> None:
    batches = ((X, Y) for _ in range(2))
    with pytest.warns(UserWarning, match="ran out of data before epoch 2; training ends here"):
        history = model.fit(batches, epochs=3, verbose=0)
    assert history.epoch == [0]


def test_steps_per_execution_groups_callbacks() -> None:
    model = linear(gk)
    model.compile("sgd", "mse", steps_per_execution=2, run_eagerly=True)
    seen: list[Any] = []
    callback = gk.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(("begin", batch)),
        on_train_batch_end=lambda batch, logs: seen.append(("end", batch)),
    )
    model.fit(X, Y, batch_size=10, verbose=0, callbacks=[callback])
    expected = [("begin", 0), ("end", 1), ("begin", 2), ("end", 3), ("begin", 4), ("end", 4)]
    assert seen == expected


def test_integer_images_are_cast_batch_by_batch() -> None:
    images = (X * 20 + 100).astype(np.uint8)
    results = []
    for x in (images, images.astype(np.float32)):
        model = linear(gk)
        model.set_weights([np.ones((4, 1), np.float32), np.zeros(1, np.float32)])
        model.compile(gk.optimizers.SGD(1e-6), "mse", run_eagerly=True)
        np.random.seed(1)
        model.fit(x, Y, verbose=0)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(results[0], results[1])


def test_set_random_seed_repeats_training() -> None:
    results = []
    for _ in range(2):
        gk.utils.set_random_seed(42)
        layers = [gk.Input((4,)), gk.layers.Dense(8), gk.layers.Dropout(0.5), gk.layers.Dense(1)]
        model = gk.Sequential(layers)
        model.compile("adam", "mse", run_eagerly=True)
        model.fit(X, Y, epochs=2, verbose=0)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="expected a whole number from 0 to 4294967295"):
        gk.utils.set_random_seed(-1)


def test_interrupt_leaves_a_usable_model(model: Any) -> None:
    weights: list[Any] = []

    class Interrupt(gk.callbacks.Callback):
        ended = False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                weights.extend(model.get_weights())
                raise KeyboardInterrupt

        def on_train_end(self, logs: Any = None) -> None:
            self.ended = True

    callback = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, epochs=5, verbose=0, callbacks=[callback])
    assert not callback.ended
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()
    model.fit(X, Y, verbose=0)


def test_predict_shapes(model: Any) -> None:
    assert model.predict(X, verbose=0).shape == (50, 1)
    assert model.predict(X, batch_size=7, verbose=0).shape == (50, 1)
    assert model.predict(X[:1], verbose=0).shape == (1, 1)
    assert model.predict(X, batch_size=10, steps=2, verbose=0).shape == (20, 1)
    assert model.predict(((X,) for _ in range(2)), verbose=0).shape == (100, 1)
    whole = model.predict(X, batch_size=50, verbose=0)
    np.testing.assert_allclose(model.predict(X, batch_size=7, verbose=0), whole, rtol=1e-6)


def test_predict_works_without_compile() -> None:
    assert linear(gk).predict_on_batch(X).shape == (50, 1)


def test_predict_results_do_not_share_memory(model: Any) -> None:
    first = model.predict(X, verbose=0)
    kept = first.copy()
    model.predict(X + 1, verbose=0)
    np.testing.assert_array_equal(first, kept)


def test_one_dimensional_inputs_of_one_feature() -> None:
    model = gk.Sequential([gk.Input((1,)), gk.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(np.arange(8.0) / 8, np.arange(8.0), verbose=0)
    assert model.predict(np.arange(3.0), verbose=0).shape == (3, 1)


def test_a_deferred_sequential_model_is_built_by_fit() -> None:
    model = gk.Sequential([gk.layers.Dense(5), gk.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert [w.shape for w in model.get_weights()] == [(4, 5), (5,), (5, 1), (1,)]


def test_metrics_of_the_model(model: Any) -> None:
    model.fit(X, Y, verbose=0)
    assert model.metrics_names == ["loss", "compile_metrics"]
    assert [m.name for m in model.flat_metrics] == ["loss", "mae"]
    model.reset_metrics()
    assert float(model.get_metrics_result()["loss"]) == 0.0


def test_overridden_compute_loss_is_trained_on() -> None:
    class Doubled(gk.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = gk.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(
            self,
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            training: bool = True,
        ) -> Any:
            return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

    model = Doubled()
    model.compile("sgd", "mse", run_eagerly=True)
    model(X)
    plain = linear(gk)
    plain.compile("sgd", "mse", run_eagerly=True)
    plain.set_weights(model.get_weights())
    once = plain.test_on_batch(X, Y)
    assert model.test_on_batch(X, Y) == pytest.approx(2 * once, rel=1e-5)
