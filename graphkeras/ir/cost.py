"""How much a node computes and moves, from the rules of the op table alone.

The counts are those of the definition, not of a kernel's tricks, as is usual for rates: a
convolution counts its products with padding (not those with zeros between pixels), and a kernel
that computes a value twice counts it once. A rate above the machine's peak therefore means that a
kernel found a shorter way.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Kind, get_op


def flops(node: Node) -> Dim:
    """Floating-point operations of a node; of its whole body for a fused one.

    Two for each product of a contraction that is added up, one for each element that a
    reduction combines, one for each element of an elementwise result or of an op with loops of
    its own. Moving elements, constants, and integer arithmetic count nothing.
    """
    if node.body is not None:
        total: Dim = 0
        for inner in node.body.nodes:
            total = total + flops(inner)
        return total
    op = get_op(node.op)
    if not any(value.type.is_float for value in (*node.inputs, *node.results)):
        return 0
    if op.kind is Kind.CONTRACT:
        assert op.contraction is not None
        rule = op.contraction(node)
        parts = rule.phases or (rule,)
        return sum((2 * product((*p.batch, *p.m, *p.n, *p.k)) for p in parts), start=0)
    if op.kind is Kind.REDUCE:
        assert op.reduction is not None
        return node.types[0].numel * product(op.reduction(node).space)
    if op.kind in (Kind.ELEMENTWISE, Kind.OPAQUE):
        return node.types[0].numel
    return 0


def traffic(node: Node) -> Dim:
    """Bytes of a node's distinct operands and of its results: what it must move at least."""
    values: dict[Value, None] = dict.fromkeys((*node.inputs, *node.results))
    total: Dim = 0
    for value in values:
        total = total + value.type.numel * value.type.itemsize
    return total
