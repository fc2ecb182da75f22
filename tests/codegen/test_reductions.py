"""Reductions that keep the last dims: split by batch element, joined where they read the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.runtime import set_num_threads

Array = NDArray[Any]

N = Size.symbol("N")


def statistics(columns: int) -> Graph:
    """The two sums of a normalisation's backward pass, and the largest deviation."""
    b = Builder("statistics")
    x = b.input(TensorType((N, 3, 7, columns)), "x")
    dy = b.input(TensorType((N, 3, 7, columns)), "dy")
    mean = b.input(TensorType((columns,)), "mean")
    wide = b.emit("broadcast", mean, shape=x.type.shape, dims=(3,))
    centred = b.emit("sub", x, wide)
    total = b.emit("reduce_sum", dy, axes=(0, 1, 2))
    scaled = b.emit("reduce_sum", b.emit("mul", dy, centred), axes=(0, 1, 2))
    largest = b.emit("reduce_max", centred, axes=(0, 1, 2))
    return b.build([total, scaled, largest], output_names=["total", "scaled", "largest"])


def operands(rows: int, columns: int) -> list[Array]:
    rng = np.random.default_rng(0)
    shape = (rows, 3, 7, columns)
    arrays = [rng.normal(0, 1, shape), rng.normal(0, 1, shape), rng.normal(0, 1, columns)]
    return [a.astype(np.float32) for a in arrays]


def test_sums_over_one_operand_read_it_once() -> None:
    nodes = compile_graph(statistics(16)).program.graph.nodes
    large = [n for n in nodes if any(v.type.rank == 4 for v in n.inputs)]
    assert len(large) == 1
    assert len(large[0].results) == 3


@pytest.mark.parametrize("columns", [1, 10, 16, 64, 300])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_reductions_agree_with_the_evaluator(rows: int, columns: int) -> None:
    graph, arrays = statistics(columns), operands(rows, columns)
    for got, expected in zip(compile_graph(graph)(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-4)


def test_threads_do_not_change_bits() -> None:
    executable, arrays = compile_graph(statistics(32)), operands(64, 32)
    try:
        results = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            results.append([np.array(a) for a in executable(arrays)])
    finally:
        set_num_threads(None)
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)
