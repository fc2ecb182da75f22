"""Loops over the columns of rows, cut into runs where an element divides its column.

What follows a dense layer's gradient may read memory by another shape: behind a flattened image of
64 channels the bias of column j is `bias[j % 64]`, which no vector instruction loads. In runs of 64
it is the element j of the run, and the columns of a run are neighbours everywhere::

    for run in columns / 64:
        for j in 64:                the part of the run that is asked for
            ... bias[j] ... x[64 * run + j]

The remainder is folded away when it is written (`ir/scalar.py`), as the loop's variable is known to
be below 64.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from math import gcd

from graphkeras.codegen.emit import KernelWriter, same_element
from graphkeras.ir.access import AccessCollector
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Value
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Var, as_index, greatest, least

COLUMN = Var(INDEX, "column")
"""Stands for the column where it is found out what an element reads."""
SHORTEST_RUN = 16
"""Columns: shorter runs cost as much as what they save, a gather."""


def run_of_columns(
    values: Sequence[Value], at: Position, columns: Dim, known: Container[Value] = ()
) -> int | None:
    """The length of runs in which no column is divided; None where runs are of no use.

    Args:
        values: What is computed of each element.
        at: The element, whose offset has `COLUMN` in it.
        columns: How many columns there are.
        known: Values whose elements are at hand.
    """
    collector = AccessCollector(known)
    for value in values:
        collector.read(value, same_element(value, at))
    offsets = [offset for reads in collector.found.values() for offset in reads]
    run = gcd(*(each for offset in offsets for each in _divisors(offset)))
    if not isinstance(columns, int) or run < SHORTEST_RUN or columns % run or columns == run:
        return None
    return run


@contextmanager
def loop_over_columns(
    writer: KernelWriter, first: Expr, stop: Expr, run: int | None
) -> Iterator[Expr]:
    """A loop over columns, in runs of so many; yields the column."""
    if run is None:
        with writer.loop(first, stop, "j") as j:
            yield j
        return
    with writer.loop(first // run, (stop + (run - 1)) // run, "run") as at:
        begin = at * run
        low = writer.let(greatest(first - begin, as_index(0)), "low")
        high = writer.let(least(stop - begin, as_index(run)), "high")
        with writer.loop(low, high, "j", below=run) as j:
            yield begin + j


def _divisors(offset: Expr) -> Iterator[int]:
    """What columns are divided by in an offset; 1 for what is no number."""
    if isinstance(offset, Apply):
        dividend, *others = offset.args
        if ("div(" in offset.template or "rem(" in offset.template) and _has_column(dividend):
            (by,) = others
            yield int(by.value) if isinstance(by, Const) else 1
        for each in offset.args:
            yield from _divisors(each)


def _has_column(expr: Expr) -> bool:
    return expr == COLUMN or (isinstance(expr, Apply) and any(map(_has_column, expr.args)))
