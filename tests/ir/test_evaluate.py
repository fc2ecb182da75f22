"""The reference evaluator: run-time sizes, fused bodies, and what its errors say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graphkeras.ir import OPS, Builder, Loc, Size, TensorType
from graphkeras.ir.evaluate import (
    EvaluationError,
    InputError,
    bind_sizes,
    evaluate,
    evaluate_nodes,
)
from graphkeras.passes.autodiff import gradients

N, M = Size.symbol("N"), Size.symbol("M")


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def double() -> Builder:
    builder = Builder("double")
    x = builder.input(TensorType((N, 2)), "x")
    builder.emit("add", x, x, name="twice")
    return builder


def test_evaluates_every_output() -> None:
    builder = double()
    y = builder.nodes[-1].result
    x = np.array([[1, 2], [3, 4], [5, 6]], "float32")
    total = builder.emit("reduce_sum", y, axes=(0,))
    graph = builder.build([y, total])
    first, second = evaluate(graph, [x])
    np.testing.assert_array_equal(first, 2 * x)
    np.testing.assert_array_equal(second, [18, 24])


def test_run_time_sizes_reach_attributes() -> None:
    builder = Builder("mean")
    x = builder.input(TensorType((N, 2)), "x")
    count = builder.emit("dim", size=N * 2, dtype="float32")
    flat = builder.emit("reshape", x, shape=(N * 2,))
    mean = builder.emit("div", builder.emit("reduce_sum", flat, axes=(0,)), count)
    (result,) = evaluate(builder.build([mean]), [np.array([[1, 2], [3, 6]], "float32")])
    assert result == 3


def test_sizes_less_than_what_is_cut_off() -> None:
    builder = Builder("cut")
    x = builder.input(TensorType((N, 2)), "x")
    tail = builder.emit("slice", x, start=(1, 0), stop=(N, 2), step=(1, 1))
    head = builder.emit("slice", x, start=(0, 0), stop=(N - 2, 2), step=(1, 1))
    loss = builder.emit("reduce_sum", builder.emit("mul", tail, tail), axes=(0, 1))
    graph = builder.build([head, *gradients(builder, loss, [x])])
    for rows, expected in ((2, [[0, 0], [2, 2]]), (1, [[0, 0]]), (0, np.zeros((0, 2)))):
        found = evaluate(graph, [np.ones((rows, 2), "float32")])
        assert found[0].shape == (0, 2)
        np.testing.assert_array_equal(found[1], expected)


def test_every_value_is_available_for_debugging() -> None:
    builder = double()
    graph = builder.build([builder.nodes[-1].result])
    values = evaluate_nodes(graph, [zeros(3, 2)])
    assert set(values) == {graph.inputs[0], graph.outputs[0]}


def test_fused_body_runs_as_its_nodes_do() -> None:
    inner = double()
    body = inner.build([inner.nodes[-1].result])
    builder = Builder("outer")
    x = builder.input(TensorType((N, 2)), "x")
    (once,) = builder.fused(body, [x])
    (twice,) = builder.fused(body, [once])
    result = evaluate(builder.build([twice]), [np.ones((3, 2), "float32")])[0]
    np.testing.assert_array_equal(result, np.full((3, 2), 4))


@pytest.mark.parametrize(
    ("types", "shapes", "sizes"),
    [
        ([TensorType((N, 3))], [(5, 3)], {"N": 5}),
        ([TensorType((N * 49,))], [(98,)], {"N": 2}),
        ([TensorType((N * 2 + 1,))], [(9,)], {"N": 4}),
        ([TensorType((N + M,)), TensorType((N,))], [(7,), (3,)], {"N": 3, "M": 4}),
        ([TensorType((N * M,)), TensorType((M,))], [(12,), (4,)], {"N": 3, "M": 4}),
        ([TensorType((N, M))], [(0, 1)], {"N": 0, "M": 1}),
        ([TensorType(())], [()], {}),
    ],
)
def test_sizes_are_inferred(
    types: list[TensorType], shapes: list[tuple[int, ...]], sizes: dict[str, int]
) -> None:
    assert bind_sizes(types, [zeros(*shape) for shape in shapes]) == sizes


@pytest.mark.parametrize(
    ("types", "arrays", "message"),
    [
        ([TensorType((N,))], [], "expected 1 input arrays, received 0"),
        (
            [TensorType((N, 3))],
            [zeros(5, 4)],
            "input 0 (x0): expected f32[N,3], N = 5, received float32[5, 4]",
        ),
        (
            [TensorType((N, 3))],
            [zeros(5, 3, dtype="float64")],
            "input 0 (x0): expected f32[N,3], received float64[5, 3]",
        ),
        (
            [TensorType((N,))],
            [zeros(5, 1)],
            "input 0 (x0): expected f32[N], received float32[5, 1]",
        ),
        (
            [TensorType((N,)), TensorType((N,))],
            [zeros(5), zeros(6)],
            "input 1 (x1): expected f32[N], N = 5, received float32[6]",
        ),
        (
            [TensorType((N * 2,))],
            [zeros(5)],
            "cannot infer the run-time size N from the input shapes",
        ),
        (
            [TensorType((N + M,))],
            [zeros(5)],
            "cannot infer the run-time size M from the input shapes",
        ),
    ],
)
def test_input_error_says_which_input(
    types: list[TensorType], arrays: list[np.ndarray], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        bind_sizes(types, arrays, [f"x{i}" for i in range(len(types))])
    assert str(caught.value) == message


def test_failing_node_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arrays: object, attrs: object, sizes: object) -> tuple[np.ndarray, ...]:
        raise ZeroDivisionError("no")

    builder = Builder("g")
    x = builder.input(TensorType((2,)), "x")
    with builder.at(Loc("model.py", 12, "model/dense")):
        y = builder.emit("neg", x, name="y")
    monkeypatch.setitem(OPS, "neg", dataclasses.replace(OPS["neg"], reference=broken))
    with pytest.raises(EvaluationError) as caught:
        evaluate(builder.build([y]), [zeros(2)])
    assert str(caught.value) == "node y neg(f32[2]) at model/dense model.py:12: no"


def test_reference_that_breaks_its_type_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = double()
    graph = builder.build([builder.nodes[-1].result])
    wide = dataclasses.replace(
        OPS["add"], reference=lambda arrays, attrs, sizes: (zeros(1, 2, dtype="float64"),)
    )
    monkeypatch.setitem(OPS, "add", wide)
    with pytest.raises(
        EvaluationError, match=r"the reference gave float64\[1, 2\], the type is f32"
    ):
        evaluate(graph, [zeros(1, 2)])
