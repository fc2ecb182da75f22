"""Kernels while fusion forms them, and the geometry of their loops. See `passes.fuse`."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from graphkeras.ir.access import Accesses, loop_position
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.image_sums import is_near, sums_images
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.regroup import regroup, rows_together, window_elements
from graphkeras.ir.scalar import SUM, Apply, Expr, as_index
from graphkeras.ir.whole_rows import refusal

MAX_SERIAL = 4096
"""Elements that one row may have where there is only one row, so nothing runs in parallel."""
MOST_TOGETHER = 9
"""Rows of a window that a tile of a contraction holds together, beside those of others."""
INLINED = (Kind.ELEMENTWISE, Kind.INJECTIVE)
"""Kinds whose elements can be recomputed by a reader."""


class Pattern(Enum):
    """The loops a kernel becomes."""

    LOOP = "loop"
    ROWS = "rows"
    REDUCE = "reduce"
    CONTRACT = "contract"
    OPAQUE = "opaque"


@dataclass(eq=False)
class Kernel:
    """A kernel while it grows."""

    pattern: Pattern
    space: Shape
    """LOOP, REDUCE, CONTRACT: shape of the outputs' loop. ROWS, and CONTRACT with rows: R + C."""
    rows: int
    """How many dims of `space` are R: of ROWS, and of a CONTRACT that goes on with whole rows."""
    roots: list[Node]
    """Written nodes, in topological order."""
    order: int
    """Position of the first root in the graph."""
    notes: dict[Node, str] = field(default_factory=dict)
    """Consumers that were not merged when they were looked at, and why."""


def node_of(value: Value) -> Node:
    """The node that makes a value which is no graph input."""
    assert value.producer is not None
    return value.producer


def is_constant(node: Node) -> bool:
    """Whether a node is a literal."""
    return get_op(node.op).kind is Kind.CONSTANT


def is_scalar_constant(node: Node) -> bool:
    """A constant that is printed into the kernel instead of being read from memory."""
    return is_constant(node) and node.types[0].numel == 1


def is_one_number(value: Value) -> bool:
    """Whether every element is the same literal: what is read at any place is printed instead."""
    node = value.producer
    return (
        node is not None
        and bool(node.inputs)
        and get_op(node.op).kind is Kind.INJECTIVE
        and all(
            operand.producer is not None and is_scalar_constant(operand.producer)
            for operand in node.inputs
        )
    )


def is_of_sizes(value: Value) -> bool:
    """Whether a scalar follows from run-time sizes alone: found out anew, outside of all loops."""
    if value.type.shape:
        return False
    stack = [value]
    while stack:
        node = stack.pop().producer
        if node is None or get_op(node.op).kind not in (*INLINED, Kind.CONSTANT):
            return False
        stack.extend(node.inputs)
    return True


def is_serial(user: Node) -> bool:
    """Whether a reader is a reduction to one number, which one thread computes."""
    return get_op(user.op).kind is Kind.REDUCE and not user.types[0].shape


def hero(kernel: Kernel) -> Node:
    """The contraction of a kernel, else its reduction or opaque node, else its last root."""
    heroes = [r for r in kernel.roots if get_op(r.op).kind not in INLINED]
    # A sum of images that are computed beside a contraction's may come before it.
    return min(heroes, key=lambda r: get_op(r.op).contraction is None, default=kernel.roots[-1])


def reasons(kernel: Kernel) -> tuple[str, ...]:
    """Why consumers are not in the kernel."""
    left = [f"{node.op}: {why}" for node, why in kernel.notes.items() if node not in kernel.roots]
    return tuple(dict.fromkeys(left))


def numel(shape: Shape) -> Dim:
    """Number of elements of a shape."""
    return product(shape)


def rows_numel(kernel: Kernel) -> Dim:
    """Number of rows of a ROWS kernel."""
    return product(kernel.space[: kernel.rows])


def row_offset(position: Position, rows: Kernel) -> Expr:
    """Offset of the row that an element at `position` of R x C lies in."""
    shape, indices = position.shape, position.indices
    for split in range(len(shape) + 1):
        if product(shape[:split]) == rows_numel(rows):
            return Position(shape[:split], indices[:split]).flat
    return position.flat // 1


def worth_rows(kernel: Kernel) -> bool:
    """One row alone would run on one thread: only for small ones."""
    rows, elements = rows_numel(kernel), numel(kernel.space)
    if isinstance(rows, int) and rows < 8:
        return isinstance(elements, int) and elements <= MAX_SERIAL
    return True


def loop_value(root: Node) -> Value:
    """The value whose shape a root's loop runs over."""
    return root.inputs[0] if get_op(root.op).kind is Kind.REDUCE else root.result


def reduces_trailing(node: Node) -> bool:
    """Whether a reduction keeps the leading dims and removes all others."""
    op = get_op(node.op)
    assert op.reduction is not None
    rule = op.reduction(node)
    kept = node.types[0].shape
    operand = node.inputs[0].type.shape
    return (
        not rule.window
        and operand[: len(kept)] == kept
        and tuple(rule.space) == operand[len(kept) :]
        and _keeps_leading(node)
    )


def sibling_reductions(
    kernels: Iterable[Kernel], reads: Callable[[Node], Accesses]
) -> Iterator[tuple[Node, Node]]:
    """Pairs of REDUCE heroes with the same loops that read a value as large as their operand."""
    known: list[tuple[Node, object, set[Value]]] = []
    for kernel in kernels:
        if kernel.pattern is not Pattern.REDUCE:
            continue
        node = hero(kernel)
        rule = get_op(node.op).reduction
        assert rule is not None
        if rule(node).window:
            continue
        loops = (node.inputs[0].type.shape, node.types[0].shape, node.attrs["axes"])
        elements = numel(node.inputs[0].type.shape)
        large = {value for value in reads(node) if value.type.numel == elements}
        yield from ((other, node) for other, same, read in known if same == loops and read & large)
        known.append((node, loops, large))


def _keeps_leading(node: Node) -> bool:
    """Distinguishes `[N,N] -> [N]` over axis 1 from over axis 0, where shapes cannot."""
    op = get_op(node.op)
    assert op.reduction is not None
    rule = op.reduction(node)
    out = loop_position(node.result, "o")
    red = loop_position(Value(node.types[0].with_shape(rule.space), None), "r").indices
    index, conditions = rule.index(out, red)
    return not conditions and list(index) == [*out.indices, *red]


def expands(value: Value, user: Node) -> bool:
    """Whether a user reads elements of `value` several times (broadcast, gather)."""
    if get_op(user.op).kind is not Kind.INJECTIVE:
        return False
    result = user.types[0].numel
    if result == value.type.numel:
        return False
    return not (isinstance(result, int) and isinstance(value.type.numel, int)) or (
        result > value.type.numel
    )


def has_overlap(user: Node) -> bool:
    """Whether a reader has overlapping windows, which read each element several times."""
    op = get_op(user.op)
    return op.kind is Kind.REDUCE and op.reduction is not None and op.reduction(user).overlaps


def is_transformed_kernel(value: Value, user: Node) -> bool:
    """Whether a convolution reads `value` as its transformed kernel, in memory."""
    rule = get_op(user.op).contraction
    return rule is not None and value is user.inputs[1] and rule(user).transformed == "kernel"


def finishes_windows(contraction: Node, windows: Node) -> bool:
    """Whether tiles of a contraction can hold whole windows of its result."""
    grouped = regroup(contraction, windows)
    if grouped is None or not contraction.types[0].is_float:
        return False
    return product(grouped.rule.n) != 1 and 1 < rows_together(grouped.rule) <= MOST_TOGETHER


def reads_windows(
    windows: Kernel, inner: Container[Value], reads: Callable[[Node], Accesses]
) -> bool:
    """Whether a kernel reads the values `inner` of a contraction's only in its own windows."""
    main = hero(windows)
    for root in windows.roots:
        allowed: set[Expr] = set()
        if root is main:
            allowed = {loop_position(main.inputs[0]).flat}
        elif root.types[0].shape == main.types[0].shape:
            allowed = {at.flat for at in window_elements(main, loop_position(root.result))}
        if not all(at <= allowed for value, at in reads(root).items() if value in inner):
            return False
    return True


def refuses_rows(first: Kernel, rows: Kernel, reads: Callable[[Node], Accesses]) -> str:
    """Why the kernel `rows` does not go on in that of a contraction; empty if it does."""
    if first.rows or any(get_op(root.op).kind is Kind.REDUCE for root in first.roots):
        return f"{hero(first).op} reduces its result already"
    if not rows.rows:
        return "reduces everything"
    why = refusal(hero(first), rows_numel(rows), product(rows.space[rows.rows :]))
    if not why and not _reads_its_rows(first, rows, reads):
        return f"reads other rows of {hero(first).op}"
    return why


def _reads_its_rows(first: Kernel, rows: Kernel, reads: Callable[[Node], Accesses]) -> bool:
    """Whether loops over rows read of a contraction's values only elements of their own row.

    The row is complete then, so a row's pick of a logit by its label may read anywhere in it.
    """
    inner = {v for root in first.roots for v in root.results}
    for root in rows.roots:
        loop = loop_value(root)
        position = loop_position(loop)
        for value, offsets in reads(root).items():
            if value not in inner:
                continue
            allowed = {position.flat} if value.type.numel == numel(loop.type.shape) else set()
            begin = _begin_of_row(value, position, rows)
            if not all(at in allowed or _is_within(at, begin) for at in offsets):
                return False
    return True


def _begin_of_row(value: Value, position: Position, rows: Kernel) -> Expr | None:
    """Offset of the first element of the row of `value` that a loop's position belongs to."""
    lead = [i for i in range(value.type.rank) if numel(value.type.shape[:i]) == rows_numel(rows)]
    if not lead or position.shape[: lead[-1]] != value.type.shape[: lead[-1]]:
        return None
    place = [*position.indices[: lead[-1]], *[as_index(0)] * (value.type.rank - lead[-1])]
    return Position(value.type.shape, place).flat


def _is_within(offset: Expr, begin: Expr | None) -> bool:
    """Whether an offset is the begin of a row and a place in it: positions are never outside."""
    while begin is not None and offset != begin:
        if not isinstance(offset, Apply) or offset.template != SUM:
            return False
        offset = offset.args[0]
    return begin is not None


def reduces_images(
    first: Kernel, sums: Kernel, outputs: Container[Value], reads: Callable[[Node], Accesses]
) -> bool:
    """Whether the kernel `sums` reduces images of what the contraction `first` has written.

    It may read of it what lies in memory, an element of `outputs`, at the element that it reduces,
    and what was reduced of the same image. A reduction that reads another tensor as large, as the
    gradient of a batch normalisation does, keeps its own kernel: that tensor has to be fetched
    either way, and here each tile would wait for it (ResNet-20: 4.4 ms more in the convolutions of
    a step for 3.4 less in reductions, and what follows found less in cache).
    """
    reduced = [r for r in (*first.roots, *sums.roots) if get_op(r.op).kind is Kind.REDUCE]
    if not all(root in reduced for root in sums.roots):
        return False
    if not all(_finishes_images(hero(first), each) for each in reduced):
        return False
    inner = {v for root in first.roots for v in root.results}
    for root in sums.roots:
        shape, position = root.types[0].shape, loop_position(root.inputs[0])
        of_image = Position(shape, (position.indices[0], position.indices[-1])).flat
        for value, offsets in reads(root).items():
            allowed = of_image if value.type.shape == shape else position.flat
            near = value in outputs and offsets == {allowed}
            if not near if value in inner else value.type.numel == numel(position.shape):
                return False
    return True


def _finishes_images(contraction: Node, reduction: Node) -> bool:
    """Whether the kernel of a contraction can reduce each image of its result, still in cache.

    Not behind a maximum over windows: such gradients have kernels of other loops.
    """
    operand = contraction.inputs[0].producer
    return (
        sums_images(contraction, reduction)
        and contraction.types[0].is_float
        and is_near(contraction.types[0].shape)
        and (operand is None or get_op(operand.op).scattered is None)
    )
