"""Rebuilds a graph node by node while some values are replaced by others.

A pass reads the old graph in order, and for each node either takes it over (`take`) or replaces
its result by a value of the new graph (`replace`). Nodes taken over read the new values of
their operands; a node whose operands did not change stays the same object, so a graph in which
nothing changed comes back as the same graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace as changed

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Graph, Node, Value


class Rewriter(Builder):
    """The builder of a pass's new graph; knows where the values of the old graph went."""

    def __init__(self, graph: Graph, made_by: str) -> None:
        """Starts with the inputs of `graph`; new nodes are `made_by` the pass of that name."""
        super().__init__(graph.name, made_by)
        self.graph = graph
        self.inputs = list(graph.inputs)
        self._new: dict[Value, Value] = {}

    def current(self, value: Value) -> Value:
        """The value of the new graph that an old one became; a new one is itself."""
        return self._new.get(value, value)

    def operands(self, node: Node) -> tuple[Value, ...]:
        """The values of the new graph that the operands of an old node became."""
        return tuple(self.current(value) for value in node.inputs)

    def take(self, node: Node) -> tuple[Value, ...]:
        """Takes an old node over, reading its new operands; returns what its results became."""
        operands = self.operands(node)
        if any(a is not b for a, b in zip(operands, node.inputs, strict=True)):
            results = self._append(changed(node, inputs=operands, origins=(node,)))
        else:
            results = self._append(node)
        for old, new in zip(node.results, results, strict=True):
            self.replace(old, new)
        return results

    def replace(self, old: Value, new: Value) -> None:
        """Readers of an old value read `new`, a value of the new graph, from now on."""
        if old is not new:
            self._new[old] = new

    def is_read_once(self, node: Node) -> bool:
        """Whether the old node that a new node is or stands for has a single use.

        For rules that pay off only if the node disappears; not a matter of correctness.
        """
        users, outputs = self.graph.users, self.graph.outputs
        known = any(r in users or r in outputs for r in node.results)
        old = node if known or not node.origins else node.origins[0]
        return sum(len(users.get(r, ())) + (r in outputs) for r in old.results) == 1

    @contextmanager
    def standing_for(self, node: Node) -> Iterator[None]:
        """Nodes emitted inside stand for the old `node`: its location, and it as origin."""
        with self.at(node.loc, (node,)):
            yield

    def finish(self) -> Graph:
        """The new graph, with the old outputs, names and aliases; the old one if unchanged."""
        outputs = tuple(self._new.get(value, value) for value in self.graph.outputs)
        if outputs == self.graph.outputs and tuple(self.nodes) == self.graph.nodes:
            return self.graph
        return self.build(outputs, self.graph.aliases, self.graph.output_names)
