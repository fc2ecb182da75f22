"""Rules of arithmetic and logic.

A rule here gives the same bits for every operand, infinities and NaN included, but for two
documented freedoms: `x + 0.0` becomes `x`, which keeps the sign of a negative zero, and
`pow(x, 2)` becomes `x * x`, which rounds once. Nothing is reassociated, and `x * 0.0` stays:
it is NaN where x is infinite or NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphkeras.ir.graph import Value
from graphkeras.ir.op import get_op
from graphkeras.passes.rules.rule import Match, Rule, made_by, uniform


def _constant_to_the_right(m: Match) -> Value | None:
    """Rule: c + x -> x + c, so that the other rules look for constants on the right only."""
    if len(m.node.inputs) != 2 or not get_op(m.node.op).commutative:
        return None
    left, right = m.node.inputs
    if uniform(left) is None or uniform(right) is not None:
        return None
    return m.builder.emit(m.node.op, right, left, **m.attrs)


def _elementwise_of_broadcasts(m: Match) -> Value | None:
    """Rule: f(broadcast(a), broadcast(b)) -> broadcast(f(a, b)): the same numbers, computed once.

    Scalars may be mixed in: they are spread over the shape before the broadcast instead.
    """
    makers = [made_by(value, "broadcast") for value in m.node.inputs]
    found = [node for node in makers if node is not None]
    if not found or len(found) != len(makers):
        return None
    forms = {(node.inputs[0].type.shape, node.attrs["dims"]) for node in found}
    wide = [form for form in forms if form != ((), ())] or [((), ())]
    if len(wide) != 1:
        return None
    shape, dims = wide[0]
    sources = [
        source if source.type.shape == shape else m.spread(source, shape)
        for source in (node.inputs[0] for node in found)
    ]
    small = m.builder.emit(m.node.op, *sources, **m.attrs)
    return m.builder.emit("broadcast", small, shape=m.shape, dims=dims)


def _is(value: Value, number: float) -> bool:
    found = uniform(value)
    return found is not None and bool(found == number)


def _neutral_right(m: Match) -> Value | None:
    """Rule: x + 0, x - 0, x * 1, x / 1, x // 1, pow(x, 1), x << 0, x | 0, ... -> x."""
    neutral = {"mul": 1, "div": 1, "floor_div": 1, "pow": 1}.get(m.node.op, 0)
    if m.node.op == "floor_div" and m.is_float:
        return None
    if m.dtype == "bool" and m.node.op not in ("or", "xor"):
        return None
    return m.operand if _is(m.node.inputs[1], neutral) else None


def _zero_product(m: Match) -> Value | None:
    """Rule: x * 0 -> 0 and x & 0 -> 0, on integers and bools only."""
    if m.is_float or not _is(m.node.inputs[1], 0):
        return None
    return m.node.inputs[1]


def _true_operand(m: Match) -> Value | None:
    """Rule: x & True -> x, x | True -> True, x ^ True -> not x."""
    if m.dtype != "bool" or not _is(m.node.inputs[1], True):
        return None
    if m.node.op == "xor":
        return m.builder.emit("not", m.operand)
    return m.operand if m.node.op == "and" else m.node.inputs[1]


def _extreme_bound(m: Match) -> Value | None:
    """Rule: max(x, lowest) -> x and min(x, highest) -> x; a NaN stays a NaN."""
    if m.dtype == "bool":
        return None
    low, high = (
        (-math.inf, math.inf) if m.is_float else (np.iinfo(m.dtype).min, np.iinfo(m.dtype).max)
    )
    return m.operand if _is(m.node.inputs[1], low if m.node.op == "max" else high) else None


def _same_operands(m: Match) -> Value | None:
    """Rule: max(x, x), min(x, x), x & x, x | x -> x."""
    left, right = m.node.inputs
    return left if left is right else None


def _sum_of_same(m: Match) -> Value | None:
    """Rule: x + x -> x * 2 on floats, the same bits: a factor, which sums are rid of.

    The gradient of a square is such a sum; see `rules/sums.py` for what becomes of it.
    """
    left, right = m.node.inputs
    return m.builder.emit("mul", left, m.full(2)) if left is right and m.is_float else None


def _difference_of_same(m: Match) -> Value | None:
    """Rule: x - x -> 0 and x ^ x -> 0, not on floats (infinity minus itself is NaN)."""
    left, right = m.node.inputs
    return m.full(0) if left is right and not m.is_float else None


def _times_minus_one(m: Match) -> Value | None:
    """Rule: x * -1 -> -x, also for x / -1."""
    if m.dtype == "bool" or m.dtype.startswith("uint") or not _is(m.node.inputs[1], -1):
        return None
    return m.builder.emit("neg", m.operand)


def _division_by_power_of_two(m: Match) -> Value | None:
    """Rule: x / 2**k -> x * 2**-k, which rounds the same."""
    divisor = uniform(m.node.inputs[1])
    if divisor is None or not np.isfinite(divisor) or divisor == 0:
        return None
    with np.errstate(all="ignore"):
        inverse = divisor.dtype.type(1) / divisor
    tiny = np.finfo(divisor.dtype).tiny
    exact = abs(math.frexp(divisor)[0]) == 0.5 and np.isfinite(inverse) and abs(inverse) >= tiny
    return m.builder.emit("mul", m.operand, m.full(inverse)) if exact else None


def _small_power(m: Match) -> Value | None:
    """Rule: pow(x, 2) -> x * x and pow(x, 0) -> 1 (of NaN too, as IEEE 754 says)."""
    exponent = uniform(m.node.inputs[1])
    if exponent is None or exponent not in (0, 2):
        return None
    return m.full(1) if exponent == 0 else m.builder.emit("mul", m.operand, m.operand)


def _twice(m: Match) -> Value | None:
    """Rule: neg(neg(x)) -> x and not(not(x)) -> x."""
    inner = made_by(m.operand, m.node.op)
    return inner.inputs[0] if inner else None


def _absolute_of_absolute(m: Match) -> Value | None:
    """Rule: abs(abs(x)) -> abs(x) and abs(neg(x)) -> abs(x)."""
    inner = made_by(m.operand, "abs", "neg")
    if inner is None or m.dtype.startswith("uint"):
        return None
    return m.operand if inner.op == "abs" else m.builder.emit("abs", inner.inputs[0])


def _sum_with_negative(m: Match) -> Value | None:
    """Rule: x + -y -> x - y and -x + y -> y - x."""
    left, right = m.node.inputs
    if (negative := made_by(right, "neg")) is not None:
        return m.builder.emit("sub", left, negative.inputs[0])
    if (negative := made_by(left, "neg")) is not None:
        return m.builder.emit("sub", right, negative.inputs[0])
    return None


def _difference_with_negative(m: Match) -> Value | None:
    """Rule: x - -y -> x + y."""
    negative = made_by(m.node.inputs[1], "neg")
    return m.builder.emit("add", m.operand, negative.inputs[0]) if negative else None


def _product_of_negatives(m: Match) -> Value | None:
    """Rule: -x * -y -> x * y, also for division."""
    left, right = (made_by(value, "neg") for value in m.node.inputs)
    if left is None or right is None:
        return None
    return m.builder.emit(m.node.op, left.inputs[0], right.inputs[0])


def _select_constant(m: Match) -> Value | None:
    """Rule: select(True, a, b) -> a; select(False, a, b) -> b; select(c, a, a) -> a."""
    condition, a, b = m.node.inputs
    if a is b:
        return a
    known = uniform(condition)
    if known is None:
        return None
    return a if known else b


def _select_of_not(m: Match) -> Value | None:
    """Rule: select(not c, a, b) -> select(c, b, a)."""
    condition, a, b = m.node.inputs
    negated = made_by(condition, "not")
    return m.builder.emit("select", negated.inputs[0], b, a) if negated else None


def _cast_to_same(m: Match) -> Value | None:
    """A cast to the operand's own dtype."""
    return m.operand if m.operand.type.dtype == m.dtype else None


def _cast_of_exact_cast(m: Match) -> Value | None:
    """Rule: cast(cast(x)) -> cast(x) where the inner cast keeps every value."""
    inner = made_by(m.operand, "cast")
    if inner is None or not _is_exact(inner.inputs[0].type.dtype, m.operand.type.dtype):
        return None
    return m.builder.emit("cast", inner.inputs[0], dtype=m.dtype)


def _is_exact(source: str, target: str) -> bool:
    """Whether the target dtype holds every value of the source dtype."""
    a, b = np.dtype(source), np.dtype(target)
    if source == target or source == "bool":
        return True
    if target == "bool" or (a.kind == "f" and b.kind != "f"):
        return False
    if b.kind == "f":
        bits: Any = np.finfo(a).nmant if a.kind == "f" else np.iinfo(a).bits
        return bool(bits <= np.finfo(b).nmant)
    return bool(np.iinfo(b).min <= np.iinfo(a).min and np.iinfo(a).max <= np.iinfo(b).max)


def _no_more_gradients(m: Match) -> Value | None:
    """Rule: stop_gradient(x) -> x: simplification runs after autodiff."""
    return m.operand


ARITHMETIC: tuple[Rule, ...] = (
    Rule(("stop_gradient",), _no_more_gradients),
    Rule(("cast",), _cast_to_same),
    Rule(("cast",), _cast_of_exact_cast),
    Rule((), _elementwise_of_broadcasts),
    Rule((), _constant_to_the_right),
    Rule(
        ("add", "sub", "mul", "div", "floor_div", "pow", "or", "xor", "shift_left", "shift_right"),
        _neutral_right,
    ),
    Rule(("mul", "and"), _zero_product),
    Rule(("and", "or", "xor"), _true_operand),
    Rule(("max", "min"), _extreme_bound),
    Rule(("max", "min", "and", "or"), _same_operands),
    Rule(("add",), _sum_of_same),
    Rule(("sub", "xor"), _difference_of_same),
    Rule(("mul", "div"), _times_minus_one),
    Rule(("div",), _division_by_power_of_two),
    Rule(("pow",), _small_power),
    Rule(("neg", "not"), _twice),
    Rule(("abs",), _absolute_of_absolute),
    Rule(("add",), _sum_with_negative),
    Rule(("sub",), _difference_with_negative),
    Rule(("mul", "div"), _product_of_negatives),
    Rule(("select",), _select_constant),
    Rule(("select",), _select_of_not),
)
"""In the order they are tried."""
