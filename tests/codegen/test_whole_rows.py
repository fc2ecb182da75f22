"""Rows that the kernel of a contraction finishes: softmax, crossentropy, normalisation, argmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Node
from graphkeras.ir.whole_rows import MOST_COLUMNS, MOST_WEIGHTS
from graphkeras.runtime import pool
from graphkeras.runtime.executable import Executable

Array = NDArray[Any]
Rows = Callable[[Builder, Value], list[Value]]

N = Size.symbol("N")
CPUS = ["", "avx2", "generic"]


def across(b: Builder, value: Value, like: Value) -> Value:
    """A value of each row, in every column."""
    shape = like.type.shape
    return b.emit("broadcast", value, shape=shape, dims=tuple(range(len(shape) - 1)))


def filled(b: Builder, number: float, like: Value) -> Value:
    one = b.emit("constant", value=np.array(number, like.type.dtype))
    return b.emit("broadcast", one, shape=like.type.shape, dims=())


def dense(
    b: Builder, k: int, n: int, rows: tuple[Any, ...] = (N,), dtype: str = "float32"
) -> Value:
    """Logits with a bias."""
    x = b.input(TensorType((*rows, k), dtype), "x")
    w = b.input(TensorType((k, n), dtype), "w")
    bias = b.input(TensorType((n,), dtype), "bias")
    dims = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (len(rows),), "rhs_contract": (0,)}
    y = b.emit("dot_general", x, w, **dims)
    return b.emit("add", y, b.emit("broadcast", bias, shape=y.type.shape, dims=(len(rows),)))


def scores(b: Builder, heads: int, q: int, k: int, d: int) -> Value:
    """Products of queries and keys, scaled."""
    dims = {"lhs_batch": (0, 1), "rhs_batch": (0, 1), "lhs_contract": (3,), "rhs_contract": (3,)}
    queries = b.input(TensorType((N, heads, q, d)), "q")
    y = b.emit("dot_general", queries, b.input(TensorType((N, heads, k, d)), "k"), **dims)
    return b.emit("mul", y, filled(b, d**-0.5, y))


def softmax(b: Builder, x: Value) -> list[Value]:
    axis = x.type.rank - 1
    largest = across(b, b.emit("reduce_max", x, axes=(axis,)), x)
    e = b.emit("exp", b.emit("sub", x, largest))
    return [b.emit("div", e, across(b, b.emit("reduce_sum", e, axes=(axis,)), x))]


def log_softmax(b: Builder, x: Value) -> list[Value]:
    axis = x.type.rank - 1
    shifted = b.emit("sub", x, across(b, b.emit("reduce_max", x, axes=(axis,)), x))
    total = b.emit("reduce_sum", b.emit("exp", shifted), axes=(axis,))
    return [b.emit("sub", shifted, across(b, b.emit("log", total), x))]


def crossentropy(b: Builder, x: Value) -> list[Value]:
    """The loss of each row, the gradient of the logits, the place of the largest one."""
    rows, n = x.type.shape
    labels = b.input(TensorType((rows,), "int32"), "labels")
    (log,) = log_softmax(b, x)
    picked = b.emit("take_along", log, b.emit("reshape", labels, shape=(rows, 1)), axis=1)
    place = b.emit("iota", shape=(rows, n), axis=1, dtype="int32")
    hit = b.emit("cast", b.emit("eq", place, across(b, labels, x)), dtype=x.type.dtype)
    top = b.emit("eq", x, across(b, b.emit("reduce_max", x, axes=(1,)), x))
    last = b.emit("constant", value=np.array(n, "int32"))
    last = b.emit("broadcast", last, shape=(rows, n), dims=())
    first = b.emit("reduce_min", b.emit("select", top, place, last), axes=(1,))
    loss = b.emit("reshape", b.emit("neg", picked), shape=(rows,))
    return [loss, b.emit("sub", b.emit("exp", log), hit), first]


def normalised(b: Builder, x: Value) -> list[Value]:
    """A residual sum, and its layer normalisation."""
    axis = x.type.rank - 1
    y = b.emit("add", x, b.input(x.type, "residual"))
    share = filled(b, 1 / int(np.prod(x.type.shape[-1:])), x)

    def mean(value: Value) -> Value:
        return b.emit("mul", across(b, b.emit("reduce_sum", value, axes=(axis,)), x), share)

    distance = b.emit("sub", y, mean(y))
    variance = b.emit("add", mean(b.emit("mul", distance, distance)), filled(b, 1e-3, x))
    return [y, b.emit("div", distance, b.emit("sqrt", variance))]


def largest(b: Builder, x: Value) -> list[Value]:
    return [b.emit("reduce_max", x, axes=(x.type.rank - 1,))]


ROWS: dict[str, Rows] = {
    "softmax": softmax,
    "log softmax": log_softmax,
    "crossentropy": crossentropy,
    "layer normalisation": normalised,
    "largest": largest,
    "logits too": lambda b, x: [x, *softmax(b, x)],
}


def graph_of(rows: Rows, logits: Callable[[Builder], Value]) -> Graph:
    b = Builder("rows")
    return b.build(rows(b, logits(b)))


def arrays_for(graph: Graph, n: int) -> list[Array]:
    rng = np.random.default_rng(n)
    found = []
    for value in graph.inputs:
        shape = value.type.concrete({"N": n})
        integers = value.type.dtype == "int32"
        # Labels outside the classes are clipped, wherever the row lies.
        array = rng.integers(-2, 40, shape) if integers else rng.normal(size=shape)
        found.append(array.astype(value.type.dtype))
    return found


def kernels(graph: Graph) -> list[Node]:
    return [n for n in optimize(graph).records[-1].after.nodes if n.body is not None]


def patterns(graph: Graph) -> list[str]:
    return [node.attrs["pattern"] for node in kernels(graph)]


def refusals(graph: Graph) -> list[str]:
    """Why loops over rows are not in the contraction's kernel."""
    assert "rows" in patterns(graph)
    (found,) = [k for k in kernels(graph) if k.attrs["pattern"] == "contract"]
    return sorted({reason.partition(": ")[2] for reason in found.attrs["not_fused"]})


def with_any_threads(executable: Executable, arrays: list[Array]) -> list[Array]:
    """The results, which are the same bits on one to four threads."""
    results = []
    try:
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            results.append([array.tobytes() for array in executable(arrays)])
        assert all(result == results[0] for result in results)
        return list(executable(arrays))
    finally:
        pool.set_num_threads(None)


def check(graph: Graph, batches: tuple[int, ...], cpu: str = "", tolerance: float = 2e-5) -> None:
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    for n in batches:
        arrays = arrays_for(graph, n)
        expected = evaluate(graph, arrays)
        for got, want in zip(with_any_threads(executable, arrays), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_logits_are_one_kernel_and_right(name: str, cpu: str) -> None:
    graph = graph_of(ROWS[name], lambda b: dense(b, 70, 10))
    assert patterns(graph) == ["contract"]
    check(graph, (0, 1, 5, 300), cpu)


@pytest.mark.parametrize("columns", [2, 3, 16, 33, 100, 700])
@pytest.mark.parametrize("name", ["softmax", "crossentropy"])
def test_rows_of_every_length(name: str, columns: int) -> None:
    graph = graph_of(ROWS[name], lambda b: dense(b, 37, columns))
    assert patterns(graph) == ["contract"]
    check(graph, (1, 50))


@pytest.mark.parametrize("name", ["softmax", "crossentropy", "layer normalisation"])
def test_sums_of_many_steps_are_complete_before_rows_begin(name: str) -> None:
    """k is cut in chunks, which add to a strip of rows."""
    graph = graph_of(ROWS[name], lambda b: dense(b, 3000, 12))
    assert patterns(graph) == ["contract"]
    check(graph, (1, 77), tolerance=1e-3)


@pytest.mark.parametrize("cpu", CPUS)
def test_rows_of_attention_scores(cpu: str) -> None:
    graph = graph_of(softmax, lambda b: scores(b, 3, 19, 45, 24))
    assert patterns(graph) == ["contract"]
    check(graph, (0, 1, 4), cpu)


def test_attention_gradient_of_the_scores() -> None:
    """Rows of another tensor, at the row's own elements, are read on the way."""

    def gradient(b: Builder, dp: Value) -> list[Value]:
        p = b.input(dp.type, "p")
        total = b.emit("reduce_sum", b.emit("mul", p, dp), axes=(3,))
        return [b.emit("mul", p, b.emit("sub", dp, across(b, total, dp)))]

    graph = graph_of(gradient, lambda b: scores(b, 2, 33, 33, 16))
    assert patterns(graph) == ["contract"]
    check(graph, (1, 3), tolerance=2e-4)


@pytest.mark.parametrize("name", ["softmax", "layer normalisation"])
def test_rows_of_sequences_and_of_pixels(name: str) -> None:
    check(graph_of(ROWS[name], lambda b: dense(b, 20, 24, (N, 7))), (1, 6))
    check(graph_of(ROWS[name], lambda b: pixels(b)), (1, 3), tolerance=1e-4)


def pixels(b: Builder) -> Value:
    x, w = b.input(TensorType((N, 9, 11, 6)), "x"), b.input(TensorType((3, 3, 6, 21)), "w")
    ones, pad = (1, 1), ((1, 1), (1, 1))
    dilations = {"lhs_dilation": ones, "rhs_dilation": ones}
    return b.emit("conv", x, w, strides=ones, padding=pad, groups=1, **dilations)


def test_rows_of_doubles() -> None:
    graph = graph_of(softmax, lambda b: dense(b, 45, 19, dtype="float64"))
    assert patterns(graph) == ["contract"]
    check(graph, (1, 30), tolerance=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["softmax", "crossentropy", "largest"])
def test_what_is_not_finite_stays_in_its_row(name: str, bad: float) -> None:
    graph = graph_of(ROWS[name], lambda b: dense(b, 12, 10))
    arrays = arrays_for(graph, 9)
    arrays[0][4, 3] = bad
    for got, want in zip(compile_graph(graph)(arrays), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        finite = np.isfinite(want)
        np.testing.assert_allclose(got[finite], want[finite], rtol=2e-5, atol=1e-6)


def test_an_operand_as_large_as_the_result_is_not_overwritten_too_early() -> None:
    """The residual is read by several passes, and dies in the kernel."""
    b = Builder("residual")
    x = dense(b, 30, 30)
    y = b.emit("tanh", b.input(TensorType((N, 30)), "r"))
    total = b.emit("add", x, y)
    mean = across(b, b.emit("reduce_sum", total, axes=(1,)), total)
    graph = b.build([b.emit("sub", total, mean), b.emit("reduce_max", total, axes=(1,))])
    check(graph, (1, 40))


def test_the_result_is_not_written_if_nobody_else_reads_it() -> None:
    (kernel,) = kernels(graph_of(softmax, lambda b: dense(b, 40, 10)))
    assert [value.type.shape for value in kernel.results] == [(N, 10)]
    assert kernel.body is not None
    assert kernel.body.outputs[0].producer is not None
    assert kernel.body.outputs[0].producer.op == "div"


# ---- refusals


def test_one_column_has_no_row_to_go_on_with() -> None:
    assert "contract" in patterns(graph_of(softmax, lambda b: dense(b, 40, 1)))
    check(graph_of(softmax, lambda b: dense(b, 40, 1)), (1, 9))


def test_long_rows_keep_their_kernel() -> None:
    graph = graph_of(softmax, lambda b: dense(b, 4, MOST_COLUMNS + 1))
    assert f"rows of {MOST_COLUMNS + 1} elements" in refusals(graph)


def test_threads_share_the_columns_of_few_rows_and_many_weights() -> None:
    k = MOST_WEIGHTS // 256
    assert patterns(graph_of(softmax, lambda b: dense(b, k, 256))) == ["contract"]
    reason = "threads share the columns of dot_general"
    assert reason in refusals(graph_of(softmax, lambda b: dense(b, k + 1, 256)))
    assert reason in refusals(graph_of(softmax, lambda b: dense(b, k + 1, 256, (N, 300))))


def test_threads_share_products_of_a_batch_whatever_their_size() -> None:
    graph = graph_of(softmax, lambda b: scores(b, 2, 9, 1100, 64))
    assert patterns(graph) == ["contract"]
    check(graph, (1, 2))


def test_rows_along_another_dim_keep_their_kernel() -> None:
    """Reductions of pairs of columns are rows of another length."""

    def pairs(b: Builder, x: Value) -> list[Value]:
        return softmax(b, b.emit("reshape", x, shape=(N, 5, 2)))

    graph = graph_of(pairs, lambda b: dense(b, 40, 10))
    assert "reads dot_general in rows of another kind" in refusals(graph)
    check(graph, (1, 30))


def test_other_rows_are_not_there_yet() -> None:
    """A reader of the row before needs a kernel of its own."""

    def shifted(b: Builder, x: Value) -> list[Value]:
        flipped = b.emit("reverse", x, axes=(0,))
        return softmax(b, b.emit("add", x, flipped))

    graph = graph_of(shifted, lambda b: dense(b, 40, 10))
    assert "rows" in patterns(graph)
    check(graph, (1, 30))


def test_convolutions_leave_rows_of_channels_to_another_kernel() -> None:
    assert "tiles of conv hold no whole rows" in refusals(graph_of(softmax, pixels))


def test_a_maximum_over_windows_of_rows() -> None:
    b = Builder("windows")
    (soft,) = softmax(b, pixels(b))
    attrs = {"window": (1, 3, 3, 1), "strides": (1, 3, 3, 1), "padding": ((0, 0),) * 4}
    check(b.build([b.emit("window_max", soft, **attrs)]), (1, 3), tolerance=1e-4)
