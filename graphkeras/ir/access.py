"""Where does an expression read its operands? The question behind fusion and in-place reuse.

`accesses` runs the element rules of a tree of nodes on symbolic loop variables and collects the
offset at which every leaf is read::

    iteration (i, j) over [N, 10]          leaf x[N,10] at i*10 + j    same element: "pointwise"
      div(x, broadcast(sum))               leaf sum[N]  at i           row of the iteration

The element rules are the ones that code generation runs, so what is concluded here holds for
the kernel that is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import count

from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Index, Kind, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import INDEX, Expr, Var

Accesses = dict[Value, set[Expr]]
"""Offsets at which each leaf is read."""


def loop_position(value: Value, prefix: str = "i") -> Position:
    """The position `(i0, i1, ...)` of a loop nest over a value's shape."""
    shape = value.type.shape
    return Position(shape, [Var(INDEX, f"{prefix}{axis}") for axis in range(len(shape))])


class AccessCollector:
    """Implements `Elements` by recording reads; values of elements are opaque names."""

    def __init__(self, leaves: Container[Value]) -> None:
        self.leaves = leaves
        self.found: Accesses = {}
        self._names = count()
        self._seen: dict[tuple[Value, Expr], Expr] = {}
        self._stack: list[Node] = []

    def read(self, value: Value, position: Position) -> Expr:
        """The element of `value` at `position`."""
        offset = position.flat
        known = self._seen.get((value, offset))
        if known is not None:
            return known
        result = self._element(value, position)
        self._seen[value, offset] = result
        return result

    def _element(self, value: Value, position: Position) -> Expr:
        node = value.producer
        fresh = Var(value.type.dtype, f"v{next(self._names)}")
        if node is None or value in self.leaves:
            self.found.setdefault(value, set()).add(position.flat)
            return fresh
        op = get_op(node.op)
        if op.kind is Kind.ELEMENTWISE:
            for operand in node.inputs:
                self.read(operand, _same(operand, position))
        elif op.element is not None:
            self._stack.append(node)
            op.element(self, node, position)
            self._stack.pop()
        elif op.kind is not Kind.CONSTANT:
            raise ValueError(f"{node.op} has no element rule and is no leaf")
        return fresh

    def operand(self, i: int, index: Sequence[Expr] | Index) -> Expr:
        """See `Elements.operand`."""
        value = self._stack[-1].inputs[i]
        position = index if isinstance(index, Position) else None
        if position is None:
            position = Position(value.type.shape, [index[d] for d in range(len(index))])
        return self.read(value, position)

    def guarded(self, condition: Expr, value: Callable[[], Expr], other: Expr) -> Expr:
        """See `Elements.guarded`."""
        return value()

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """See `Elements.apply`."""
        return Var(dtype, f"v{next(self._names)}")


def _same(value: Value, position: Position) -> Position:
    """The position for an operand of an elementwise op: same shape, so the same object."""
    return (
        position
        if value.type.shape == position.shape
        else Position(value.type.shape, flat=position.flat)
    )


def accesses(root: Value, position: Position, leaves: Container[Value]) -> Accesses:
    """Offsets at which the tree of `root` reads its leaves when `root` is made at `position`.

    Leaves are graph inputs and the values in `leaves`; `root` itself is never a leaf.
    """
    collector = AccessCollector(_Without(leaves, root))
    collector.read(root, position)
    return collector.found


class _Without:
    def __init__(self, values: Container[Value], excluded: Value) -> None:
        self.values = values
        self.excluded = excluded

    def __contains__(self, value: object) -> bool:
        return value is not self.excluded and value in self.values
