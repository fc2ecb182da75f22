"""ROWS kernels: few passes over a row, dear elements computed once, for every length of row."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras.codegen.rows import MAX_COLUMNS, plan_passes
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.fusion_kernel import node_of

N = Size.symbol("N")


def softmax_and_loss(columns: int) -> Graph:
    """Softmax of rows, its logarithm, and the place of its largest element."""
    b = Builder("softmax_and_loss")
    x = b.input(TensorType((N, columns)), "x")

    def across(value: Value) -> Value:
        return b.emit("broadcast", value, shape=(N, columns), dims=(0,))

    e = b.emit("exp", b.emit("sub", x, across(b.emit("reduce_max", x, axes=(1,)))))
    soft = b.emit("div", e, across(b.emit("reduce_sum", e, axes=(1,))))
    top = b.emit("reduce_max", soft, axes=(1,))
    total = b.emit("reduce_sum", b.emit("mul", soft, soft), axes=(1,))
    log = b.emit("log", b.emit("div", soft, across(total)))
    return b.build([soft, log, top], output_names=["soft", "log", "top"])


def kernel_text(graph: Graph) -> str:
    (launch,) = compile_graph(graph).program.launches
    return launch.kernel.text


def test_independent_reductions_share_a_pass() -> None:
    (node,) = compile_graph(softmax_and_loss(10)).program.graph.nodes
    assert node.body is not None
    plan = plan_passes(node.body, node.body.outputs[:2], N, 10)
    assert [[hero.op for hero in each.heroes] for each in plan] == [
        ["reduce_max"],
        ["reduce_sum"],
        ["reduce_max", "reduce_sum"],
        [],
    ]
    assert [[node_of(v).op for v in each.stores] for each in plan] == [[], ["exp"], ["div"], []]


def test_an_exponential_is_computed_once() -> None:
    assert kernel_text(softmax_and_loss(10)).count("math.exp(") == 1


def test_long_rows_are_not_kept() -> None:
    assert "kept" in kernel_text(softmax_and_loss(MAX_COLUMNS))
    assert "kept" not in kernel_text(softmax_and_loss(MAX_COLUMNS + 1))


@pytest.mark.parametrize("columns", [1, 2, 7, 10, 16, 33, 100, MAX_COLUMNS + 1])
@pytest.mark.parametrize("rows", [1, 5])
def test_rows_agree_with_the_evaluator(rows: int, columns: int) -> None:
    graph = softmax_and_loss(columns)
    x = np.random.default_rng(0).normal(0, 3, (rows, columns)).astype(np.float32)
    for got, expected in zip(compile_graph(graph)([x]), evaluate(graph, [x]), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)
