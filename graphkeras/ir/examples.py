"""Arrays to time a graph with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array


def example_arrays(graph: Graph, sizes: Mapping[str, int]) -> list[Array]:
    """An array for each input of a graph: small positive floats, class and index 0, random keys.

    Times of kernels do not depend on numbers, except where an index says what is read.
    """
    rng = np.random.default_rng(0)
    arrays: list[Array] = []
    for value in graph.inputs:
        shape, dtype = value.type.concrete(sizes), np.dtype(value.type.dtype)
        if dtype.kind == "f":
            arrays.append(np.asarray(0.01 * rng.random(shape), dtype))
        elif dtype.kind == "u":
            arrays.append(np.asarray(rng.integers(0, 1 << 8, shape), dtype))
        else:
            arrays.append(np.zeros(shape, dtype))
    return arrays
