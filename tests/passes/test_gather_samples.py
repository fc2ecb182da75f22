"""Steps that gather their batch from all samples, and what fuses with the gather."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphkeras as gk
from graphkeras.compiler import PIPELINE
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.text import print_graph
from graphkeras.ir.types import TensorType
from graphkeras.ir.verify import verify
from graphkeras.passes.gather_samples import gather_samples, samples_type
from graphkeras.training.step import trace_train_step

N = Size.symbol("N")
X, Y = TensorType((N, 2, 3)), TensorType((N,), "int32")


def step() -> Graph:
    """Adds one to a batch, and its classes to a total."""
    b = Builder("step")
    x, y, total = b.input(X, "x"), b.input(Y, "y"), b.input(TensorType((), "int32"), "total")
    doubled = b.emit("add", x, x)
    more = b.emit("add", total, b.emit("reduce_sum", y, axes=(0,)))
    return b.build([doubled, more], {1: 2}, ["y", "total"])


def test_the_batch_becomes_a_gather_of_all_samples() -> None:
    graph = gather_samples(step(), [samples_type(X, "float32"), samples_type(Y, "int32")])
    verify(graph)
    assert print_graph(graph).splitlines() == [
        'graph "step" {',
        '  %0 = input f32[S,2,3] "x"',
        '  %1 = input i32[S] "y"',
        '  %2 = input i64[N] "order"',
        '  %3 = input i32[] "total"',
        '  %4:f32[N,2,3] = gather(%0, %2) {axis=0} @"x" by "gather_samples"',
        '  %5:i32[N] = gather(%1, %2) {axis=0} @"y" by "gather_samples"',
        "  %6:f32[N,2,3] = add(%4, %4)",
        "  %7:i32[] = reduce_sum(%5) {axes=(0,)}",
        "  %8:i32[] = add(%3, %7)",
        '  return %6 "y", %8 "total" -> %3',
        "}",
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool", "int64"])
@pytest.mark.parametrize("pitch", [None, 6, 10])
def test_samples_of_other_dtypes_and_with_gaps_between_them(dtype: str, pitch: int | None) -> None:
    rng = np.random.default_rng(0)
    types = [samples_type(X, dtype, pitch), samples_type(Y, "int32")]
    shape = types[0].concrete({"S": 9})
    samples = rng.integers(0, 2, shape).astype(dtype)
    classes = np.arange(9, dtype="int32")
    order = np.array([8, 0, 3, 3], np.int64)
    batch = samples.reshape(9, -1)[:, :6].reshape(9, 2, 3)[order].astype("float32")
    total = np.array(5, "int32")
    graph = gather_samples(step(), types)
    verify(graph)
    received = evaluate(graph, [samples, classes, order, total])
    expected = evaluate(step(), [batch, classes[order], total])
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def kernels(layers: list[Any], shape: tuple[int, ...], dtype: str = "float32") -> list[str]:
    """What gathers in the kernels of a training step: its contraction, or `"loop"`."""
    model = gk.Sequential([gk.Input(shape), *layers, gk.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = TensorType((N, *shape)), TensorType((N,), "int32")
    graph = trace_train_step(model, x, y).graph
    graph = gather_samples(graph, [samples_type(x, dtype), samples_type(y, "int32")])
    for run in PIPELINE:
        graph = run(graph)
    found = []
    for node in graph.nodes:
        body = [] if node.body is None else node.body.nodes
        if any(inner.op == "gather" and inner.result.type.rank > 1 for inner in body):
            heroes = [each.op for each in body if get_op(each.op).kind is Kind.CONTRACT]
            found += heroes or ["loop"]
    return found


def test_products_and_convolutions_that_copy_their_operand_gather_it() -> None:
    dense = [gk.layers.Dense(128, activation="relu")]
    assert kernels(dense, (784,)) == ["dot_general", "dot_general"]
    assert kernels(dense, (784,), "uint8") == ["dot_general", "dot_general"]
    image = [gk.layers.Conv2D(32, 3, activation="relu"), gk.layers.Flatten()]
    assert kernels(image, (28, 28, 1)) == ["conv", "conv_kernel_grad"]
    line = [gk.layers.Conv1D(16, 5, padding="same", strides=2), gk.layers.Flatten()]
    assert kernels(line, (40, 8)) == ["conv", "conv_kernel_grad"]


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        pytest.param([gk.layers.Dense(1024)], (784,), id="many columns"),
        pytest.param([gk.layers.Dense(64)], (32,), id="short rows"),
        pytest.param([gk.layers.Conv2D(8, 1), gk.layers.Flatten()], (9, 9, 16), id="1x1"),
        pytest.param([gk.layers.Conv2D(32, 3), gk.layers.Flatten()], (9, 9, 32), id="winograd"),
        pytest.param(
            [gk.layers.DepthwiseConv2D(3), gk.layers.Flatten()], (9, 9, 16), id="channels"
        ),
    ],
)
def test_others_read_a_batch_that_was_gathered_before(layers: list[Any], shape: Any) -> None:
    assert kernels(layers, shape) == ["loop"]
