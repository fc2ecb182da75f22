"""A step that takes all samples and the numbers of a batch's instead of the batch.

    x: f32[N,784]  ──► step            samples: u8[S,784] ─╮
                                       order:   i64[N] ────┴─► gather ──► cast ──► step

A shuffled epoch is then many runs of one program over the same arrays, of which only the place in
the order changes, and the gather is a node like any other: a product or convolution that copies
its operand anyway reads through it, and what converts the samples is fused with it.

It is no pass of the pipeline, since it changes what the graph takes: it runs before all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size, number, product
from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.types import TensorType

SAMPLES = "S"
"""Name of the run-time size that counts all samples."""
MADE_BY = "gather_samples"


def samples_type(type: TensorType, dtype: str, pitch: int | None = None) -> TensorType:
    """The type of all samples of an input.

    Args:
        type: Of a batch of them, as the step takes it: `(N, ...)`.
        dtype: The dtype that they are stored in.
        pitch: Elements from one sample to the next, where these are more than a sample has.

    Returns:
        `(S, ...)`, or `(S, pitch)`, whose lines begin with a sample each.
    """
    rest = type.shape[1:] if pitch is None else (pitch,)
    return TensorType((Size.symbol(SAMPLES), *rest), dtype)


def gather_samples(graph: Graph, samples: Sequence[TensorType]) -> Graph:
    """The graph that gathers its first inputs.

    Args:
        graph: A graph of primitives whose first inputs are batches, `(N, ...)`.
        samples: For each of these the type of all samples, by `samples_type`.

    Returns:
        A graph of the same outputs. It takes all samples of each of these inputs, then
        `order`, int64 of shape `(N,)`: the numbers of the batch's samples; then what else
        `graph` takes. Numbers outside the samples are clipped.
    """
    batches = graph.inputs[: len(samples)]
    others = graph.inputs[len(samples) :]
    builder = Builder(graph.name, MADE_BY)
    stored = [builder.input(type, batch.name) for batch, type in zip(batches, samples, strict=True)]
    order = builder.input(TensorType(batches[0].type.shape[:1], "int64"), "order")
    new = {value: builder.input(value.type, value.name) for value in others}
    for batch, whole in zip(batches, stored, strict=True):
        new[batch] = _gathered(builder, batch, whole, order)
    for node in graph.nodes:
        results = builder.keep(node, [new[value] for value in node.inputs])
        new.update(zip(node.results, results, strict=True))
    aliases = {output: position + 1 for output, position in graph.aliases.items()}
    return builder.build([new[value] for value in graph.outputs], aliases, graph.output_names)


def _gathered(builder: Builder, batch: Value, whole: Value, order: Value) -> Value:
    """The batch, made of all samples."""
    type = batch.type
    found = builder.emit("gather", whole, order, axis=0, name=batch.name)
    if found.type.shape != type.shape:
        elements = number(product(type.shape[1:]))
        found = builder.emit(
            "slice", found, start=(0, 0), stop=(type.shape[0], elements), step=(1, 1)
        )
        found = builder.emit("reshape", found, shape=type.shape)
    return found if found.type == type else builder.emit("cast", found, dtype=type.dtype)
