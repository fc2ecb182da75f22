"""NaN and infinity go through kernels as through the NumPy references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate

Array = NDArray[Any]

N = Size.symbol("N")
C = 19
NAN, INF = np.nan, np.inf


def spread(b: Builder, value: Value, dims: tuple[int, ...]) -> Value:
    return b.emit("broadcast", value, shape=(N, C), dims=dims)


def everything() -> Graph:
    """Elementwise choices, reductions in every loop order, softmax, pooling, a product."""
    b = Builder("special")
    x = b.input(TensorType((N, C)), "x")
    w = b.input(TensorType((C, 5)), "w")
    zero = spread(b, b.constant(0.0, "float32"), ())
    outputs = {
        "relu": b.emit("max", x, zero),
        "min": b.emit("min", zero, x),
        "sign": b.emit("sign", x),
        "is_nan": b.emit("is_nan", x),
        "is_finite": b.emit("is_finite", x),
        "less": b.emit("lt", x, zero),
        "not_equal": b.emit("ne", x, x),
        "exp": b.emit("exp", x),
    }
    for op in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
        outputs[f"{op} of rows"] = b.emit(op, x, axes=(1,))
        if op != "reduce_prod":
            outputs[f"{op} of columns"] = b.emit(op, x, axes=(0,))
    e = b.emit("exp", b.emit("sub", x, spread(b, outputs["reduce_max of rows"], (0,))))
    total = b.emit("reduce_sum", e, axes=(1,))
    outputs["softmax"] = b.emit("div", e, spread(b, total, (0,)))
    pool = {"window": (1, 3), "strides": (1, 2), "padding": ((0, 0), (1, 1))}
    outputs["max pooling"] = b.emit("window_max", x, **pool)
    winners = b.emit("window_argmax", x, outputs["max pooling"], **pool)
    outputs["winners"] = winners
    outputs["gradient of max pooling"] = b.emit(
        "window_scatter", outputs["max pooling"], winners, shape=(N, C), **pool
    )
    outputs["sum pooling"] = b.emit("window_sum", x, **pool)
    outputs["product"] = b.emit(
        "dot_general", x, w, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), rhs_contract=(0,)
    )
    return b.build(list(outputs.values()), output_names=list(outputs))


GRAPH = everything()


def image() -> Array:
    """Rows of ordinary numbers with one special element each, and rows full of them."""
    x = np.linspace(-2, 2, 12 * C, dtype=np.float32).reshape(12, C)
    for row, special in enumerate((NAN, INF, -INF)):
        x[row, 0] = special
        x[row + 3, C - 1] = special
        x[row + 6, :] = special
    x[9, 3:6] = [INF, -INF, 1.0]
    x[10, 7:9] = [NAN, INF]
    return x


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[Array, Array]]:
    arrays = [image(), np.linspace(-1, 1, C * 5, dtype=np.float32).reshape(C, 5)]
    with np.errstate(all="ignore"):
        expected = evaluate(GRAPH, arrays)
    received = compile_graph(GRAPH)(arrays)
    pairs = zip(expected, received, strict=True)
    return dict(zip(GRAPH.output_names, pairs, strict=True))


@pytest.mark.parametrize("name", GRAPH.output_names)
def test_special_values(name: str, results: dict[str, tuple[Array, Array]]) -> None:
    expected, received = results[name]
    if expected.dtype.kind == "f":
        assert not np.isfinite(expected).all() or name == "sign"
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(received, expected)
