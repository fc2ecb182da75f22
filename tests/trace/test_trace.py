"""Tracing writes down what the user's Python computes, and where it comes from."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import ops
from graphkeras.errors import NoValueError
from graphkeras.ir import Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.trace import Trace

N = Size.symbol("N")


def line() -> int:
    return sys._getframe(1).f_lineno


def test_a_graph_gives_the_numbers_of_numpy_for_every_batch_size() -> None:
    with Trace("f") as t:
        x = t.input(TensorType((N, 3)), "x")
        traced = t.finish({"y": ops.mean(x * 2 + 1, axis=0), "s": ops.shape(x)[0] + x[:, 0]})
    for n in (1, 4, 7):
        data = np.random.default_rng(n).normal(size=(n, 3)).astype("float32")
        y, s = evaluate(traced.graph, [data])
        np.testing.assert_allclose(y, (data * 2 + 1).mean(0), rtol=1e-6)
        np.testing.assert_allclose(s, n + data[:, 0], rtol=1e-6)


def test_variables_are_inputs_once_and_assigned_ones_aliased_outputs() -> None:
    a = keras.Variable(np.float32(2.0), name="a")
    b = keras.Variable(np.float32(5.0), name="b")
    with Trace("step") as t:
        x = t.input(TensorType(()), "x")
        y = a * x + a
        b.assign(b + y)
        again = b * 1.0
        traced = t.finish({"y": y, "b": again})
    assert [v.name for v in traced.graph.inputs] == ["x", "a", "b"]
    assert traced.variables == (a, b)
    assert traced.output_names == ("y", "b")
    assert dict(traced.graph.aliases) == {2: 2}
    y, seen, after = evaluate(traced.graph, [np.float32(3.0), a.value, b.value])
    assert (y, seen, after) == (8.0, 13.0, 13.0)
    assert b.numpy() == 5.0


def test_an_assigned_variable_that_is_never_read_is_an_input_too() -> None:
    v = keras.Variable(np.zeros(2, "float32"), name="v")
    with Trace("step") as t:
        v.assign(np.ones(2, "float32"))
        traced = t.finish({})
    assert dict(traced.graph.aliases) == {0: 0}


def test_gradients_are_with_respect_to_the_first_value() -> None:
    w = keras.Variable(np.array([1.0, 2.0], "float32"))
    unused = keras.Variable(np.float32(1.0))
    with Trace("step") as t:
        loss = ops.sum(w * w)
        w.assign(w * 0.0)
        grads = t.gradients(loss, [w, unused])
        assert grads[1] is None
        assert grads[0] is not None
        traced = t.finish({"g": grads[0]})
    np.testing.assert_allclose(evaluate(traced.graph, [w.value, unused.value])[0], [2.0, 4.0])


def test_gradients_of_something_that_is_no_scalar() -> None:
    w = keras.Variable(np.ones(2, "float32"))
    with Trace("step") as t, pytest.raises(ValueError, match="gradients need a scalar loss"):
        t.gradients(w * 2, [w])


def test_nodes_know_file_line_layer_and_phase() -> None:
    class Twice(keras.Layer):
        def call(self, x):  # type: ignore[no-untyped-def]
            global here
            here = line() + 1
            return ops.exp(x)

    dense = keras.layers.Dense(2, name="head")
    made = line() - 1
    with Trace("f") as t:
        x = t.input(TensorType((N, 3)), "x")
        h = Twice(name="twice")(x)
        h = dense(h)
        with t.phase("loss"):
            total = ops.sum(h)
        graph = t.finish({"y": total}).graph
    by_op = {node.op: node for node in graph.nodes}
    assert (by_op["exp"].loc.file, by_op["exp"].loc.line) == (__file__, here)
    assert by_op["exp"].loc.layer == "twice"
    assert (by_op["dot_general"].loc.layer, by_op["dot_general"].loc.line) == ("head", made)
    assert (by_op["reduce_sum"].loc.layer, by_op["reduce_sum"].loc.phase) == ("", "loss")


def test_an_operation_in_a_functional_model_has_the_line_it_was_written_on() -> None:
    x = keras.Input((3,))
    y = ops.tanh(x)
    written = line() - 1
    model = keras.Model(x, y)
    with Trace("f") as t:
        model(t.input(TensorType((N, 3)), "x"))
        graph = t.finish({}).graph
    assert graph.nodes[-1].op == "tanh"
    assert graph.nodes[-1].loc.line == written


def test_python_control_flow_on_a_traced_tensor_says_what_to_use() -> None:
    with Trace("f") as t:
        x = t.input(TensorType((N,)), "x")
        with pytest.raises(TypeError, match=r"no value yet: the model is being traced.*ops\.where"):
            bool(ops.sum(x) > 0)
        with pytest.raises(TypeError, match="no value yet"):
            np.asarray(x)
        with pytest.raises(TypeError, match="run-time size N"):
            list(x)


def test_a_tensor_of_another_graph_is_refused() -> None:
    with Trace("first") as t:
        kept = t.input(TensorType((2,)), "x")
    with Trace("second"), pytest.raises(TypeError, match="kept from an earlier call"):
        ops.exp(kept)


def test_inputs_come_before_variables() -> None:
    v = keras.Variable(1.0)
    with Trace("f") as t:
        ops.exp(v)
        with pytest.raises(RuntimeError, match="declare the input 'late'"):
            t.input(TensorType(()), "late")


def test_traces_of_two_threads_do_not_meet() -> None:
    v = keras.Variable(np.float32(1.0), name="v")
    counts: list[int] = []

    def work() -> None:
        for _ in range(20):
            with Trace("f") as t:
                ops.exp(v)
                counts.append(len(t.finish({}).graph.nodes))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 80


def test_eager_assignments_happen_when_the_call_ends_or_not_at_all() -> None:
    class Counter(keras.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x, fail=False):  # type: ignore[no-untyped-def]
            before = self.count + 0.0
            self.count.assign_add(1.0)
            if fail:
                raise KeyError("stop")
            return x + before + self.count

    layer = Counter()
    assert layer(np.zeros(1, "float32"))[0] == 1.0
    with pytest.raises(KeyError):
        layer(np.zeros(1, "float32"), fail=True)
    assert layer.count.numpy() == 1.0


def test_seeded_draws_are_the_same_in_a_graph_and_at_once() -> None:
    at_once = keras.random.normal((5,), seed=3)
    with Trace("f") as t:
        traced = t.finish({"y": keras.random.normal((5,), seed=3)})
    np.testing.assert_array_equal(evaluate(traced.graph, [])[0], at_once)


@pytest.mark.parametrize("function", [np.exp, np.sum, np.mean, np.asarray, float])
def test_numpy_functions_of_tensors_without_value_are_refused(function: Any) -> None:
    with pytest.raises(NoValueError, match=r"no value.*keras\.ops"):
        function(keras.Input((3,)))
    with Trace("f") as t, pytest.raises(NoValueError, match=r"no value.*keras\.ops"):
        function(t.input(TensorType((3,)), "x"))


def test_arrays_on_the_left_of_an_operator() -> None:
    x = keras.Input((3,))
    array = np.ones((1, 3), "float32")
    results = [array + x, array - x, np.float32(2) * x, array / x, array @ ops.transpose(x)]
    model = keras.Model(x, [*results, array <= x])
    value = np.array([[1.0, 2.0, 0.5]], "float32")
    expected = [1 + value, 1 - value, 2 * value, 1 / value, array @ value.T, value >= 1]
    for got, want in zip(model(value), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_half_precision_data_are_widened() -> None:
    x = np.ones((2, 3), "float16")
    assert keras.layers.Dense(2)(x).dtype == np.float32
    assert ops.add(x, 1.0).dtype == np.float32


def test_a_variance_has_its_second_derivative() -> None:
    """Its mean is no constant, though the slope along it is zero."""
    w = keras.Variable(np.array([1.0, 2.0, 4.0], "float32"))
    with Trace("step") as t:
        (slope,) = t.gradients(ops.var(w), [w])
        assert slope is not None
        (second,) = t.gradients(slope[0], [w])
        assert second is not None
        traced = t.finish({"slope": slope, "second": second})
    slope_value, second_value = evaluate(traced.graph, [w.value])
    centred = w.numpy() - w.numpy().mean()
    np.testing.assert_allclose(slope_value, 2 / 3 * centred, rtol=1e-6)
    np.testing.assert_allclose(second_value, [4 / 9, -2 / 9, -2 / 9], rtol=1e-6)
