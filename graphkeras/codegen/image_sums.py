"""The reductions of an image in the kernel of the contraction that writes it (`ir.image_sums`).

What needs only the elements of a row is added up when the row is stored, from registers. What needs
another reduction's result, such as squares around the image's mean, goes over the image once more::

    sums[C] = start
    rows of the image: store them, sums += element
    results = sums
    for line: for four pixels: for channel: more[pixel][channel] += element         from cache
    for channel: result = more[0] + more[1] + more[2] + more[3]

There some pixels of a line are added up side by side: an addition need not wait for the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from graphkeras.codegen.emit import Elements
from graphkeras.codegen.lower import Lowering
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Contraction, Kind, Reduction, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import Apply, Const, Expr, Load

SIDE_BY_SIDE = (4, 2, 1)
"""Pixels that are added up side by side."""
MOST_SUMS = 128
"""Sums side by side: more of them do not stay in registers."""

Span = tuple[Expr, Expr]


@frozen
class _Sums:
    """A reduction and its accumulators in scratch memory, for each pixel side by side."""

    node: Node
    rule: Reduction
    buffers: tuple[str, ...]


class ImageSums:
    """Writes what belongs to the reductions of one image, around the loops over its rows.

    Args:
        lowering: Of the kernel.
        rule: Of the contraction.
    """

    def __init__(self, lowering: Lowering, rule: Contraction) -> None:
        self.lowering = lowering
        self.rule = rule
        self.stages = _stages(lowering.body)
        channels = number(product(rule.n))
        self.running = [_sums(lowering, node, channels, 1) for node in self.stages[0]]
        lowering.sums = {each.node: each.buffers[0] for each in self.running}

    def begin(self, columns: Span) -> None:
        """Before the first row: for the channels that this thread computes."""
        _start(self.lowering, self.running, columns)

    def finish(self, image: Expr, columns: Span) -> None:
        """Behind the last row of `image`, a position in the first dim of the rows."""
        _store(self.lowering, self.running, image, columns)
        for nodes in self.stages[1:]:
            _write(self.lowering, self.rule, nodes, image, columns)


def _stages(body: Graph) -> list[list[Node]]:
    """The reductions, those first that read the result of no other."""
    level: dict[Value, int] = {}
    stages: list[list[Node]] = []
    for node in body.nodes:
        below = max((level.get(value, 0) for value in node.inputs), default=0)
        if get_op(node.op).kind is Kind.REDUCE:
            stages += [[] for _ in range(below + 1 - len(stages))]
            stages[below].append(node)
            below += 1
        level.update(dict.fromkeys(node.results, below))
    return stages


def _write(
    lowering: Lowering, rule: Contraction, nodes: Sequence[Node], image: Expr, columns: Span
) -> None:
    writer = lowering.writer
    memory = Elements(writer, lowering.body, {**lowering.operands, **lowering.results})
    *lines, pixels = rule.m[1:]
    beside = _side_by_side(number(pixels), number(product(rule.n)) * len(nodes))
    sums = [_sums(lowering, node, number(product(rule.n)), beside) for node in nodes]
    _start(lowering, sums, columns)
    with ExitStack() as loops:
        place = [loops.enter_context(writer.loop(0, d, "line")) for d in lines]
        first = loops.enter_context(writer.loop(0, pixels, "pixel", beside))
        for i in range(beside):
            with writer.loop(*columns, "j") as j:
                for each in sums:
                    (operand,) = each.node.inputs
                    at = Position(operand.type.shape, [image, *place, first + i, j])
                    _add(lowering, each, i, j, memory.read(operand, at))
    _store(lowering, sums, image, columns)


def _start(lowering: Lowering, sums: Sequence[_Sums], columns: Span) -> None:
    with lowering.writer.loop(*columns, "j") as j:
        for each in sums:
            for buffer in each.buffers:
                start = Const(each.node.types[0].dtype, each.rule.identity)
                lowering.writer.store(buffer, j, start)


def _store(lowering: Lowering, sums: Sequence[_Sums], image: Expr, columns: Span) -> None:
    writer = lowering.writer
    with writer.loop(*columns, "j") as j:
        for each in sums:
            dtype = each.node.types[0].dtype
            total: Expr = writer.pinned(Load(dtype, each.buffers[0], j), "sum")
            for buffer in each.buffers[1:]:
                other = writer.pinned(Load(dtype, buffer, j), "sum")
                total = Apply(dtype, each.rule.combine, (total, other))
            at = Position(each.node.types[0].shape, [image, j])
            writer.store(lowering.results[each.node.result], at.flat, total)


def _side_by_side(pixels: int, sums: int) -> int:
    """Pixels of a line that are added up side by side."""
    fitting = [n for n in SIDE_BY_SIDE if pixels % n == 0 and n * sums <= MOST_SUMS]
    return fitting[0] if fitting else 1


def _sums(lowering: Lowering, node: Node, channels: int, beside: int) -> _Sums:
    reduction = get_op(node.op).reduction
    assert reduction is not None
    kind = node.types[0]
    add = lowering.writer.add_scratch
    buffers = tuple(add(kind.dtype, channels, kind.itemsize, "sums") for _ in range(beside))
    return _Sums(node, reduction(node), buffers)


def _add(lowering: Lowering, each: _Sums, i: int, j: Expr, element: Expr) -> None:
    """Adds an element to the sums of the pixels `i`."""
    writer, dtype = lowering.writer, each.node.types[0].dtype
    acc = writer.pinned(Load(dtype, each.buffers[i], j), "acc")
    writer.store(each.buffers[i], j, Apply(dtype, each.rule.combine, (acc, element)))


__all__ = ["ImageSums"]
