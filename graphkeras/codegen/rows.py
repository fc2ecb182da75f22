"""The plan of a ROWS kernel: in which passes over a row its values are computed.

Reductions that need no other one's result share the first pass over the columns, those that need
only these the second, and so on; the outputs are the last::

    softmax of a row:    pass 0     m = max(x + bias)
                         pass 1     e = exp(x + bias - m), s = sum(e)       stores e
                         outputs    y = e / s                               loads e

An element that a later pass needs again is stored in a buffer of one row, in the nearest cache,
where computing it again costs more than a store and a load: each exponential is computed once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op

KEPT_COST = 3
"""Operations and loads up to which an element is computed again by a later pass."""
MAX_COLUMNS = 4096
"""Longest row that is kept: 16 KiB of float32 a value."""
MAX_KEPT = 6
"""Values of a row that are kept: with their rows they stay in a 48 KiB cache at 2048 columns."""


@frozen
class Pass:
    """One loop over the columns of a row."""

    heroes: tuple[Node, ...]
    """Its reductions; none in the outputs' pass."""
    loads: tuple[Value, ...]
    """Elements that an earlier pass has stored."""
    stores: tuple[Value, ...]
    """Elements that a later pass loads."""


def plan_passes(body: Graph, outputs: Sequence[Value], rows: Dim, columns: Dim) -> list[Pass]:
    """The passes of a ROWS body; the last one is that of the R x C `outputs`."""
    levels = _levels(body)
    roots = [[hero.inputs[0] for hero in heroes] for heroes in levels] + [list(outputs)]
    plan: list[Pass] = []
    read = (columns, rows * columns)
    kept: dict[Value, None] = {}
    for number, heroes in enumerate([*levels, []]):
        computed, loads = _walk(roots[number], rows * columns, kept)
        stores: dict[Value, None] = {}
        if isinstance(columns, int) and 1 < columns <= MAX_COLUMNS:
            dear = {v for v in computed if v.type.is_float and _cost(v, read, kept) > KEPT_COST}
            for later in roots[number + 1 :]:
                _, wanted = _walk(later, rows * columns, {**kept, **dict.fromkeys(dear)})
                stores.update(dict.fromkeys(v for v in wanted if v in dear))
        chosen = tuple(stores)[: MAX_KEPT - len(kept)]
        plan.append(Pass(tuple(heroes), tuple(loads), chosen))
        kept.update(dict.fromkeys(chosen))
    return plan


def _levels(body: Graph) -> list[list[Node]]:
    """The reductions by how many others their operand needs, one after the other."""
    depth: dict[Value, int] = {}
    levels: list[list[Node]] = []
    for node in body.nodes:
        level = max((depth.get(v, 0) for v in node.inputs), default=0)
        if get_op(node.op).kind is Kind.REDUCE:
            if level == len(levels):
                levels.append([])
            levels[level].append(node)
            level += 1
        depth.update(dict.fromkeys(node.results, level))
    return levels


def _walk(
    roots: Sequence[Value], elements: Dim, known: Collection[Value]
) -> tuple[list[Value], list[Value]]:
    """Values whose elements are computed at a column for `roots`, and those that are `known`.

    Only elementwise ops are followed: behind any other the elements are those of other columns.
    """
    computed: dict[Value, None] = {}
    found: dict[Value, None] = {}
    stack = list(reversed(roots))
    while stack:
        value = stack.pop()
        node = value.producer
        if value in known:
            found[value] = None
        elif value not in computed and node is not None and _is_elementwise(node, elements):
            computed[value] = None
            stack.extend(reversed(node.inputs))
    return list(computed), list(found)


def _is_elementwise(node: Node, elements: Dim) -> bool:
    return get_op(node.op).kind is Kind.ELEMENTWISE and node.types[0].numel == elements


def _cost(value: Value, read: Collection[Dim], known: Collection[Value]) -> int:
    """Operations and loads for an element of `value`, given the row's reductions and `known`.

    Loads are those of inputs that have as many elements as one of `read`. What a contraction has
    just computed is as near as what is kept.
    """
    node = value.producer
    if value in known:
        return 0
    if node is None:
        return int(value.type.numel in read)
    op = get_op(node.op)
    if op.kind not in (Kind.ELEMENTWISE, Kind.INJECTIVE):
        return 0
    return op.cost + sum(_cost(v, read, known) for v in node.inputs)
