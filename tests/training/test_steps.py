"""Steps as graphs: one for every batch size, with exactly what training needs in it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import graphkeras as gk
from graphkeras.ir.dims import Size
from graphkeras.ir.types import TensorType
from graphkeras.training import steps as steps_module
from graphkeras.training.step import trace_predict_step, trace_test_step, trace_train_step

N = Size.symbol("N")
X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = X.sum(axis=1)


def mlp(**arguments: Any) -> Any:
    model = gk.Sequential(
        [
            gk.Input((4,)),
            gk.layers.Dense(8, activation="relu", name="first"),
            gk.layers.Dense(1, name="last"),
        ]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", "run_eagerly": True, **arguments})
    return model


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes of the steps made while the test runs."""
    made: list[str] = []
    original = steps_module._make

    def count(model: Any, mode: str, *args: Any) -> Any:
        made.append(mode)
        return original(model, mode, *args)

    monkeypatch.setattr(steps_module, "_make", count)
    return made


def train_graph(model: Any) -> Any:
    types = TensorType((N, 4)), TensorType((N,))
    model.training_state.prepare_optimizer(model)
    return trace_train_step(model, *types)


def test_a_setting_of_the_compiler_counts_from_the_next_call() -> None:
    model = gk.Sequential([gk.Input((6, 6, 4)), gk.layers.Conv2D(16, 3)])
    x = np.ones((2, 6, 6, 4), "float32")

    def made() -> list[str]:
        return [type(step.executable).__name__ for step in model.training_state.steps.made()]

    model.predict_on_batch(x)
    with gk.config.override(winograd="always"):
        model.predict_on_batch(x)
        model.predict(x, verbose=0)
    model.predict_on_batch(x)
    # A transformed kernel is prepared.
    assert made() == ["Executable", "PreparedExecutable"]


def test_one_step_serves_every_batch_size(traces: list[str]) -> None:
    model = mlp()
    model.fit(X, Y, batch_size=16, epochs=2, validation_split=0.3, verbose=0)
    model.fit(X, Y, batch_size=7, verbose=0)
    model.train_on_batch(X[:3], Y[:3])
    model.evaluate(X, Y, batch_size=13, verbose=0)
    model.predict(X, batch_size=11, verbose=0)
    model.predict(X[:1], verbose=0)
    assert traces == ["train", "test", "predict"]


def test_other_data_make_another_step(traces: list[str]) -> None:
    model = mlp(loss=lambda y, p: gk.ops.mean(gk.ops.square(gk.ops.cast(y, p.dtype) - p)))
    model.train_on_batch(X, Y[:, None])
    model.train_on_batch(X, Y[:, None].astype(np.int64))
    model.train_on_batch(X.astype(np.float64), Y[:, None].astype(np.float64))
    model.train_on_batch(X, Y[:, None], sample_weight=np.ones(50))
    assert traces == ["train"] * 3


def test_compile_makes_a_new_step(traces: list[str]) -> None:
    model = mlp()
    model.train_on_batch(X, Y)
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(X, Y)
    assert traces == ["train"] * 2


def test_training_step_is_one_graph() -> None:
    traced = train_graph(mlp(metrics=["mae"]))
    graph = traced.graph
    assert traced.output_names == ("batch_loss", "loss", "mae")
    assert graph.symbols == ("N",)
    assert {node.loc.phase for node in graph.nodes} == {
        "forward",
        "loss",
        "metrics",
        "backward",
        "update",
    }
    updated = {graph.inputs[position].name for position in graph.aliases.values()}
    assert any("first/kernel" in name for name in updated)
    assert any("iteration" in name for name in updated)


def test_freezing_a_layer_removes_its_gradient() -> None:
    free, frozen = mlp(), mlp()
    frozen.get_layer("first").trainable = False
    frozen.compile("sgd", "mse", run_eagerly=True)
    whole, part = train_graph(free).graph, train_graph(frozen).graph

    def backward(graph: Any) -> int:
        return sum(n.loc.phase == "backward" and n.op == "dot_general" for n in graph.nodes)

    assert backward(part) < backward(whole)
    before = frozen.get_weights()
    frozen.fit(X, Y, verbose=0)
    after = frozen.get_weights()
    np.testing.assert_array_equal(after[0], before[0])
    assert (after[2] != before[2]).any()


def test_trainable_takes_effect_with_compile(traces: list[str]) -> None:
    model = mlp()
    model.fit(X, Y, verbose=0)
    model.get_layer("first").trainable = False
    before = model.get_weights()
    with pytest.warns(UserWarning, match="`trainable` of 'first' has changed"):
        model.fit(X, Y, verbose=0)
    assert (model.get_weights()[0] != before[0]).any()
    model.compile("sgd", "mse", run_eagerly=True)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert traces == ["train", "train"]


def test_a_model_without_trainable_weights() -> None:
    model = mlp()
    model.trainable = False
    model.compile("sgd", "mse", run_eagerly=True)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_test_step_changes_only_metrics() -> None:
    model = mlp(metrics=["mae"])
    traced = trace_test_step(model, TensorType((N, 4)), TensorType((N,)))
    changed = {traced.graph.inputs[p].name for p in traced.graph.aliases.values()}
    metrics = {v.path for m in model.flat_metrics for v in m.variables}
    assert changed == metrics


def test_predict_step_reads_weights_only() -> None:
    model = mlp()
    traced, structure = trace_predict_step(model, TensorType((N, 4)))
    assert structure == 0
    assert not traced.graph.aliases
    assert {id(v) for v in traced.variables} == {id(v) for v in model.weights}


def test_moving_statistics_and_dropout_keys_move_in_training_only() -> None:
    model = gk.Sequential(
        [gk.Input((4,)), gk.layers.BatchNormalization(), gk.layers.Dropout(0.5), gk.layers.Dense(1)]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    state = [v.numpy() for v in model.non_trainable_variables]
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    for variable, before in zip(model.non_trainable_variables, state, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)
    model.fit(X, Y, verbose=0)
    changed = [
        (v.numpy() != before).any()
        for v, before in zip(model.non_trainable_variables, state, strict=True)
    ]
    assert all(changed)


def test_buffers_never_move() -> None:
    model = mlp(optimizer="adam")
    model.fit(X, Y, verbose=0)
    variables = [*model.weights, *model.optimizer.variables]
    places = [v.buffer.ctypes.data for v in variables]
    model.fit(X, Y, epochs=2, verbose=0)
    assert [v.buffer.ctypes.data for v in variables] == places


def test_variable_length_inputs_share_a_step(traces: list[str]) -> None:
    model = gk.Sequential(
        [gk.Input((None, 3)), gk.layers.GlobalAveragePooling1D(), gk.layers.Dense(1)]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    for length in (5, 9):
        model.train_on_batch(np.zeros((4, length, 3)), np.zeros(4))
    assert set(traces) == {"train"}
    assert model.predict(np.zeros((2, 6, 3)), verbose=0).shape == (2, 1)


def test_a_new_schedule_on_the_optimizer_is_used() -> None:
    model = mlp()
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = gk.optimizers.schedules.ExponentialDecay(0.0, 1, 0.5)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_layers_added_later_are_seen() -> None:
    model = gk.Sequential([gk.Input((4,)), gk.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.predict(X, verbose=0).shape == (50, 2)
    model.add(gk.layers.Dense(1))
    assert model.predict(X, verbose=0).shape == (50, 1)


def test_layers_that_need_a_size_get_one_step_for_each(pair: Any) -> None:
    def build(keras: Any) -> Any:
        layers = keras.layers
        convolution = layers.Conv2D(2, 3, padding="same", activation="relu")
        return keras.Sequential(
            [keras.Input((None, None, 1)), convolution, layers.GlobalAveragePooling2D()]
        )

    ours, theirs = pair(build, optimizer="sgd", loss="mse")
    for size in (5, 8):
        x = np.random.default_rng(size).normal(size=(4, size, size, 1)).astype("float32")
        np.testing.assert_allclose(
            ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6
        )
    assert len(ours.training_state.steps.made()) == 2


def test_layers_that_need_no_size_share_a_step() -> None:
    model = gk.Sequential([gk.Input((None, 3)), gk.layers.GlobalMaxPooling1D()])
    model.compile(run_eagerly=True)
    for size in (2, 5):
        x = np.random.default_rng(size).normal(size=(4, size, 3)).astype("float32")
        np.testing.assert_array_equal(model.predict(x, verbose=0), x.max(axis=1))
    assert len(model.training_state.steps.made()) == 1


def test_single_batches_see_layers_that_were_added_and_removed() -> None:
    model = gk.Sequential([gk.Input((4,)), gk.layers.Dense(3), gk.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.ones((5, 4), "float32")
    for units in (2, 6, 7):
        assert model.predict_on_batch(x).shape == (5, units)
        model.pop()
        model.add(gk.layers.Dense(6 if units == 2 else 7))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_trained_model_is_copied_and_pickled(copied: Any) -> None:
    layers = [gk.layers.Dense(3, activity_regularizer="l2"), gk.layers.Dropout(0.5)]
    model = gk.Sequential([gk.Input((4,)), *layers])
    model.compile("adam", "mse", run_eagerly=True)
    x, y = np.ones((5, 4), "float32"), np.ones((5, 3))
    model.fit(x, y, verbose=0)
    twin = copied(model)
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(twin.predict(x, verbose=0), expected)
    twin.fit(x, y, verbose=0)
    assert int(twin.optimizer.iterations) == 2
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
