"""Many batches in one native call: everything is as if each batch were a call of its own."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import graphkeras as gk
from graphkeras.callbacks.callback import patient
from graphkeras.errors import NonFiniteLossError
from graphkeras.runtime import set_num_threads
from graphkeras.runtime.pool import Job
from graphkeras.training import pace, stream
from graphkeras.training.pace import Pace

SAMPLES = 70
RNG = np.random.default_rng(0)
X = RNG.normal(size=(SAMPLES, 6)).astype(np.float32)
PIXELS = RNG.integers(0, 256, (SAMPLES, 6)).astype(np.uint8)
Y = RNG.integers(0, 3, SAMPLES)
WEIGHT = RNG.uniform(0.5, 2.0, SAMPLES).astype(np.float32)


class EveryBatch(gk.callbacks.Callback):
    """Listens to every batch, so that each one is a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)


def classifier() -> Any:
    """Dropout and batch normalisation: state of every kind changes from batch to batch."""
    gk.utils.set_random_seed(3)
    model = gk.Sequential(
        [
            gk.Input((6,)),
            gk.layers.Dense(8, activation="relu"),
            gk.layers.BatchNormalization(),
            gk.layers.Dropout(0.3),
            gk.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def native_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of batches of all native calls."""
    counts: list[int] = []
    run = stream.Stream._native

    def counted(self: Any, span: Any, start: int, size: int, batches: int, *rest: Any) -> Any:
        counts.append(batches)
        return run(self, span, start, size, batches, *rest)

    monkeypatch.setattr(stream.Stream, "_native", counted)
    return counts


def train(x: Any, y: Any, callbacks: Any, **options: Any) -> tuple[Any, Any]:
    model = classifier()
    np.random.seed(5)
    given = {"batch_size": 16, "epochs": 3, "verbose": 0, **options}
    return model, model.fit(x, y, callbacks=callbacks, **given).history


@pytest.mark.parametrize(
    ("x", "shuffle"),
    [
        pytest.param(X, True, id="float32"),
        pytest.param(X, False, id="in order"),
        pytest.param(X, "batch", id="shuffled in batches"),
        pytest.param(X.astype(np.float64), True, id="float64"),
        pytest.param(X.astype(np.float16), True, id="float16"),
        pytest.param(PIXELS, True, id="uint8"),
        pytest.param(PIXELS.astype(np.int32), False, id="int32"),
        pytest.param(PIXELS.astype(np.int64), True, id="int64"),
        pytest.param(PIXELS > 100, True, id="bool"),
        pytest.param(PIXELS.astype(np.uint16), True, id="uint16"),
        pytest.param(np.repeat(X, 2, axis=0)[::2], False, id="every other row"),
        pytest.param(np.repeat(X, 2, axis=0)[::2], True, id="every other row, shuffled"),
        pytest.param(np.repeat(PIXELS, 2, axis=1)[:, 1:7], True, id="columns of a table"),
        pytest.param(X[..., None], True, id="one axis too many"),
    ],
)
def test_training_is_that_of_single_calls(x: Any, shuffle: Any, native_batches: list[int]) -> None:
    options = {"shuffle": shuffle, "sample_weight": WEIGHT}
    ours, history = train(x, Y, None, **options)
    assert sum(native_batches) == 3 * 5, "all batches in native calls"
    native_batches.clear()
    theirs, expected = train(x, Y, [each := EveryBatch()], **options)
    assert native_batches == [1] * 15
    assert each.seen == [0, 1, 2, 3, 4] * 3
    assert history == expected
    for ours_weight, theirs_weight in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(ours_weight, theirs_weight)


def test_native_batches_are_those_that_python_gathers() -> None:
    wide = np.concatenate([X, X], axis=1, dtype=np.float64)
    for x, y in ((X, Y), (PIXELS, Y), (wide[:, 3:9], np.stack([Y, Y], axis=1)[:, 1])):
        ours, _ = train(x, y, None, epochs=1)
        theirs = classifier()
        np.random.seed(5)
        order = np.random.permutation(SAMPLES)
        for start in range(0, SAMPLES, 16):
            rows = order[start : start + 16]
            theirs.train_on_batch(x[rows], y[rows])
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_step_that_gathers_is_the_only_one_that_is_compiled() -> None:
    model = classifier()
    made: list[int] = []

    class First(gk.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            made.extend(len(step.made) for step in model.training_state.steps.made())

    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[First()])
    assert made == [1], "compiled before the first callback"
    (step,) = model.training_state.steps.made()
    (types,) = step.made
    assert [str(type) for type in types] == ["f32[S,6]", "i64[S]"]
    model.train_on_batch(X, Y)
    assert len(step.made) == 2
    assert gk.utils.compiled_steps(model)["train_step"] is step.executable


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 7},
        {"batch_size": 100},
        {"steps_per_epoch": 3, "epochs": 5},
        {"validation_split": 0.3},
        {"validation_data": (X, Y), "validation_steps": 2, "validation_batch_size": 10},
        {"class_weight": {0: 1.0, 1: 3.0}},
    ],
    ids=str,
)
def test_epochs_are_cut_as_for_single_calls(options: dict[str, Any]) -> None:
    _, history = train(X, Y, None, **options)
    _, expected = train(X, Y, [EveryBatch()], **options)
    assert history == expected


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.asfortranarray(X), id="columns"),
        pytest.param(X.astype(">f4"), id="foreign byte order"),
        pytest.param(X[::-1], id="backwards"),
        pytest.param(np.broadcast_to(X[:1], X.shape), id="one row again and again"),
        pytest.param(
            np.lib.stride_tricks.sliding_window_view(np.resize(X, SAMPLES + 5), 6), id="windows"
        ),
    ],
)
def test_what_native_code_cannot_read_is_run_batch_by_batch(
    x: Any, native_batches: list[int]
) -> None:
    _, history = train(x, Y, None)
    assert native_batches == []
    _, expected = train(x, Y, [EveryBatch()])
    assert history == expected


def test_groups_are_steps_per_execution_for_those_who_listen(native_batches: list[int]) -> None:
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=2)
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[each := EveryBatch()])
    assert each.seen == [1, 3, 4]
    assert native_batches == [2, 2, 1]


def test_several_inputs_and_outputs(native_batches: list[int]) -> None:
    def build() -> Any:
        gk.utils.set_random_seed(1)
        a, b = gk.Input((6,), name="a"), gk.Input((6,), name="b")
        h = gk.layers.Concatenate()([gk.layers.Dense(4)(a), gk.layers.Dense(4)(b)])
        outputs = [gk.layers.Dense(1, name="one")(h), gk.layers.Dense(3, name="three")(h)]
        model = gk.Model({"b": b, "a": a}, outputs)
        model.compile("sgd", ["mse", "mae"])
        return model

    data = {"a": X, "b": X[::-1].astype(np.float64)}
    targets = [X[:, :1], np.tile(WEIGHT[:, None], 3)]
    results = []
    for callbacks in (None, [EveryBatch()]):
        model = build()
        history = model.fit(data, targets, verbose=0, shuffle=False, callbacks=callbacks).history
        outputs = model.predict(data, verbose=0, callbacks=callbacks)
        results.append((history, [o.tolist() for o in outputs]))
    assert results[0] == results[1]
    assert native_batches


@pytest.mark.parametrize("size", [1, 16, 35, 70])
@pytest.mark.parametrize("x", [X, X.astype(np.float64)], ids=["in place", "converted"])
def test_predict_and_evaluate_are_those_of_single_calls(x: Any, size: int) -> None:
    model = classifier()
    model.fit(X, Y, verbose=0)
    single = {"batch_size": size, "verbose": 0, "callbacks": [EveryBatch()]}
    outputs = model.predict(x, batch_size=size, verbose=0)
    np.testing.assert_array_equal(outputs, model.predict(x, **single))
    assert outputs.shape == (SAMPLES, 3)
    assert outputs.flags.owndata or outputs.base.flags.owndata
    assert model.evaluate(x, Y, batch_size=size, verbose=0) == model.evaluate(x, Y, **single)


def test_outputs_that_are_no_rows_are_joined_batch_by_batch(native_batches: list[int]) -> None:
    x = gk.Input((6,))
    model = gk.Model(x, gk.layers.Lambda(lambda t: gk.ops.reshape(t, (-1, 3)))(x))
    np.testing.assert_array_equal(model.predict(X, batch_size=16, verbose=0), X.reshape(-1, 3))
    assert native_batches == []


def test_a_loss_that_is_not_finite_ends_fit_behind_its_batch() -> None:
    bad = X.copy()
    bad[37, 2] = np.nan
    options = {"shuffle": False, "batch_size": 8, "epochs": 1}
    errors, weights = [], []
    for callbacks in (None, [EveryBatch()]):
        model = classifier()
        with pytest.raises(NonFiniteLossError) as caught:
            model.fit(bad, Y, verbose=0, callbacks=callbacks, **options)
        errors.append(str(caught.value))
        weights.append([w.tolist() for w in model.get_weights()])
        assert int(model.optimizer.iterations.numpy()) == 4
    assert "x holds NaN or infinity (first in sample 5 of the batch)" in errors[0]
    assert errors[0] == errors[1]
    assert weights[0] == weights[1]


def test_without_the_error_training_goes_on() -> None:
    bad = X.copy()
    bad[37, 2] = np.nan
    with gk.config.override(nan_loss="ignore"):
        histories = [
            train(bad, Y, callbacks, shuffle=False, epochs=1)[1]
            for callbacks in (None, [EveryBatch()])
        ]
    assert np.isnan(histories[0]["loss"]).all()
    assert str(histories[0]) == str(histories[1])


def test_shapes_that_change_between_fits() -> None:
    model = classifier()
    for samples, size in ((70, 16), (33, 8), (70, 32), (5, 2)):
        model.fit(X[:samples], Y[:samples], batch_size=size, verbose=0)
        assert len(model.predict(X[:samples], batch_size=size, verbose=0)) == samples


def test_threads_may_change_between_groups() -> None:
    weights = []
    for threads in ((1, 1), (1, 3), (3, 2)):
        model = classifier()
        for count in threads:
            set_num_threads(count)
            model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        weights.append([w.tolist() for w in model.get_weights()])
    set_num_threads(None)
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("threads", [2, 3])
def test_idle_threads_ask_for_the_next_batch(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[int] = []
    with_row = Job.with_row

    def noted(self: Job, position: int, *rest: Any) -> Job:
        places.append(position)
        assert 0 <= position < len(self.table)
        return with_row(self, position, *rest)

    monkeypatch.setattr(Job, "with_row", noted)
    x, y = np.tile(X, (20, 40)), np.tile(Y, 20)
    weights = []
    for count in (1, threads):
        set_num_threads(count)
        gk.utils.set_random_seed(3)
        model = gk.Sequential(
            [gk.Input((240,)), gk.layers.Dense(128, "relu"), gk.layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        weights.append([w.tolist() for w in model.get_weights()])
        assert bool(places) == (count > 1)
    set_num_threads(None)
    assert weights[0] == weights[1]


class Clock:
    """A clock that a batch moves on by `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        return self.now

    def counts(self, chosen: Pace, groups: int) -> list[int]:
        counts = []
        for _ in range(groups):
            counts.append(chosen())
            self.now += counts[-1] * self.seconds
        return counts


@patient
def progress(batch: int, logs: Any = None) -> None:
    """A listener like the progress bar."""


def test_groups_take_a_twentieth_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(seconds=2**-12)
    monkeypatch.setattr(pace, "perf_counter", clock)
    chosen = Pace(1, [progress])
    chosen.start()
    assert clock.counts(chosen, 5) == [1, 16, 204, 204, 204]
    chosen.start()
    assert clock.counts(chosen, 2) == [1, 16], "the bar appears with the first batch"
    clock.seconds = 1.0
    assert clock.counts(chosen, 3) == [204, 1, 1]
    assert clock.counts(Pace(3, []), 3) == [3, 3, 3]


def test_who_listens_to_every_batch_hears_every_batch() -> None:
    heard = EveryBatch().on_train_batch_end
    chosen = Pace(4, [progress, heard])
    assert [chosen() for _ in range(3)] == [4, 4, 4]


def test_a_progress_bar_that_is_overridden_hears_every_batch(native_batches: list[int]) -> None:
    seen = []

    class Bar(gk.callbacks.ProgbarLogger):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    classifier().fit(X, Y, batch_size=16, callbacks=[Bar()], verbose=0)
    assert seen == [0, 1, 2, 3, 4]
    assert native_batches == [1] * 5


@pytest.mark.parametrize("method", ["predict_on_batch", "predict", "train_on_batch", "evaluate"])
def test_calls_leave_nothing_behind(method: str) -> None:
    model = classifier()
    rows = X[:4]
    arguments: tuple[Any, ...] = (rows,) if "predict" in method else (rows, Y[:4])
    options = {} if "batch" in method else {"verbose": 0}

    def calls(count: int) -> int:
        for _ in range(count):
            getattr(model, method)(*arguments, **options)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        held = [calls(100) for _ in range(5)]
    finally:
        tracemalloc.stop()
    # An array that is kept takes 112 bytes a call, in every hundred of them. Free lists of Python
    # and NumPy grow too, by some kilobytes now and then.
    assert min(later - sooner for sooner, later in pairwise(held)) < 100 * 64
