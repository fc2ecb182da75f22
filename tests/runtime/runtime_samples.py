"""Kernels and programs written by hand, as code generation would print them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from graphkeras.codegen.program import KernelSource, Launch, Program
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.types import TensorType
from graphkeras.passes.memory import Arena, ArenaBuffer, Buffer, Place

N = Size.symbol("N")

_HEAD = """\
import math

from graphkeras.codegen.cpu.intrinsics import bool_at, float32_at, int64_at
from graphkeras.runtime.intrinsics import atomic_add, atomic_load
"""


def elementwise(expression: str) -> KernelSource:
    """`y[i] = expression` for `argv = [x, y, n]`."""
    body = f"""

def kernel(tid, nthreads, argv):
    x = float32_at(argv[0])
    y = float32_at(argv[1])
    n = argv[2]
    for i in range(n * tid // nthreads, n * (tid + 1) // nthreads):
        y[i] = {expression}
"""
    return KernelSource("elementwise", _HEAD + body)


COUNT = KernelSource(
    "count", _HEAD + "\n\ndef kernel(tid, nthreads, argv):\n    atomic_add(argv[0], 1)\n"
)
"""Every thread adds 1."""

CHECK = KernelSource(
    "check",
    _HEAD
    + """

def kernel(tid, nthreads, argv):
    arrived = atomic_load(argv[0])
    if arrived - int64_at(argv[2])[0] != nthreads:
        atomic_add(argv[1], 1)
""",
)
"""Counts the threads that do not see one arrival of every thread since the base."""

REBASE = KernelSource(
    "rebase",
    _HEAD
    + """

def kernel(tid, nthreads, argv):
    if tid == 0:
        int64_at(argv[1])[0] = atomic_load(argv[0])
""",
)
"""Makes the arrivals so far the base."""

SCRATCH_SUM = KernelSource(
    "scratch_sum",
    _HEAD
    + """

def kernel(tid, nthreads, argv):
    x = float32_at(argv[0])
    y = float32_at(argv[1])
    n = argv[2]
    own = float32_at(argv[3] + tid * argv[4])
    for row in range(n * tid // nthreads, n * (tid + 1) // nthreads):
        for i in range(4):
            own[i] = x[4 * row + i]
        y[row] = own[0] + own[1] + own[2] + own[3]
""",
)
"""Sum of each row of four, by way of 64 bytes of scratch a thread."""


def pipeline(stages: int = 3) -> Program:
    """`y = 2 * (x + stages)` for `x: f32[N,4]`, by way of the arena."""
    kind = TensorType((N, 4))
    x = Value(kind, None, 0, "x")
    node = Node("neg", (x,), {}, (kind,), "y")
    graph = Graph("pipeline", (x,), (node,), (node.result,))
    add, double = elementwise("x[i] + 1"), elementwise("2 * x[i]")
    places = [Buffer(Place.INPUT, 0), *(Buffer(Place.ARENA, i) for i in range(stages))]
    launches = [Launch(add, (a, b, 4 * N), 0) for a, b in pairwise(places)]
    last = (places[-1], Buffer(Place.OUTPUT, 0), 4 * N)
    launches.append(Launch(double, last, 0))
    arena = Arena(tuple(ArenaBuffer((kind,), i, i + 1) for i in range(stages)))
    return Program(graph, tuple(launches), (), arena, 0)


def update() -> Program:
    """`w += x[0]` in place and `old = w` before it, for `w: f32[4]`, `x: f32[N,4]`."""
    kind = TensorType((4,))
    x, w = Value(TensorType((N, 4)), None, 0, "x"), Value(kind, None, 0, "w")
    node = Node("add", (x, w), {}, (kind, kind), "u")
    graph = Graph("update", (x, w), (node,), node.results, {1: 1})
    copy = elementwise("x[i]")
    add = elementwise("y[i] + x[i]")
    here = Buffer(Place.INPUT, 1)
    launches = (
        Launch(copy, (here, Buffer(Place.OUTPUT, 0), 4), 0),
        Launch(add, (Buffer(Place.INPUT, 0), here, 4), 0),
    )
    return Program(graph, launches, (), Arena(), 0)


def row_sums() -> Program:
    """`y = x.sum(axis=1)` for `x: f32[N,4]` with scratch memory."""
    x = Value(TensorType((N, 4)), None, 0, "x")
    node = Node("reduce_sum", (x,), {"axes": (1,)}, (TensorType((N,)),), "y")
    graph = Graph("row_sums", (x,), (node,), (node.result,))
    scratch = (Buffer(Place.SCRATCH), Buffer(Place.SCRATCH_BYTES))
    arguments = (Buffer(Place.INPUT, 0), Buffer(Place.OUTPUT, 0), N, *scratch)
    launches = (Launch(SCRATCH_SUM, arguments, 0),)
    return Program(graph, launches, (), Arena(), 64)


def add_constant(value: np.ndarray) -> Program:
    """`y = value` for an `x: f32[N]` that is not read, from a constant of four elements."""
    x = Value(TensorType((N,)), None, 0, "x")
    node = Node("neg", (x,), {}, (TensorType((4,)),), "y")
    graph = Graph("constants", (x,), (node,), (node.result,))
    arguments = (Buffer(Place.CONSTANT, 1), Buffer(Place.OUTPUT, 0), 4)
    launches = (Launch(elementwise("x[i]"), arguments, 0),)
    constants = (np.zeros(3, np.int8), value)
    return Program(graph, launches, constants, Arena(), 0)
