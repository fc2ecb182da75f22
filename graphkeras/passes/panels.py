"""The right operand of a contraction as panels, and panels as the operand they were made of.

    B [k][n]         panel 0   panel 1             panels [n / W][k][W]

    0 1 2 3 4 5      0 1 2     3 4 5               0 1 2 | 6 7 8 | .. ‖ 3 4 5 | 9 a b | ..
    6 7 8 9 a b      6 7 8     9 a b

Both ways are moves that the op table has: a transpose, reshapes, and zeros behind the last column.
So what panels are needs no op of its own, and `panels_behind` can tell from the moves alone that a
value is panels, unpacked.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, number, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Var


@frozen
class OperandShape:
    """The right operand of a contraction, as a list of matrices."""

    batch: tuple[int, ...]
    k: tuple[int, ...]
    n: tuple[int, ...]
    order: tuple[int, ...]
    """Dim of (batch, k, n) that each dim of the operand is."""

    def panels(self, width: int) -> tuple[int, ...]:
        """Shape of the panels."""
        return (*self.batch, -(-number(product(self.n)) // width), number(product(self.k)), width)


def operand_shape(rule: Contraction) -> OperandShape | None:
    """The shape of a contraction's right operand; None where its size is not known.

    None too where its elements do not lie at a permutation of the positions (groups).
    """
    extents = (*rule.batch, *rule.k, *rule.n)
    if not all(isinstance(d, int) for d in extents):
        return None
    names = [Var(INDEX, f"d{i}") for i in range(len(extents))]
    first, second = len(rule.batch), len(rule.batch) + len(rule.k)
    place, conditions = rule.rhs(names[:first], names[first:second], names[second:])
    if conditions or sorted(map(str, place)) != sorted(map(str, names)):
        return None
    order = tuple(names.index(at) for at in place if isinstance(at, Var))
    b, k, n = (tuple(map(number, dims)) for dims in (rule.batch, rule.k, rule.n))
    return OperandShape(b, k, n, order)


def pack(builder: Builder, operand: Value, shape: OperandShape, width: int) -> Value:
    """The panels of an operand; columns past the last are zero."""
    lead, rows, columns = len(shape.batch), product(shape.k), number(product(shape.n))
    whole = shape.panels(width)[lead] * width
    value = _transposed(builder, operand, tuple(map(shape.order.index, range(len(shape.order)))))
    value = _reshaped(builder, value, (*shape.batch, rows, columns))
    if whole > columns:
        none = (0,) * (lead + 2)
        zero, high = builder.constant(0, value.type.dtype), (*none[1:], whole - columns)
        value = builder.emit("pad", value, zero, low=none, high=high, interior=none)
    value = _reshaped(builder, value, (*shape.batch, rows, whole // width, width))
    return _transposed(builder, value, (*range(lead), lead + 1, lead, lead + 2))


def unpack(builder: Builder, panels: Value, shape: OperandShape) -> Value:
    """The operand that panels were made of."""
    lead, rows, columns = len(shape.batch), product(shape.k), number(product(shape.n))
    whole = number(product(panels.type.shape[lead:])) // number(rows)
    value = _transposed(builder, panels, (*range(lead), lead + 1, lead, lead + 2))
    value = _reshaped(builder, value, (*shape.batch, rows, whole))
    if whole > columns:
        start, step = (0,) * (lead + 2), (1,) * (lead + 2)
        stop = (*shape.batch, rows, columns)
        value = builder.emit("slice", value, start=start, stop=stop, step=step)
    value = _reshaped(builder, value, (*shape.batch, *shape.k, *shape.n))
    return _transposed(builder, value, shape.order)


def panels_behind(operand: Value, shape: OperandShape) -> Value | None:
    """The panels that `unpack` made an operand of; None where it is anything else."""
    moves = _moves(operand)
    if not moves:
        return None
    panels = moves[0].inputs[0]
    if panels.type.rank != len(shape.batch) + 3:
        return None
    if panels.type.shape != shape.panels(number(panels.type.shape[-1])):
        return None
    builder = Builder("expected")
    unpack(builder, builder.input(panels.type, ""), shape)
    expected = [(node.op, dict(node.attrs)) for node in builder.nodes]
    return panels if [(node.op, dict(node.attrs)) for node in moves] == expected else None


def _moves(operand: Value) -> Sequence[Node]:
    """The nodes with one operand that lead to a value, from an input on."""
    moves: list[Node] = []
    while operand.producer is not None:
        moves.append(operand.producer)
        if len(operand.producer.inputs) != 1:
            return ()
        operand = operand.producer.inputs[0]
    return moves[::-1]


def _transposed(builder: Builder, value: Value, perm: tuple[int, ...]) -> Value:
    same = perm == tuple(range(len(perm)))
    return value if same else builder.emit("transpose", value, perm=perm)


def _reshaped(builder: Builder, value: Value, shape: tuple[Dim, ...]) -> Value:
    same = value.type.shape == shape
    return value if same else builder.emit("reshape", value, shape=shape)
