"""Arrays to time a graph with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array
from graphkeras.runtime.context import address_of, aligned


def example_arrays(graph: Graph, sizes: Mapping[str, int]) -> list[Array]:
    """An array for each input of a graph: small positive floats, class and index 0, random keys.

    Times of kernels do not depend on numbers, except where an index says what is read. They do
    depend on where arrays begin: these start on a cache line, as variables and the arena do.
    Vectors that lie across two lines cost a product up to a fifth of its speed.
    """
    rng = np.random.default_rng(0)
    arrays: list[Array] = []
    for value in graph.inputs:
        shape, dtype = value.type.concrete(sizes), np.dtype(value.type.dtype)
        array = _on_a_line(shape, dtype)
        if dtype.kind == "f":
            array[...] = 0.01 * rng.random(shape)
        elif dtype.kind == "u":
            array[...] = rng.integers(0, 1 << 8, shape)
        else:
            array[...] = 0
        arrays.append(array)
    return arrays


def _on_a_line(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    memory, begin = aligned(int(np.prod(shape)) * dtype.itemsize)
    skip = begin - address_of(memory)
    part = memory[skip : skip + int(np.prod(shape)) * dtype.itemsize]
    array: Array = part.view(dtype).reshape(shape)
    return array
