"""graphkeras: models through the Keras API, single products and convolutions as graphs.

A graph of one contraction gets its result's memory from the caller (an output that aliases an
input), as a kernel within a step does; so what is timed is the kernel and one launch.
"""

from __future__ import annotations

import graphkeras
from benchmarks.systems.calls import repeated
from benchmarks.systems.keras_api import prepare_with
from benchmarks.work import Convolution, Prepared, Product, Work, on_a_line, sample_of
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.graph import Value
from graphkeras.passes.autodiff import gradients

BATCH = Size.symbol("N")


def prepare(work: Work) -> Prepared:
    """The work by graphkeras."""
    if not isinstance(work, Product | Convolution):
        return prepare_with(graphkeras, work, {})
    graph, result = contraction(work)
    arrays = list(work.arrays())
    memory = on_a_line(arrays[result].shape)
    executable = compile_graph(graph)
    given = [*arrays, memory]
    executable(given)
    return repeated(lambda: executable(given), sample_of(memory))


def contraction(work: Product | Convolution) -> tuple[Graph, int]:
    """The work as a graph, and which of x, w and dy its result looks like.

    Inputs are x, w, dy and the memory of the result, which the one output aliases.
    """
    result = {"input gradient": 0, "weight gradient": 1, "forward": 2}[work.direction]
    builder = Builder("contraction")
    types = _types(work)
    inputs = [builder.input(type, name) for type, name in zip(types, ("x", "w", "dy"), strict=True)]
    memory = builder.input(types[result], "memory")
    output = _forward(builder, work, inputs[0], inputs[1])
    if work.direction != "forward":
        product = builder.emit("mul", output, inputs[2])
        loss = builder.emit("reduce_sum", product, axes=tuple(range(product.type.rank)))
        (found,) = gradients(builder, loss, [inputs[result]])
        assert found is not None
        output = found
    return builder.build([output], {0: len(inputs)}, [memory.name]), result


def _types(work: Product | Convolution) -> tuple[TensorType, TensorType, TensorType]:
    """Of x, w and dy; the batch is a run-time size, as in a model."""
    if isinstance(work, Product):
        return (
            TensorType((BATCH, work.k)),
            TensorType((work.k, work.n)),
            TensorType((BATCH, work.n)),
        )
    image = (BATCH, work.size, work.size)
    return (
        TensorType((*image, work.channels)),
        TensorType(work.kernel_shape),
        TensorType((*image, work.filters)),
    )


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
