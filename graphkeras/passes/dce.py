"""Removes dead code: nodes that no output depends on.

Reading the nodes backwards, a node is live if one of its results is an output or an operand of
a live node. Every op is pure (randomness and state come in as inputs), so the rest computes
nothing anyone sees. Inputs always stay: they are the graph's signature.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph


@frozen
class DeadCodeElimination:
    """Drops the nodes that no output depends on."""

    name: ClassVar[str] = "dce"

    def __call__(self, graph: Graph) -> Graph:
        """The graph without dead nodes; the same object if there is none."""
        live = set(graph.outputs)
        kept = []
        for node in reversed(graph.nodes):
            if any(result in live for result in node.results):
                live.update(node.inputs)
                kept.append(node)
        if len(kept) == len(graph.nodes):
            return graph
        return replace(graph, nodes=tuple(reversed(kept)))
