"""graphkeras: models through the Keras API, single products and convolutions as graphs.

A graph of one contraction gets its result's memory from the caller (an output that aliases an
input), as a kernel within a step does; so what is timed is the kernel and one launch.
"""

from __future__ import annotations

import numpy as np

import graphkeras
from benchmarks.systems.calls import repeated
from benchmarks.systems.keras_api import prepare_with
from benchmarks.work import Convolution, Prepared, Product, Work, sample_of
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.graph import Value
from graphkeras.passes.autodiff import gradients

BATCH = Size.symbol("N")


def prepare(work: Work) -> Prepared:
    """The work by graphkeras."""
    if isinstance(work, Product):
        graph = _graph(work, (BATCH, work.k), (work.k, work.n), (BATCH, work.n))
    elif isinstance(work, Convolution):
        image = (BATCH, work.size, work.size)
        graph = _graph(work, (*image, work.channels), work.kernel_shape, (*image, work.filters))
    else:
        return prepare_with(graphkeras, work, {})
    arrays = list(work.arrays())
    result = np.zeros_like(arrays[_result(work)])
    executable = compile_graph(graph)
    given = [*arrays, result]
    executable(given)
    return repeated(lambda: executable(given), sample_of(result))


def _result(work: Product | Convolution) -> int:
    """Which of x, w, y the result looks like."""
    return {"input gradient": 0, "weight gradient": 1, "forward": 2}[work.direction]


def _graph(
    work: Product | Convolution,
    x: tuple[int | Size, ...],
    w: tuple[int, ...],
    y: tuple[int | Size, ...],
) -> Graph:
    """Inputs x, w, dy and the memory of the result; the one output aliases the last."""
    builder = Builder("contraction")
    inputs = [
        builder.input(TensorType(s), n) for s, n in zip((x, w, y), ("x", "w", "dy"), strict=True)
    ]
    memory = builder.input(TensorType((x, w, y)[_result(work)]), "memory")
    output = _forward(builder, work, inputs[0], inputs[1])
    if work.direction != "forward":
        product = builder.emit("mul", output, inputs[2])
        loss = builder.emit("reduce_sum", product, axes=tuple(range(product.type.rank)))
        (found,) = gradients(builder, loss, [inputs[_result(work)]])
        assert found is not None
        output = found
    return builder.build([output], {0: len(inputs)}, [memory.name])


def _forward(builder: Builder, work: Product | Convolution, x: Value, w: Value) -> Value:
    if isinstance(work, Product):
        return builder.emit(
            "dot_general", x, w, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), rhs_contract=(0,)
        )
    side = work.window // 2
    return builder.emit(
        "conv",
        x,
        w,
        strides=(1, 1),
        padding=((side, side), (side, side)),
        lhs_dilation=(1, 1),
        rhs_dilation=(1, 1),
        groups=work.groups,
    )
