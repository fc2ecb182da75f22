"""Wrong input to training: what the messages say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphkeras as gk
from graphkeras import config
from graphkeras.errors import (
    DataError,
    DataTypeError,
    LabelRangeError,
    NonFiniteLossError,
    NotCompiledError,
    ShapeError,
    StructureError,
    UnknownNameError,
)

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
Y = np.arange(20) % 3


def classifier(loss: Any = "sparse_categorical_crossentropy", **arguments: Any) -> Any:
    model = gk.Sequential(
        [gk.Input((4,), name="features"), gk.layers.Dense(3, "softmax", name="scores")]
    )
    model.compile("sgd", loss, run_eagerly=True, **arguments)
    return model


def regression(rate: float = 0.01, **arguments: Any) -> Any:
    model = gk.Sequential(
        [gk.Input((4,)), gk.layers.Dense(8, name="first"), gk.layers.Dense(1, name="last")]
    )
    model.compile(gk.optimizers.SGD(rate), "mse", run_eagerly=True, **arguments)
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_not_compiled(method: str) -> None:
    model = gk.Sequential([gk.Input((4,)), gk.layers.Dense(1)])
    with pytest.raises(NotCompiledError) as info:
        getattr(model, method)(X, Y)
    text = str(info.value)
    assert f"must be compiled before `{method}`" in text
    assert "You must call `compile()` first" in text
    assert isinstance(info.value, ValueError)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"optimizer": "adm"}, "Unknown optimizer 'adm'. Did you mean 'Adam'?"),
        ({"loss": "mean_sqared_error"}, "Did you mean 'mean_squared_error'?"),
        ({"loss": {"a": "mea"}}, "Unknown loss 'mea'."),
        ({"metrics": ["acuracy"]}, "Unknown metric 'acuracy'. Did you mean '"),
        ({"weighted_metrics": ["maee"]}, "Unknown metric 'maee'. Did you mean '"),
    ],
)
def test_unknown_names_are_reported_by_compile(arguments: dict[str, Any], hint: str) -> None:
    model = gk.Sequential([gk.Input((4,)), gk.layers.Dense(1)])
    with pytest.raises(UnknownNameError) as info:
        model.compile(**arguments)
    assert hint in str(info.value)


def test_metrics_must_be_a_list() -> None:
    with pytest.raises(StructureError, match=r"Write metrics=\['accuracy'\]"):
        classifier(metrics="accuracy")
    with pytest.raises(StructureError, match="`loss_weights` must be a float"):
        classifier(loss_weights="heavy")


def test_input_shape() -> None:
    with pytest.raises(ShapeError) as info:
        classifier().fit(X[:, :3], Y)
    text = str(info.value)
    assert "x does not fit input 'features' of model" in text
    assert "expected shape: (None, 4)" in text
    assert "received shape: (None, 3) (batches of 20)" in text


def test_input_shape_advice_to_reshape() -> None:
    images = np.zeros((20, 2, 2))
    with pytest.raises(ShapeError, match=r"x\.reshape\(-1, 4\), or declare Input\(shape=\(2, 2"):
        classifier().predict(images, verbose=0)
    cnn = gk.Sequential([gk.Input((8, 8, 1)), gk.layers.Flatten(), gk.layers.Dense(1)])
    cnn.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ShapeError, match=r"expected shape: \(None, 8, 8, 1\)"):
        cnn.fit(np.zeros((4, 8, 9)), np.zeros(4))


def test_number_and_names_of_inputs() -> None:
    a, b = gk.Input((2,), name="left"), gk.Input((2,), name="right")
    model = gk.Model([a, b], gk.layers.Dense(1)(gk.layers.Add()([a, b])))
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.zeros((4, 2))
    with pytest.raises(StructureError, match=r"has 2 inputs \(left, right\), but x holds 1 array"):
        model.fit(x, x[:, 0])
    with pytest.raises(StructureError, match=r"no input 'rihgt'\. Did you mean 'right'\?"):
        model.fit({"left": x, "rihgt": x}, x[:, 0])
    with pytest.raises(StructureError, match="x has no array for the input 'right'"):
        model.fit({"left": x}, x[:, 0])


@pytest.mark.parametrize(
    ("bad", "value", "advice"),
    [
        (lambda y: y + 1, 3, "number the classes from 0: y - 1"),
        (lambda y: np.where(y == 0, -1, y), -1, "pass ignore_class to the loss"),
        (lambda y: np.where(y == 0, 7, y), 7, "give the output 8 units"),
        (lambda y: y + 0.5, 0.5, "encode the classes as 0, 1, 2"),
        (lambda y: np.where(y == 0, np.nan, y), math.nan, "encode the classes as 0, 1, 2"),
    ],
)
def test_labels_out_of_range(bad: Any, value: float, advice: str) -> None:
    model = classifier()
    weights = model.get_weights()
    with pytest.raises(LabelRangeError) as info:
        model.fit(X, bad(Y), verbose=0)
    text = str(info.value)
    assert "the labels of output 'scores' do not fit sparse_categorical_crossentropy" in text
    assert "expected: whole numbers from 0 to 2 (3 units)" in text
    assert f"received: {value}" in text
    assert advice in text
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_of_generators_are_checked_batch_by_batch() -> None:
    with pytest.raises(LabelRangeError, match="received: 9 at sample 0"):
        classifier().fit(((X, Y + 9 * i) for i in range(2)), verbose=0)
    with pytest.raises(LabelRangeError, match=r"from 0 to 2"):
        classifier().evaluate(X, Y + 5, verbose=0)
    with pytest.raises(LabelRangeError):
        classifier().train_on_batch(X, Y + 5)


def test_ignored_class_is_allowed() -> None:
    loss = gk.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    classifier(loss).fit(X, np.where(Y == 0, -1, Y), verbose=0)


def test_one_hot_labels_for_the_sparse_loss() -> None:
    with pytest.raises(ShapeError, match="look one-hot: use loss='categorical_crossentropy'"):
        classifier().fit(X, np.eye(3)[Y], verbose=0)


def test_class_numbers_for_the_dense_loss() -> None:
    with pytest.raises(ShapeError) as info:
        classifier("categorical_crossentropy").fit(X, Y, verbose=0)
    text = str(info.value)
    assert "y does not fit output 'scores' for the loss 'categorical_crossentropy'" in text
    assert "expected shape: (None, 3)" in text
    assert "received shape: (None,)" in text
    assert "use loss='sparse_categorical_crossentropy'" in text


def test_targets_of_another_width() -> None:
    with pytest.raises(ShapeError, match="give the last layer 2 units, or pass y with 3 columns"):
        classifier("mse").fit(X, X[:, :2], verbose=0)


def test_number_of_targets() -> None:
    with pytest.raises(StructureError, match="the model has 1 output: 'scores', but y holds 2"):
        classifier().fit(X, [Y, Y], verbose=0)
    x = gk.Input((4,))
    outputs = [gk.layers.Dense(1, name="a")(x), gk.layers.Dense(1, name="b")(x)]
    model = gk.Model(x, outputs)
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(StructureError, match="the model has 2 outputs: 'a', 'b', but y holds 1"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", {"a": "mse", "c": "mse"}, run_eagerly=True)
    with pytest.raises(StructureError, match="`loss` names the output 'c'"):
        model.fit(X, [Y, Y], verbose=0)
    model.compile("sgd", ["mse"] * 3, run_eagerly=True)
    with pytest.raises(StructureError, match="`loss` has 3 entries, but the model has 2 outputs"):
        model.fit(X, [Y, Y], verbose=0)
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    with pytest.raises(StructureError, match="a list with one entry for each of the 2 outputs"):
        model.fit(X, [Y, Y], verbose=0)


def test_missing_targets() -> None:
    with pytest.raises(StructureError, match="output 'scores' has a loss, but no targets"):
        classifier().fit(X, verbose=0)
    model = classifier()
    with pytest.raises(StructureError, match="output 'scores' has a loss, but no targets"):
        model.fit(X, Y, validation_data=X, verbose=0)


def test_a_model_compiled_without_loss() -> None:
    model = classifier(None)
    with pytest.raises(StructureError, match=r"has no loss to train with: pass one to compile\(\)"):
        model.fit(X, Y, verbose=0)


def test_a_model_compiled_without_optimizer() -> None:
    model = classifier()
    model.compile(None, "mse", run_eagerly=True)
    assert model.evaluate(X, np.eye(3)[Y], verbose=0) > 0
    with pytest.raises(StructureError, match="compiled with optimizer=None"):
        model.fit(X, np.eye(3)[Y], verbose=0)


def test_data_errors_reach_fit() -> None:
    with pytest.raises(DataError, match="same number of samples"):
        classifier().fit(X, Y[:5])
    with pytest.raises(DataError, match="the data are empty"):
        classifier().fit(X[:0], Y[:0])
    with pytest.raises(DataTypeError, match="x has dtype <U"):
        classifier().fit(X.astype(str), Y)
    with pytest.raises(DataError, match="`x` is None"):
        classifier().fit(None, Y)
    with pytest.raises(DataError, match=r"x is a list whose items differ in length.*pad_sequences"):
        classifier().fit([[1.0, 2.0], [3.0]], Y[:2])
    with pytest.raises(DataError, match=r"class_weight must be a dict.*received 'balanced'"):
        classifier().fit(X, Y, class_weight="balanced")
    with pytest.raises(DataError, match=r"but x is a generator\. Pass validation_data instead"):
        classifier().fit(((X, Y) for _ in range(2)), validation_split=0.2)
    with pytest.raises(DataError, match="validation_freq must be"):
        classifier().fit(X, Y, validation_freq="often")  # type: ignore[arg-type]  # the mistake


def test_a_loss_must_be_a_number() -> None:
    with pytest.raises(ShapeError, match="must be one number, its shape is"):
        classifier(gk.losses.SparseCategoricalCrossentropy(reduction=None)).fit(X, Y, verbose=0)


def test_nan_in_the_data_is_named() -> None:
    x = X.copy()
    x[3, 1] = np.nan
    model = regression()
    weights = model.get_weights()
    with pytest.raises(NonFiniteLossError) as info:
        model.fit(x, Y, shuffle=False, verbose=0)
    text = str(info.value)
    assert "the loss became nan during training" in text
    assert "cause: x holds NaN or infinity (first in sample 3 of the batch)" in text
    assert isinstance(info.value, RuntimeError)
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_divergence_names_the_layer_and_keeps_finite_weights() -> None:
    model = regression(1e18)
    with pytest.raises(NonFiniteLossError) as info:
        model.fit(X, Y, epochs=20, verbose=0)
    text = str(info.value)
    assert "is the first whose result is not finite" in text
    assert "lower the learning rate" in text
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.predict(X, verbose=0)


def test_a_layer_that_makes_nan_is_named() -> None:
    x = gk.Input((4,))
    h = gk.layers.Dense(4, name="hidden", kernel_initializer="zeros")(x)
    logs = gk.layers.Lambda(lambda t: gk.ops.log(t - 1.0), name="logarithm")(h)
    model = gk.Model(x, gk.layers.Dense(1)(logs))
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(NonFiniteLossError, match=r"layer '.*logarithm'.*op 'log' \(.*test_errors"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("policy", ["warn", "ignore"])
def test_nan_loss_setting(policy: str, recwarn: pytest.WarningsRecorder) -> None:
    x = np.full_like(X, np.nan)
    with config.override(nan_loss=policy):
        history = regression().fit(x, Y, epochs=2, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    warned = [w for w in recwarn.list if "the loss is nan" in str(w.message)]
    assert bool(warned) == (policy == "warn")


def test_terminate_on_nan_stops_without_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    callback = gk.callbacks.TerminateOnNaN()
    x = np.full_like(X, np.nan)
    history = regression().fit(x, Y, batch_size=5, epochs=3, verbose=0, callbacks=[callback])
    assert len(history.epoch) == 1
    assert "Batch 0: Invalid loss, terminating training" in capsys.readouterr().out


def test_train_on_batch_reports_nan_too() -> None:
    with pytest.raises(NonFiniteLossError, match="x holds NaN"):
        regression().train_on_batch(np.full_like(X, np.nan), Y)
