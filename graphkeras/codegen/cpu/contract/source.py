"""An operand behind ops that only move elements: which memory it is, and where in it.

A reshape, transpose, reverse or broadcast in front of a contraction needs no copy where the
offsets that it leads to still are sums of positions times constants::

    conv(dy, transpose(reverse(w)))     element (kh, kw, o, c) of the operand
                                        is w[2 - kh, 2 - kw, c, o]: strides of w, two negative
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphkeras.codegen.cpu.contract.access import Strides, linear
from graphkeras.frozen import frozen
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Index, Kind, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import INDEX, Expr, Load, Var


class _ComputedError(Exception):
    """The element is more than an element of some memory."""


class _Moves:
    """Follows a position through `element` rules; implements `graphkeras.ir.op.Elements`."""

    def __init__(self, buffers: Mapping[Value, str]) -> None:
        self.buffers = buffers
        self._stack: list[Node] = []

    def read(self, value: Value, position: Position) -> Expr:
        """The element of memory that is at `position` of `value`."""
        node = value.producer
        if node is None:
            return Load(value.type.dtype, self.buffers[value], position.flat)
        op = get_op(node.op)
        if op.kind is not Kind.INJECTIVE or op.element is None:
            raise _ComputedError
        self._stack.append(node)
        result = op.element(self, node, position)
        self._stack.pop()
        return result

    def operand(self, i: int, index: Sequence[Expr] | Index) -> Expr:
        """See `Elements.operand`."""
        value = self._stack[-1].inputs[i]
        if isinstance(index, Position):
            return self.read(value, index)
        return self.read(value, Position(value.type.shape, [index[d] for d in range(len(index))]))

    def guarded(self, condition: Expr, value: Callable[[], Expr], other: Expr) -> Expr:
        """See `Elements.guarded`."""
        raise _ComputedError

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """See `Elements.apply`."""
        raise _ComputedError


@frozen
class Source:
    """Memory that an operand's elements are read from."""

    buffer: str
    strides: Strides


def find_source(
    value: Value,
    place: Callable[..., Sequence[Expr]],
    groups: Sequence[int],
    buffers: Mapping[Value, str],
) -> Source | None:
    """Where the elements of an operand lie in memory, if they lie at strides.

    Args:
        value: The operand.
        place: Groups of positions -> position in `value`.
        groups: Number of dims of each group.
        buffers: Name of the memory of every value without producer.
    """
    names = [[Var(INDEX, f"d{g}.{i}") for i in range(count)] for g, count in enumerate(groups)]
    try:
        element = _Moves(buffers).read(value, Position(value.type.shape, list(place(*names))))
    except _ComputedError:
        return None
    form = linear(element.offset) if isinstance(element, Load) else None
    if form is None or not isinstance(element, Load):
        return None
    dims = tuple(tuple(form.get(v.name, 0) for v in group) for group in names)
    return Source(element.buffer, Strides(form.get("", 0), dims))
