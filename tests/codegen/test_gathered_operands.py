"""Contractions that gather the rows of their operand: against the evaluator, thread by thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Value
from graphkeras.passes.numerics import relative_error
from graphkeras.runtime import set_num_threads

N, S = Size.symbol("N"), Size.symbol("S")
CPUS = ("", "avx2", "generic")
SAMPLES = 23

Layer = Callable[[Builder, Value], list[Value]]


def batch(*shape: int, dtype: str = "float32") -> Callable[[Builder], Value]:
    """Rows of all samples, as the kernels' dtype."""

    def gather(b: Builder) -> Value:
        samples = b.input(TensorType((S, *shape), dtype), "samples")
        order = b.input(TensorType((N,), "int64"), "order")
        rows = b.emit("gather", samples, order, axis=0)
        return rows if dtype == "float32" else b.emit("cast", rows, dtype="float32")

    return gather


def dense(units: int) -> Layer:
    """The product, and the gradient of its weights."""

    def build(b: Builder, x: Value) -> list[Value]:
        w = b.input(TensorType((*x.type.shape[1:], units)), "w")
        dy = b.input(TensorType((N, units)), "dy")
        attrs = {"lhs_batch": (), "rhs_batch": ()}
        y = b.emit("dot_general", x, w, lhs_contract=(1,), rhs_contract=(0,), **attrs)
        dw = b.emit("dot_general", x, dy, lhs_contract=(0,), rhs_contract=(0,), **attrs)
        return [y, dw]

    return build


def conv(filters: int, size: tuple[int, ...], stride: int, pad: int) -> Layer:
    """A convolution, and the gradient of its kernel."""

    def build(b: Builder, x: Value) -> list[Value]:
        w = b.input(TensorType((*size, x.type.shape[-1], filters)), "w")
        rank = len(size)
        attrs = {
            "strides": (stride,) * rank,
            "padding": ((pad, pad),) * rank,
            "lhs_dilation": (1,) * rank,
            "rhs_dilation": (1,) * rank,
            "groups": 1,
        }
        y = b.emit("conv", x, w, **attrs)
        dy = b.input(y.type, "dy")
        dw = b.emit("conv_kernel_grad", x, dy, kernel_size=size, **attrs)
        return [y, dw]

    return build


CASES = {
    "dense": (batch(200), dense(10)),
    "wide": (batch(256), dense(100)),
    "bytes": (batch(320, dtype="uint8"), dense(33)),
    "doubles": (batch(193, dtype="float64"), dense(1)),
    "image": (batch(16, 14, 1), conv(8, (3, 3), 1, 0)),
    "padded": (batch(9, 11, 3), conv(20, (5, 3), 2, 1)),
    "pixels": (batch(10, 10, 3, dtype="uint8"), conv(16, (3, 3), 1, 1)),
    "line": (batch(50, 4), conv(12, (3,), 1, 1)),
}


def graph_of(name: str) -> Graph:
    gather, layer = CASES[name]
    b = Builder("gathered")
    return b.build(layer(b, gather(b)))


def arrays_of(graph: Graph, rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(rows)
    found = []
    for value in graph.inputs:
        shape = value.type.concrete({"N": rows, "S": SAMPLES})
        if value.name == "order":
            # Outside the samples: clipped, as by the reference.
            found.append(rng.integers(-2, SAMPLES + 2, shape))
        elif value.type.dtype == "uint8":
            found.append(rng.integers(0, 256, shape).astype("uint8"))
        else:
            found.append(rng.standard_normal(shape).astype(value.type.dtype))
    return found


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", CASES)
def test_gathered_operands(name: str, cpu: str) -> None:
    graph = graph_of(name)
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    fused = [n for n in executable.program.graph.nodes if n.body is not None]
    bodies = [{inner.op for inner in node.body.nodes} for node in fused if node.body is not None]
    assert not any(
        "gather" in ops and not ops & {"conv", "conv_kernel_grad", "dot_general"} for ops in bodies
    ), "the contractions gather"
    for rows in (1, 2, 17, 40):
        arrays = arrays_of(graph, rows)
        expected = evaluate(graph, arrays)
        alone = None
        for threads in (1, 2, 3, 4):
            set_num_threads(threads)
            received = executable(arrays)
            alone = received if alone is None else alone
            for one, ours, theirs in zip(alone, received, expected, strict=True):
                np.testing.assert_array_equal(one, ours)
                assert relative_error(theirs, ours) < 2e-5, (rows, threads)
    set_num_threads(None)
