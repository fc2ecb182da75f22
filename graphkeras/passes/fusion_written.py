"""Which values fusion writes to memory; all others are recomputed by their readers.

    x ──► exp ──► reduce ──► log        x, reduce: memory       exp: inside reduce's loop
                                        log: graph output, memory

Readers recompute a cheap elementwise tree inside their own loops. It is written once instead

* where several readers would recompute more than a few operations, or one reader its elements
  several times (broadcasting, overlapping windows);
* where a contraction would compute it while it packs, unless that saves memory traffic
  (`fusion_prologue.py` says when it does for a normalised image, `fusion_samples.py` for a batch
  that is gathered from all samples);
* where a sum over everything would compute dear elements: one thread runs it, while writing them
  is shared by all, mostly in a kernel that is there anyway.

What follows from run-time sizes alone is never written: no loop has to wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.fusion_kernel import (
    INLINED,
    expands,
    has_overlap,
    is_of_sizes,
    is_one_number,
    is_scalar_constant,
    is_serial,
    is_transformed_kernel,
    node_of,
)
from graphkeras.passes.fusion_prologue import pays_while_copying
from graphkeras.passes.fusion_samples import gathers_once, gathers_samples

CHEAP = 3
"""Cost up to which a tree is recomputed by several readers instead of being written."""
DEAR = 16
"""Cost above which a tree is written for all threads, and not computed by one that adds it up."""
PROLOGUE = 4
"""Cost up to which a contraction computes a tree while it packs."""
TYPICAL = 64
"""Run-time size for which tensors are compared."""


def written_values(graph: Graph) -> set[Value]:
    """The values that are kept in memory."""
    choice = _Written(graph)
    for node in graph.nodes:
        choice.visit(node)
    return choice.written


class _Written:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.written: set[Value] = set()
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        self.cost: dict[Value, int] = {}
        """Operations that a reader repeats for an element."""

    def visit(self, node: Node) -> None:
        """Decides about the results of a node, behind its operands."""
        op = get_op(node.op)
        if is_scalar_constant(node):
            return
        if op.kind not in INLINED:
            self.written.update(node.results)
            return
        unwritten = [v for v in node.inputs if v not in self.written]
        # The number of a long row is read once for all of it.
        cost = 1 if gathers_samples(node) else op.cost
        tree = cost + sum(self.cost.get(v, 0) for v in unwritten)
        self.cost[node.result] = tree
        if self._is_written(node.result, tree):
            self.written.add(node.result)

    def _is_written(self, value: Value, tree: int) -> bool:
        users = self.graph.users.get(value, ())
        if value in self.outputs:
            return True
        kinds = [get_op(user.op).kind for user in users]
        contractions = [u for u, kind in zip(users, kinds, strict=True) if kind is Kind.CONTRACT]
        if Kind.OPAQUE in kinds:
            return not is_one_number(value)
        if is_of_sizes(value):
            return False
        copied = False
        if contractions and not self._is_prologue(value, tree, contractions):
            copied = pays_while_copying(value, users, tree, self.written, self.order)
            if not copied:
                return True
        if any(is_transformed_kernel(value, user) for user in users):
            return True
        if tree > 1 and any(expands(value, user) or has_overlap(user) for user in users):
            return True
        if tree > DEAR and any(is_serial(user) for user in users):
            return True
        recomputed = len(contractions) < len(users)
        return not copied and len(users) > 1 and recomputed and tree > CHEAP

    def _is_prologue(self, value: Value, tree: int, users: Sequence[Node]) -> bool:
        """Whether contractions should compute `value` where they lay out or pack their operand.

        That happens about once an element. It pays off for a tree that only moves elements of
        one written value (a transpose), for a short one that reads much less than it makes (a
        gradient that pooling spreads out), and for one that gathers samples.
        """
        leaves: set[Value] = set()
        stack = [node_of(value)]
        moves = True
        while stack:
            node = stack.pop()
            if gathers_samples(node):
                return tree <= PROLOGUE and all(gathers_once(value, user) for user in users)
            moves &= get_op(node.op).kind is Kind.INJECTIVE and get_op(node.op).cost <= 1
            for operand in node.inputs:
                if operand.producer is None or operand in self.written:
                    leaves.add(operand)
                elif not is_scalar_constant(operand.producer):
                    stack.append(operand.producer)
        if moves and [leaf.type.numel for leaf in leaves] == [value.type.numel]:
            return True
        return tree <= PROLOGUE and 2 * sum(map(_size, leaves)) <= _size(value)


def _size(value: Value) -> int:
    """Bytes of a value for typical run-time sizes."""
    names = [d.symbols for d in value.type.shape if isinstance(d, Size)]
    return value.type.nbytes({name: TYPICAL for symbols in names for name in symbols})
