"""Computes at compile time what depends on constants only.

A node whose operands are all constants is run by its op's NumPy reference and becomes a
constant itself. It stays where folding would turn a small recipe into a large array: results of
more elements than the operands together (broadcasts) or than `max_elements`. A node without
operands is folded if its result is one number (the size of a static dimension).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Array, Kind, get_op
from graphkeras.passes.rewriter import Rewriter


@frozen
class FoldConstants:
    """Replaces nodes that read only constants by their results."""

    name: ClassVar[str] = "fold_constants"

    max_elements: int = 65536
    """Largest result, in elements, that is stored as a constant."""

    def __call__(self, graph: Graph) -> Graph:
        """The graph with constants folded; the same object if there was nothing to fold."""
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            operands = rewriter.operands(node)
            if not self._folds(node, operands):
                rewriter.take(node)
                continue
            with rewriter.standing_for(node), np.errstate(all="ignore"):
                arrays = [_literal(value) for value in operands]
                results = get_op(node.op).reference(arrays, node.attrs, {})
                for old, array in zip(node.results, results, strict=True):
                    new = rewriter.constant(array, dtype=old.type.dtype, name=node.name)
                    rewriter.replace(old, new)
        return rewriter.finish()

    def _folds(self, node: Node, operands: tuple[Value, ...]) -> bool:
        op = get_op(node.op)
        if op.kind in (Kind.CONSTANT, Kind.FUSED) or not op.folds:
            return False
        if any(isinstance(value, Size) for value in node.attrs.values()):
            return False
        if not all(is_literal(value) for value in operands):
            return False
        limit = max(sum(_literal(value).size for value in operands), 1)
        elements = [kind.numel for kind in node.types]
        return all(isinstance(n, int) and n <= min(limit, self.max_elements) for n in elements)


def is_literal(value: Value) -> bool:
    """Whether a constant node made the value."""
    return value.producer is not None and get_op(value.producer.op).kind is Kind.CONSTANT


def _literal(value: Value) -> Array:
    assert value.producer is not None
    array: Array = value.producer.attrs["value"]
    return array
