"""Rules about one element picked from each line, as a loss on class numbers does.

The number at the class is all that such a loss reads of a line of logarithms, and all that its
gradient writes to one. Computing after picking takes one logarithm a line; and a gradient that
compares each position with the class is an elementwise op, which an opaque scatter is not. So
probabilities, loss and the gradient of the logits become one kernel over rows::

    z ─► softmax ─► log ─► take_along ─► loss        z ─► softmax ──────────────╮
                            (class)                   ╰─► pick ─► log ─► loss    │ one kernel:
    d loss ─► scatter_add_along ─► ... ─► dz         select(at == class, ..) ─► ... ─► dz
"""

from __future__ import annotations

import numpy as np

from graphkeras.ir.graph import Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rules.rule import Match, Rule, uniform

LARGEST = np.iinfo(np.int32).max


def _pick_before_computing(m: Match) -> Value | None:
    """Rule: take_along(f(a, b), i) -> f(take_along(a, i), take_along(b, i)), one element a line.

    The same operations on the same elements. What others read of f's result is computed anyway,
    and one element more a line is less than keeping whole lines in memory.
    """
    x, indices = m.node.inputs
    axis = m.attrs["axis"]
    node = x.producer
    lines = indices.type.shape[axis] == 1 != x.type.shape[axis]
    if node is None or not lines or get_op(node.op).kind is not Kind.ELEMENTWISE:
        return None
    picked = [m.builder.emit("take_along", v, indices, axis=axis) for v in node.inputs]
    return m.builder.emit(node.op, *picked, **node.attrs)


def _pick_of_broadcast(m: Match) -> Value | None:
    """Rule: take_along(broadcast(v), i) -> broadcast(v) where lines are of one number each."""
    x, axis = m.operand, m.attrs["axis"]
    node = x.producer
    if node is None or node.op != "broadcast" or axis in node.attrs["dims"]:
        return None
    return m.builder.emit("broadcast", node.inputs[0], shape=m.shape, dims=node.attrs["dims"])


def _scatter_of_one(m: Match) -> Value | None:
    """Rule: scatter_add_along(0, i, d) -> select(position == i, d, 0), one index a line.

    The sum of zero and d is written as d, whose zero may be negative.
    """
    x, indices, updates = m.node.inputs
    axis = m.attrs["axis"]
    extent, before = x.type.shape[axis], uniform(x)
    if indices.type.shape[axis] != 1 or before is None or before != 0 or np.signbit(before):
        return None
    if not isinstance(extent, int) or extent > LARGEST:
        return None
    b = m.builder
    # Clipped while wide: a large number must not come out of the cast as another class.
    wide = b.emit("cast", indices, dtype="int64")
    low, high = (_filled(m, wide, bound) for bound in (0, extent - 1))
    row = b.emit("cast", b.emit("min", b.emit("max", wide, low), high), dtype="int32")
    at = b.emit("iota", shape=m.shape, axis=axis, dtype="int32")
    hit = b.emit("eq", at, _spread_along(m, row))
    return b.emit("select", hit, _spread_along(m, updates), x)


def _filled(m: Match, like: Value, number: object) -> Value:
    """A tensor of the type of `like`, every element `number`."""
    return m.spread(m.builder.constant(number, dtype=like.type.dtype), like.type.shape)


def _spread_along(m: Match, value: Value) -> Value:
    """`value`, of size 1 along the axis, as large as the result."""
    axis = m.attrs["axis"]
    dims = tuple(d for d in range(len(m.shape)) if d != axis)
    lines = m.builder.emit("reshape", value, shape=tuple(m.shape[d] for d in dims))
    return m.builder.emit("broadcast", lines, shape=m.shape, dims=dims)


PICKS: tuple[Rule, ...] = (
    Rule(("take_along",), _pick_of_broadcast),
    Rule(("take_along",), _pick_before_computing),
    Rule(("scatter_add_along",), _scatter_of_one),
)
"""In the order they are tried."""
