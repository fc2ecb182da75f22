"""How much a node computes and moves, from the rules of the op table alone.

The counts are those of the definition, not of a kernel's tricks, as is usual for rates: a
convolution counts its products with padding (not those with zeros between pixels), and a kernel
that computes a value twice counts it once. A rate above the machine's peak therefore means that a
kernel found a shorter way.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node
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
    """Bytes of a node's distinct operands and of its results: what it must move at least.

    Of a table that is only gathered from, what is gathered counts.
    """
    inner = node.inputs if node.body is None else node.body.inputs
    nodes = (node,) if node.body is None else node.body.nodes
    total: Dim = 0
    for operand, value in dict(zip(node.inputs, inner, strict=True)).items():
        readers = [reader for reader in nodes if value in reader.inputs]
        gathered = [r for r in readers if _gathers(r) and value not in r.inputs[1:]]
        read = operand.type.numel
        if readers and len(gathered) == len(readers):
            read = sum((reader.types[0].numel for reader in gathered), start=0)
        total = total + read * operand.type.itemsize
    for result in node.results:
        total = total + result.type.numel * result.type.itemsize
    return total


def _gathers(node: Node) -> bool:
    op = get_op(node.op)
    return op.indexes and op.kind is Kind.INJECTIVE
