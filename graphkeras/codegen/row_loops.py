"""The loops over the columns of one row, in the passes that rows.py plans.

    softmax of a row:    for k: m = max(m, x[row, k])
                         for k: e = exp(x[row, k] - m); s += e; kept[k] = e
                         for j: y[row, j] = kept[j] / s

A ROWS kernel runs them for each row of its thread. The kernel of a contraction runs them for each
row that its tiles have completed, and they read the row where the tiles have left it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphkeras.codegen.accumulate import one_accumulator, reduction_of
from graphkeras.codegen.emit import Elements
from graphkeras.codegen.rows import Pass, plan_passes
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.graph import Value
from graphkeras.ir.position import Position, split_offset
from graphkeras.ir.scalar import Apply, Const, Expr, Load, as_index

StoreAll = Callable[[Sequence[Value], Callable[[Value], Position]], None]
"""Computes and stores elements of outputs, each at its position."""


class RowLoops:
    """Writes the loops over the columns of a row.

    Args:
        elements: Of the kernel's body.
        outputs: Of the kernel; each has an element a row, or one a row and column.
        store_all: Stores elements of outputs.
        space: Dims of the rows, then those of the columns.
        count: How many are the rows'.
    """

    def __init__(
        self,
        elements: Elements,
        outputs: Sequence[Value],
        store_all: StoreAll,
        space: Shape,
        count: int,
    ) -> None:
        self.elements = elements
        self.writer = elements.writer
        self.store_all = store_all
        self.rows, self.columns = space[:count], space[count:]
        rows, self.length = product(self.rows), product(self.columns)
        self.row_values = [v for v in outputs if v.type.numel == rows]
        self.others = [v for v in outputs if v.type.numel != rows]
        self.plan = plan_passes(elements.body, self.others, rows, self.length)
        self.kept = {
            v: _row_buffer(elements, v, self.length) for each in self.plan for v in each.stores
        }

    def write(self, row: Expr) -> None:
        """All loops of a row."""
        prefix = split_offset(row, self.rows)

        def at_row(value: Value) -> Position:
            same = value.type.shape == self.rows
            return Position(value.type.shape, prefix if same else None, row)

        def at_element(value: Value, column: Expr) -> Position:
            flat = row * as_index(self.length) + column
            if value.type.shape != (*self.rows, *self.columns):
                return Position(value.type.shape, flat=flat)
            indices = (*prefix, *split_offset(column, self.columns))
            return Position(value.type.shape, indices, flat)

        *passes, last = self.plan
        for each in passes:
            self._pass(each, at_element)
        self.store_all(self.row_values, at_row)
        if self.others:
            with self.writer.loop(0, self.length, "j") as j:
                self._load_kept(last, at_element, j)
                self.store_all(self.others, lambda value: at_element(value, j))
        for each in passes:
            for hero in each.heroes:
                del self.elements.known[hero.result]

    def _pass(self, each: Pass, at_element: Callable[[Value, Expr], Position]) -> None:
        """One loop over the columns: reductions, and elements that later loops need."""
        rules = {hero: reduction_of(hero) for hero in each.heroes}
        locals_ = {
            hero: self.writer.mutable(Const(hero.types[0].dtype, rule.identity))
            for hero, rule in rules.items()
        }
        with self.writer.loop(0, self.length, "k") as k:
            self._load_kept(each, at_element, k)
            for hero, acc in locals_.items():
                element = self.elements.read(hero.inputs[0], at_element(hero.inputs[0], k))
                combine = one_accumulator(rules[hero])
                self.writer.assign(acc, Apply(acc.dtype, combine, (acc, element)))
            for value in each.stores:
                element = self.elements.read(value, at_element(value, k))
                self.writer.store(self.kept[value], k, element)
        self.elements.known.update({hero.result: acc for hero, acc in locals_.items()})

    def _load_kept(
        self, each: Pass, at_element: Callable[[Value, Expr], Position], column: Expr
    ) -> None:
        for value in each.loads:
            load = Load(value.type.dtype, self.kept[value], column)
            element = self.writer.pinned(load, "kept")
            self.elements.give(value, at_element(value, column), element)


def _row_buffer(elements: Elements, value: Value, length: Dim) -> str:
    """Scratch memory for one row of a value."""
    assert isinstance(length, int)
    kind = value.type
    return elements.writer.add_scratch(kind.dtype, length, kind.itemsize, "kept")
