"""Arrays to time a graph with."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.op import Array, get_op
from graphkeras.runtime.context import address_of, aligned


def example_arrays(graph: Graph, sizes: Mapping[str, int]) -> list[Array]:
    """An array for each input of a graph: small positive floats, random keys and indices, class 0.

    Times of kernels do not depend on numbers, except where an index says what is read: one row of
    a table again and again would come from the cache. They do depend on where arrays begin: these
    start on a cache line, as variables and the arena do. Vectors that lie across two lines cost a
    product up to a fifth of its speed.
    """
    rng = np.random.default_rng(0)
    limits: dict[Value, int] = {}
    _find_limits(graph, limits)
    arrays: list[Array] = []
    for value in graph.inputs:
        shape, dtype = value.type.concrete(sizes), np.dtype(value.type.dtype)
        array = _on_a_line(shape, dtype)
        if dtype.kind == "f":
            array[...] = 0.01 * rng.random(shape)
        elif dtype.kind == "u" and value not in limits:
            array[...] = rng.integers(0, 1 << 8, shape)
        else:
            array[...] = rng.integers(0, limits.get(value, 1), shape)
        arrays.append(array)
    return arrays


def _find_limits(graph: Graph, limits: dict[Value, int]) -> None:
    """Adds how many values an index may take, for every integer that indices are made of.

    Args:
        graph: The graph, fused or not.
        limits: Known limits; those of outputs lead on to what they are made of.
    """

    def note(value: Value, limit: Any) -> None:
        if isinstance(limit, int) and "int" in value.type.dtype:
            limits[value] = max(1, min(limit, limits.get(value, limit)))

    for node in reversed(graph.nodes):
        if node.body is not None:
            both = zip(node.body.outputs, node.results, strict=True)
            inside = {output: limits[result] for output, result in both if result in limits}
            _find_limits(node.body, inside)
            for value, operand in zip(node.body.inputs, node.inputs, strict=True):
                note(operand, inside.get(value))
            continue
        op = get_op(node.op)
        if op.indexes:
            table, indices = node.inputs[:2]
            note(indices, table.type.shape[node.attrs["axis"]])
        scattered = op.scattered(node) if op.scattered is not None else None
        if scattered is not None:
            note(node.inputs[1], prod(scattered.window))
        for limit in [limits[result] for result in node.results if result in limits]:
            for operand in node.inputs:
                note(operand, limit)


def _on_a_line(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    memory, begin = aligned(int(np.prod(shape)) * dtype.itemsize)
    skip = begin - address_of(memory)
    part = memory[skip : skip + int(np.prod(shape)) * dtype.itemsize]
    array: Array = part.view(dtype).reshape(shape)
    return array
