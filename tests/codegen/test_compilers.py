"""Whole kernels through both compilers: graphkeras's own and Numba (setting `compiler`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphkeras as keras
from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import OPS, Builder, Graph, Kind, Size, TensorType
from graphkeras.ir.op import Op, Sample
from graphkeras.passes import Schedule
from graphkeras.passes.fuse import MAX_OUTPUTS
from graphkeras.training.step import trace_train_step

Array = NDArray[Any]

N = Size.symbol("N")
LENGTH = 37


def by_both(make: Callable[[], Any], arrays: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    results = []
    for compiler in ("llvm", "numba"):
        with config.override(compiler=compiler):
            results.append([np.copy(y) for y in make()([np.copy(x) for x in arrays])])
    return results[0], results[1]


ELEMENTWISE = [
    (op, sample) for op in OPS.values() if op.kind is Kind.ELEMENTWISE for sample in op.samples
]


def assert_same(op: Op, template: str, ours: Array, numbas: Array) -> None:
    if "math." in template:  # Numba calls the C library
        np.testing.assert_allclose(ours, numbas, rtol=2e-6, atol=1e-7, err_msg=op.name)
    else:
        np.testing.assert_array_equal(ours, numbas, err_msg=op.name)


@pytest.mark.parametrize("first", range(0, len(ELEMENTWISE), MAX_OUTPUTS))
def test_elementwise_ops(first: int) -> None:
    body, arrays, results = Builder("group"), [], []
    group: list[tuple[Op, Sample]] = ELEMENTWISE[first : first + MAX_OUTPUTS]
    for op, sample in group:
        operands = []
        for array in sample.make(np.random.default_rng(7)):
            arrays.append(np.resize(np.asarray(array), LENGTH))
            kind = TensorType((N,), str(arrays[-1].dtype))
            operands.append(body.input(kind, f"x{len(arrays)}"))
        results.append(body.emit(op.name, *operands, **sample.attrs))
    inner = body.build(results)
    outer = Builder("group")
    operands = [outer.input(v.type, v.name) for v in inner.inputs]
    graph = outer.build(outer.fused(inner, operands, pattern="loop", rows=0, space=(N,)))
    ours, numbas = by_both(lambda: compile_graph(graph, [Schedule()]), arrays)
    templates = [op.template(node) for (op, _), node in zip(group, inner.nodes, strict=True)]
    for (op, _), template, a, b in zip(group, templates, ours, numbas, strict=True):
        assert_same(op, template, a, b)


STRUCTURED = {
    "argsort": ((5, 9), {"axis": 1}),
    "cumsum": ((5, 9), {"axis": 1, "reverse": False}),
    "transpose": ((5, 9), {"perm": (1, 0)}),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_ops_that_keep_the_order_of_additions(name: str) -> None:
    shape, attrs = STRUCTURED[name]
    builder = Builder(name)
    x = builder.input(TensorType(shape), "x")
    graph = builder.build(builder.emit_all(name, x, **attrs))
    data = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    ours, numbas = by_both(lambda: compile_graph(graph), [data])
    np.testing.assert_array_equal(ours[0], numbas[0])


CONVOLUTIONS: dict[str, tuple[str, list[tuple[int, ...]], dict[str, Any]]] = {
    "three channels": ("conv", [(2, 6, 18, 3), (3, 3, 3, 16)], {}),
    "phases": ("conv", [(2, 4, 5, 9), (3, 3, 9, 11)], {"lhs_dilation": (2, 2)}),
    "positions of a tap": (
        "conv_kernel_grad",
        [(2, 6, 5, 19), (2, 6, 5, 21)],
        {"kernel_size": (3, 3)},
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    op, shapes, given = CONVOLUTIONS[name]
    builder = Builder("convolution")
    operands = [builder.input(TensorType(shape), f"x{i}") for i, shape in enumerate(shapes)]
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    attrs = {"padding": ((1, 1), (1, 1)), **ones, **given}
    graph = builder.build([builder.emit(op, *operands, **attrs)])
    rng = np.random.default_rng(4)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    ours, numbas = by_both(lambda: compile_graph(graph), arrays)
    np.testing.assert_array_equal(ours[0], numbas[0])


def training_step() -> tuple[Graph, list[Array]]:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    step = trace_train_step(model, TensorType((N, 6)), TensorType((N,), "int32"))
    rng = np.random.default_rng(2)
    data = [rng.random((7, 6), np.float32), rng.integers(0, 5, 7).astype(np.int32)]
    return step.graph, [*data, *(np.array(v.numpy()) for v in step.variables)]


def test_a_training_step() -> None:
    graph, arrays = training_step()
    ours, numbas = by_both(lambda: compile_graph(graph), arrays)
    for a, b in zip(ours, numbas, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
