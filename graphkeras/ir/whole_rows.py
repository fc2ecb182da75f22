"""Rows of a contraction's result that are finished in its kernel: softmax, crossentropy, and more.

Behind the products with a layer's weights, or of queries and keys, often come reductions of each
row, and what is computed of them. Where one thread computes all columns of a row, it can go on with
the row as soon as all steps of k are done, while the row is in cache::

    x[N,128], w[128,10] ──► y[N,10] ── max, exp, sum, loss, gradient ──► [N], [N,10]
                            a few rows at a time, in cache     same kernel, same thread

The result itself is written only if somebody else reads it. Whether that pays is decided here, from
sizes alone: rows that are too long for the cache, and products of which threads had better share
the columns, leave the loops over rows to a kernel of their own. So do convolutions, where it gained
nothing: a softmax of 21 channels behind a 1x1 convolution of 56 x 56 pixels took 13 % more.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction, get_op
from graphkeras.ir.scalar import INDEX, Var

MOST_COLUMNS = 4096
"""Longest row: with the other rows of a tile, and what is kept of the row, in the second-level
cache."""
MOST_WEIGHTS = 1 << 16
"""Elements of a right operand that is read by every thread. More of them are better shared, and
with them the columns: in rounds of one process on two threads 512 rows of 256 x 256 took 0.28 ms in
place of 0.32 when rows were shared, but those of 256 x 500 took 0.91 in place of 0.72."""


def refusal(contraction: Node, rows: Dim, columns: Dim) -> str:
    """Why the kernel of a contraction does not finish rows of its result; empty if it does.

    Args:
        contraction: What computes the rows.
        rows: How many its reader takes.
        columns: Length of each.
    """
    contract = get_op(contraction.op).contraction
    assert contract is not None
    rule = contract(contraction)
    same = product(rule.n) == columns and product((*rule.batch, *rule.m)) == rows
    if not same or not _in_order(rule, contraction):
        return f"reads {contraction.op} in rows of another kind"
    if not contraction.types[0].is_float or _has_own_loops(rule, contraction):
        return f"tiles of {contraction.op} hold no whole rows"
    if not isinstance(columns, int) or not 1 < columns <= MOST_COLUMNS:
        return f"rows of {columns} elements"
    if product(rule.k) == 0 or _share_columns(rule, columns):
        return f"threads share the columns of {contraction.op}"
    return ""


def _in_order(rule: Contraction, contraction: Node) -> bool:
    """Whether the result has the rows' dims first, then those of the columns."""
    b, m, n = (
        [Var(INDEX, f"{name}{i}") for i in range(len(dims))]
        for name, dims in (("b", rule.batch), ("m", rule.m), ("n", rule.n))
    )
    return list(rule.out(b, m, n)) == [*b, *m, *n] and contraction.types[0].shape == (
        *rule.batch,
        *rule.m,
        *rule.n,
    )


def _has_own_loops(rule: Contraction, contraction: Node) -> bool:
    """Whether the contraction has loops over lines of pixels, or over the winners of windows."""
    operand = contraction.inputs[0].producer
    scattered = operand is not None and get_op(operand.op).scattered is not None
    return rule.view is not None or bool(rule.transformed) or scattered


def _share_columns(rule: Contraction, columns: int) -> bool:
    """Whether threads had better share the columns, where they do not share products of a batch."""
    weights = product(rule.k) * columns
    few = isinstance(weights, int) and weights <= MOST_WEIGHTS
    return isinstance(product(rule.batch), int) and not few
