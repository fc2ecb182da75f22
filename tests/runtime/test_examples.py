"""Example arrays are valid inputs: indices stay inside what they index."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras.compiler import optimize
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.runtime.examples import example_arrays

N = Size.symbol("N")


def lookup(rows: int) -> Graph:
    """Rows of a table by `abs(i)` and `i + 0` of an embedding, and classes that index nothing."""
    b = Builder("lookup")
    i, y = b.input(TensorType((N, 7), "int32"), "i"), b.input(TensorType((N,), "int64"), "y")
    table = b.input(TensorType((rows, 3)), "table")
    zero = b.emit("broadcast", b.constant(0, "int32"), shape=(N, 7), dims=())
    found = b.emit("gather", table, b.emit("add", i, zero), axis=0)
    both = b.emit("mul", found, b.emit("gather", table, b.emit("abs", i), axis=0))
    return b.build([b.emit("reduce_sum", both, axes=(1,)), b.emit("cast", y, dtype="float32")])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("rows", [1, 50])
def test_indices_are_spread_over_the_table(rows: int, fused: bool) -> None:
    graph = lookup(rows)
    if fused:
        graph = optimize(graph).records[-1].after
    indices, classes, table = example_arrays(graph, {"N": 100})
    assert (indices.shape, indices.dtype, table.shape) == ((100, 7), np.int32, (rows, 3))
    assert set(np.unique(indices)) == set(range(rows))
    assert not classes.any()


def test_the_arrays_are_the_same_every_time() -> None:
    first, second = (example_arrays(lookup(50), {"N": 9}) for _ in range(2))
    assert [a.tobytes() for a in first] == [a.tobytes() for a in second]
