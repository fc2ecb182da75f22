"""Rules about sums: what is the same for all terms is taken out of them.

A sum of products with one factor becomes a product with a sum. That saves a multiplication a
term, and sums that differ in their factor become one: the gradients of a batch normalisation's
offset and mean are both made of the sum of the cotangents.

    dy ──► sum ──► d offset               dy ──► sum ─┬──► d offset
      ╲──► * c ──► sum ──► d mean                     ╰──► * c ──► d mean

The result rounds differently, by less than the error that any order of additions allows: each
term was rounded once before it was added, and is not any more. A term or a sum may overflow
where the other form's does not.
"""

from __future__ import annotations

from graphkeras.ir.graph import Node, Value
from graphkeras.passes.rules.rule import Match, Rule, made_by


def _kept_factor(broadcast: Node, axes: tuple[int, ...]) -> tuple[Value, tuple[int, ...]] | None:
    """What is spread, and the dims of the result that it lies along; None if along a summed dim."""
    dims = broadcast.attrs["dims"]
    if set(dims) & set(axes):
        return None
    return broadcast.inputs[0], tuple(d - sum(a < d for a in axes) for d in dims)


def _sum_of_scaled(m: Match) -> Value | None:
    """Rule: sum(x * c) -> sum(x) * c and sum(x / c) -> sum(x) / c, c the same in every term."""
    scaled = made_by(m.operand, "mul", "div")
    if scaled is None:
        return None
    sides = (1, 0) if scaled.op == "mul" else (1,)
    for side in sides:
        spread = made_by(scaled.inputs[side], "broadcast")
        factor = spread and _kept_factor(spread, m.attrs["axes"])
        if not factor:
            continue
        source, dims = factor
        total = m.builder.emit("reduce_sum", scaled.inputs[1 - side], axes=m.attrs["axes"])
        wide = m.builder.emit("broadcast", source, shape=m.shape, dims=dims) if m.shape else source
        return m.builder.emit(scaled.op, total, wide)
    return None


def _sum_of_negated(m: Match) -> Value | None:
    """Rule: sum(-x) -> -sum(x), which rounds the same."""
    negated = made_by(m.operand, "neg")
    if negated is None:
        return None
    total = m.builder.emit("reduce_sum", negated.inputs[0], axes=m.attrs["axes"])
    return m.builder.emit("neg", total)


SUMS: tuple[Rule, ...] = (
    Rule(("reduce_sum",), _sum_of_scaled),
    Rule(("reduce_sum",), _sum_of_negated),
)
"""In the order they are tried."""
