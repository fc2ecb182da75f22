"""Whether contractions gather the batch from all samples while they copy their operand.

    samples[S,784] ──► gather ──► cast ──► x ──┬──► product              written: the team copies
    order[N] ─────────────╯                    └──► weight's gradient    rows, waits, and reads them

Unwritten, each thread takes the parts of the rows that it multiplies straight from where they lie:
no barrier, and nothing that one core wrote is read by another. Each contraction gathers anew, the
second from the cache, so it pays where each copies the rows about once.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim, Size, evaluate, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Kind, get_op

ROW = 192
"""Elements of a sample, at least. The training step of an MLP of 784 inputs took 10 to 15 % less
time so; on rows of an embedding, 128 elements, nothing was gained."""
RUN = 64
"""Elements of it that lie side by side in the contraction's operand, at least."""
COLUMNS = 512
"""Columns of the result, at most: the rows are gathered for every block of columns. The step took
10 to 30 % less time with 128 and 512 columns, 1 to 5 % more with 1024."""
TYPICAL = 64
"""Batch size for which windows are counted."""


def gathers_samples(node: Node) -> bool:
    """Whether a node takes one long row for each element of the batch out of a graph input."""
    op = get_op(node.op)
    if not op.indexes or op.kind is not Kind.INJECTIVE or node.attrs["axis"] != 0:
        return False
    table, numbers = node.inputs
    row = product(table.type.shape[1:])
    return isinstance(row, int) and row >= ROW and table.producer is None and numbers.type.rank == 1


def gathers_once(value: Value, user: Node) -> bool:
    """Whether a contraction that gathers its operand `value` itself does so about once.

    A convolution does that lays out the lines of an image because its windows overlap; Winograd's
    patches read each line twice, and pixels that are read where they lie are not copied at all.
    """
    rule = get_op(user.op).contraction
    assert rule is not None
    found = rule(user)
    columns = product(found.n)
    if value is not user.inputs[0] or not isinstance(columns, int) or columns > COLUMNS:
        return False
    if found.view is None:
        run = value.type.shape[-1]
        return isinstance(run, int) and run >= RUN
    if found.batch or found.transformed:
        return False
    return _typical(product((*found.m, *found.k))) > _typical(product(found.view.shape))


def _typical(dim: Dim) -> int:
    symbols = dim.symbols if isinstance(dim, Size) else ()
    return evaluate(dim, dict.fromkeys(symbols, TYPICAL))


__all__ = ["gathers_once", "gathers_samples"]
