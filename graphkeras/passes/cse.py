"""Common subexpressions: what two nodes compute alike is computed once.

Nodes are numbered by content: two nodes are the same when op, attributes and result types are
equal and their operands are the same values, in either order where the op is commutative. Since
operands are replaced before a node is looked up, whole equal expressions collapse in one sweep,
first nodes first::

    %2 = exp(%0)                    %2 = exp(%0)
    %3 = add(%2, %1)                %3 = add(%2, %1)
    %4 = exp(%0)           ->
    %5 = add(%1, %4)
    %6 = mul(%3, %5)                %4 = mul(%3, %3)

Random bits are pure functions of their key, so the same key drawn twice is one draw. Arrays
are compared by their bytes: 0.0 and -0.0 differ, a NaN equals itself.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import get_op
from graphkeras.passes.rewriter import Rewriter


@frozen
class CommonSubexpressions:
    """Replaces a node by an earlier one that computes the same."""

    name: ClassVar[str] = "cse"

    def __call__(self, graph: Graph) -> Graph:
        """The graph with equal nodes merged; the same object if there are none."""
        rewriter = Rewriter(graph, self.name)
        known: dict[Hashable, tuple[Value, ...]] = {}
        for node in graph.nodes:
            key = _content(node, rewriter.operands(node))
            if key is None:
                rewriter.take(node)
            elif key not in known:
                known[key] = rewriter.take(node)
            else:
                for old, new in zip(node.results, known[key], strict=True):
                    rewriter.replace(old, new)
        return rewriter.finish()


def _content(node: Node, operands: tuple[Value, ...]) -> Hashable | None:
    """What the node computes, or None for a fused node, whose body is not compared."""
    if node.body is not None:
        return None
    if get_op(node.op).commutative:
        operands = tuple(sorted(operands, key=id))
    attrs = tuple((name, _hashable(value)) for name, value in sorted(node.attrs.items()))
    return node.op, operands, attrs, node.types


def _hashable(value: Any) -> Hashable:
    """A key that is equal for attributes that mean the same, and only for those."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, float):
        return "float", value.hex()
    return type(value).__name__, value
