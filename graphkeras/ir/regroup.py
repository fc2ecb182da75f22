"""Rows of a contraction in the order of the windows that a reduction makes of its result.

A convolution has a row of products for every position (n, y, x). Pooling without overlap takes
whole windows of them, so with y = 2 y' + dy and x = 2 x' + dx the same rows are

    m = (n, y, x)    ->    m = (n, y', x', dy, dx)

and the rows of a window are neighbours. Whoever computes some rows at a time, whole windows
each, can finish the windows before anything is written. Rows in no window are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Shape, product
from graphkeras.ir.graph import Graph, Node
from graphkeras.ir.image_sums import sums_images
from graphkeras.ir.op import Contraction, Kind, Reduction, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import INDEX, Const, Expr, Var, as_index


@frozen
class Regrouped:
    """A contraction followed by windows."""

    rule: Contraction
    """The contraction with its rows in the order of the windows."""
    place: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], list[Expr]]
    """(b, m, n) -> position in the windows' result."""
    windows: Node

    @property
    def shape(self) -> Shape:
        """Shape of the windows' result."""
        return self.windows.types[0].shape

    def elements(self, position: Position) -> list[Position]:
        """Positions in the contraction's result of the elements of one window, in order."""
        return window_elements(self.windows, position)


@frozen
class _Axis:
    """How windows lie along one dim of the contraction's result."""

    size: int
    stride: int
    start: int


def regroup(contraction: Node, windows: Node) -> Regrouped | None:
    """The contraction with its rows in the order of windows over its result.

    None where that cannot be: the reduction drops dims, windows overlap or have padding, or slide
    along a dim of the result that is no dim of the rows; or the contraction makes 2x2 results at a
    time (`transformed`), and windows are others.
    """
    rule, reduction = _rules(contraction, windows)
    if not reduction.window or reduction.overlaps:
        return None
    if contraction.types[0].shape != windows.inputs[0].type.shape:
        return None
    axes = _axes(reduction, windows.types[0].shape)
    if axes is None:
        return None
    rows = _names("m", len(rule.m))
    placed = rule.out(_names("b", len(rule.batch)), rows, _names("n", len(rule.n)))
    moving: dict[int, _Axis] = {}
    for axis, at in zip(axes, placed, strict=True):
        if axis != _Axis(1, 1, 0):
            if at not in rows:
                return None
            moving[rows.index(at)] = axis
    if rule.transformed and [(a.size, a.stride) for a in moving.values()] != [(2, 2), (2, 2)]:
        return None
    counts = dict(zip(placed, windows.types[0].shape, strict=True))
    inner = [i for i in moving if moving[i].size > 1]

    def whole(m: Sequence[Expr]) -> list[Expr]:
        full = list(m[: len(rule.m)])
        for i, axis in moving.items():
            within = m[len(rule.m) + inner.index(i)] if i in inner else as_index(0)
            full[i] = full[i] * axis.stride + within + axis.start
        return full

    view = rule.view
    return Regrouped(
        replace(
            rule,
            m=(
                *(counts[rows[i]] if i in moving else d for i, d in enumerate(rule.m)),
                *(moving[i].size for i in inner),
            ),
            lhs=lambda b, m, k: rule.lhs(b, whole(m), k),
            out=lambda b, m, n: rule.out(b, whole(m), n),
            view=view and replace(view, place=lambda b, m, k: view.place(b, whole(m), k)),
            together=len(inner),
            phases=(),
        ),
        lambda b, m, n: rule.out(b, m[: len(rule.m)], n),
        windows,
    )


def contraction_of(body: Graph) -> tuple[Node, Contraction, Regrouped | None]:
    """The contraction of a kernel, its rule, and the order of rows that windows ask for.

    The rule has its rows in that order, or those of each image apart where sums over them follow,
    or each whole where reductions of it follow.
    """
    (hero,) = [n for n in body.nodes if get_op(n.op).kind is Kind.CONTRACT]
    op = get_op(hero.op)
    assert op.contraction is not None
    rule, grouped = op.contraction(hero), None
    for windows in [n for n in body.nodes if get_op(n.op).kind is Kind.REDUCE]:
        if sums_images(hero, windows):
            rule = replace(rule, apart=True)
        elif not _rules(hero, windows)[1].window:
            rule = replace(rule, whole=True)
        else:
            grouped = regroup(hero, windows)
            assert grouped is not None
            rule = grouped.rule
    return hero, rule, grouped


def window_elements(windows: Node, position: Position) -> list[Position]:
    """Positions in the operand of the elements of the window at `position`, in order."""
    rule = get_op(windows.op).reduction
    assert rule is not None
    reduction, shape = rule(windows), windows.inputs[0].type.shape
    return [Position(shape, reduction.index(position, at)[0]) for at in reduction.positions]


def rows_together(rule: Contraction) -> int:
    """How many rows belong together."""
    rows = product(rule.m[len(rule.m) - rule.together :])
    assert isinstance(rows, int)
    return rows


def _rules(contraction: Node, windows: Node) -> tuple[Contraction, Reduction]:
    first, second = get_op(contraction.op).contraction, get_op(windows.op).reduction
    assert first is not None
    assert second is not None
    return first(contraction), second(windows)


def _names(prefix: str, count: int) -> list[Expr]:
    return [Var(INDEX, f"{prefix}{i}") for i in range(count)]


def _axes(reduction: Reduction, shape: Shape) -> list[_Axis] | None:
    """Size, stride and start of the windows, found by asking where positions 0 and 1 lie."""
    rank = len(shape)

    def at(out: int, red: int) -> list[int] | None:
        position = Position(shape, [as_index(out)] * rank)
        index, conditions = reduction.index(position, [as_index(red)] * rank)
        numbers = [int(e.value) for e in index if isinstance(e, Const)]
        return None if conditions or len(numbers) < rank else numbers

    first, following, within = at(0, 0), at(1, 0), at(0, 1)
    if first is None or following is None or within is None:
        return None
    axes = []
    for d, size in enumerate(reduction.space):
        unit = within[d] - first[d] == 1 or size == 1
        if not isinstance(size, int) or not unit:
            return None
        axes.append(_Axis(size, following[d] - first[d], first[d]))
    return axes
