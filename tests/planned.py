"""Runs a scheduled graph in the memory that was planned for it, with the NumPy references.

What a compiled program does, launch by launch, with real addresses: a wrong order, an update
written over a value that is still needed, or two buffers that overlap give wrong numbers here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphkeras.ir.builder import Builder
from graphkeras.ir.evaluate import bind_sizes, evaluate
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.passes import DeadCodeElimination, Fuse, PassManager, Schedule
from graphkeras.passes.memory import MemoryPlan, Place, plan_memory
from tests.graphgen import Case, random_graph

Array = NDArray[Any]


def scheduled(graph: Graph) -> Graph:
    """The graph after fusion and scheduling, each verified and its numbers checked."""
    passes = [DeadCodeElimination(), Fuse(), Schedule()]
    return PassManager(passes, verify=True, check_numbers=True).run(graph)


def launches(graph: Graph) -> list[Node]:
    """The nodes that become kernels, in order."""
    return [node for node in graph.nodes if node.body is not None]


class Memory:
    """Inputs, outputs, constants and one arena filled with a pattern that is no number."""

    def __init__(self, graph: Graph, arrays: Sequence[Array]) -> None:
        self.graph = graph
        self.plan: MemoryPlan = plan_memory(graph)
        self.sizes = bind_sizes([v.type for v in graph.inputs], arrays)
        self.layout = self.plan.arena.layout(self.sizes)
        self.inputs = [array.copy() for array in arrays]
        self.outputs = [np.empty(v.type.concrete(self.sizes), v.type.dtype) for v in graph.outputs]
        self.arena = np.full(self.layout.peak_bytes, 0xFF, np.uint8)

    def view(self, value: Value) -> Array:
        """The memory of a value."""
        place = self.plan.places[value]
        if place.place is Place.INPUT:
            return self.inputs[place.index]
        if place.place is Place.OUTPUT:
            return self.outputs[place.index]
        if place.place is Place.CONSTANT:
            return self.plan.constants[place.index]
        offset = self.layout.offsets[place.index]
        raw = self.arena[offset : offset + value.type.nbytes(self.sizes)]
        return raw.view(value.type.dtype).reshape(value.type.concrete(self.sizes))

    def run(self) -> list[Array]:
        """Every output, from where the program leaves it."""
        for node in launches(self.graph):
            self.launch(node)
        return [self.view(value).copy() for value in self.graph.outputs]

    def launch(self, node: Node) -> None:
        """Runs one kernel and writes its results."""
        for value, array in zip(node.results, self.results(node), strict=True):
            self.view(value)[...] = array

    def results(self, node: Node) -> Sequence[Array]:
        """What a kernel computes from the memory as it is."""
        assert node.body is not None
        # Sizes may come from other inputs of the graph than this kernel's.
        body = _with_sizes(node.body, self.graph)
        operands = [self.view(value).copy() for value in node.inputs]
        return evaluate(body, [*operands, *self._size_arrays(body, operands)])

    def _size_arrays(self, body: Graph, operands: Sequence[Array]) -> list[Array]:
        extra = body.inputs[len(operands) :]
        return [np.zeros(v.type.concrete(self.sizes), v.type.dtype) for v in extra]


def _with_sizes(body: Graph, graph: Graph) -> Graph:
    """The body with the graph's inputs added, so that every run-time size can be found."""
    builder = Builder.extending(body, "test")
    for value in graph.inputs:
        builder.input(value.type, value.name)
    return builder.build(body.outputs)


def pairs_in_place(memory: Memory, node: Node) -> list[tuple[Value, Value]]:
    """(operand, result) of a kernel that share memory."""
    plan = memory.plan.places
    return [(v, r) for r in node.results for v in node.inputs if plan[v] == plan[r]]


def with_state(case: Case, seed: int) -> Case:
    """The case with some outputs that are next values of inputs: computed, swapped, or twice."""
    rng = np.random.default_rng(seed)
    graph, aliases = case.graph, {}
    outputs = list(graph.outputs)
    produced = [v for node in graph.nodes for v in node.results]
    for position, old in enumerate(graph.inputs):
        fitting = [v for v in (*produced, *graph.inputs) if v.type == old.type]
        if fitting and rng.random() < 0.7:
            aliases[len(outputs)] = position
            outputs.append(fitting[int(rng.integers(len(fitting)))])
    builder = Builder.extending(graph, "trace")
    return case._replace(graph=builder.build(outputs, aliases))


def stateful_cases(max_nodes: int = 20) -> st.SearchStrategy[Case]:
    """Hypothesis strategy of random graphs that update some of their inputs."""
    return st.builds(
        lambda seed, nodes, state: with_state(random_graph(seed, nodes), state),
        seed=st.integers(0, 2**20),
        nodes=st.integers(1, max_nodes),
        state=st.integers(0, 9),
    )


def arrays_for(case: Case, sizes: Mapping[str, int], seed: int = 0) -> list[Array]:
    """Inputs like the case's, for other run-time sizes: its own elements, repeated."""
    rng = np.random.default_rng(seed)
    arrays = []
    for value, array in zip(case.graph.inputs, case.arrays, strict=True):
        shape = value.type.concrete(sizes)
        pool = array.reshape(-1)
        arrays.append(rng.choice(pool, shape).astype(array.dtype) if pool.size else array)
    return arrays
