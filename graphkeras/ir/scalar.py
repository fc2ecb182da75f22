"""Scalar expressions: what a kernel computes for one element, on no particular target.

Ops describe their element in this language (`Op.element`, `Op.scalar`), kernel IR stores it
in loops, and a printer turns it into source. `Apply.template` is a Python expression that
every target's compiler accepts, so the table of ops is also the table of scalar code.

Index arithmetic is folded as it is built (`x*1`, `x+0`, `0*x`; `(64*q + j) % 64` where a loop
says that j is below 64), because generated source is meant to be read, and a loop that reads
`bias[j % 64]` is not vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Size

INDEX = "int64"
"""Dtype of every index."""
SUM = "({0} + {1})"
PRODUCT = "({0} * {1})"
BOTH = "({0} and {1})"
"""Template of two conditions that hold."""
CLIPPED = "max(min({0}, {1}), {T}(0))"
"""Template of an index that data give, held inside `0 .. {1}`: what is read there is bounded."""


@frozen
class Expr:
    """A scalar of a dtype. `+ - * // %` and comparisons build int64 index arithmetic."""

    dtype: str

    def __add__(self, other: IndexLike) -> Expr:
        return add(self, as_index(other))

    def __radd__(self, other: int) -> Expr:
        return add(as_index(other), self)

    def __sub__(self, other: IndexLike) -> Expr:
        return sub(self, as_index(other))

    def __rsub__(self, other: int) -> Expr:
        return sub(as_index(other), self)

    def __mul__(self, other: IndexLike) -> Expr:
        return mul(self, as_index(other))

    def __rmul__(self, other: int) -> Expr:
        return mul(as_index(other), self)

    def __floordiv__(self, other: IndexLike) -> Expr:
        return floordiv(self, as_index(other))

    def __mod__(self, other: IndexLike) -> Expr:
        return mod(self, as_index(other))

    def __lt__(self, other: IndexLike) -> Expr:
        return Apply("bool", "({0} < {1})", (self, as_index(other)))

    def __ge__(self, other: IndexLike) -> Expr:
        return Apply("bool", "({0} >= {1})", (self, as_index(other)))


@frozen
class Const(Expr):
    """A literal number."""

    value: float | int | bool


@frozen
class Var(Expr):
    """A loop variable, accumulator or temporary of the kernel."""

    name: str
    below: int | None = field(default=None, compare=False)
    """An index from 0 on that is known to be below this."""


@frozen
class RuntimeSize(Expr):
    """A symbolic size, read from the kernel's run-time arguments."""

    size: Size


@frozen
class Load(Expr):
    """Element `offset` (in elements) of a contiguous buffer parameter."""

    buffer: str
    offset: Expr


@frozen
class Apply(Expr):
    """A scalar operation: `template.format(*args)` is its source."""

    template: str
    args: tuple[Expr, ...]


IndexLike = Expr | int | Size


def as_index(value: IndexLike) -> Expr:
    """A number or symbolic size as an int64 expression."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, Size):
        return RuntimeSize(INDEX, value)
    return Const(INDEX, value)


def _number(e: Expr) -> int | None:
    return int(e.value) if isinstance(e, Const) else None


def add(a: Expr, b: Expr) -> Expr:
    """Index sum, folded."""
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return Const(INDEX, x + y)
    if x == 0:
        return b
    if y == 0:
        return a
    return Apply(INDEX, SUM, (a, b))


def sub(a: Expr, b: Expr) -> Expr:
    """Index difference, folded."""
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return Const(INDEX, x - y)
    if y == 0:
        return a
    return Apply(INDEX, "({0} - {1})", (a, b))


def mul(a: Expr, b: Expr) -> Expr:
    """Index product, folded."""
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return Const(INDEX, x * y)
    if x == 0 or y == 0:
        return Const(INDEX, 0)
    if x == 1:
        return b
    if y == 1:
        return a
    return Apply(INDEX, PRODUCT, (a, b))


def floordiv(a: Expr, b: Expr) -> Expr:
    """Index quotient of non-negative numbers, folded."""
    x, y = _number(a), _number(b)
    if y == 1:
        return a
    if x is not None and y:
        return Const(INDEX, x // y)
    if y:
        whole, rest = _multiples(a, y)
        if (most := _most(rest)) is not None and (most < y or rest is not a):
            return add(whole, Const(INDEX, 0) if most < y else floordiv(rest, b))
    return Apply(INDEX, "udiv({0}, {1})", (a, b))


def mod(a: Expr, b: Expr) -> Expr:
    """Index remainder of non-negative numbers, folded."""
    x, y = _number(a), _number(b)
    if y == 1:
        return Const(INDEX, 0)
    if x is not None and y:
        return Const(INDEX, x % y)
    if y:
        _, rest = _multiples(a, y)
        if (most := _most(rest)) is not None and (most < y or rest is not a):
            return rest if most < y else mod(rest, b)
    return Apply(INDEX, "urem({0}, {1})", (a, b))


def _multiples(a: Expr, y: int) -> tuple[Expr, Expr]:
    """`(whole, rest)` with `a = whole * y + rest`, by the form of a sum; `a` itself if no form."""
    zero = Const(INDEX, 0)
    if isinstance(a, Apply) and a.template == SUM:
        (first, left), (second, right) = (_multiples(each, y) for each in a.args)
        if left is not a.args[0] or right is not a.args[1]:
            return add(first, second), add(left, right)
    if isinstance(a, Apply) and a.template == PRODUCT:
        factor, times = a.args
        number = _number(times)
        if number is not None and number % y == 0:
            return mul(factor, Const(INDEX, number // y)), zero
    return zero, a


def _most(a: Expr) -> int | None:
    """An upper bound of an index that is known not to be negative; None where nothing is known."""
    if isinstance(a, Var):
        return None if a.below is None else a.below - 1
    if isinstance(a, Const):
        return int(a.value) if a.value >= 0 else None
    if isinstance(a, Apply) and a.template in (SUM, PRODUCT):
        left, right = (_most(each) for each in a.args)
        if left is not None and right is not None:
            return left + right if a.template == SUM else left * right
    return None


def least(a: Expr, b: Expr) -> Expr:
    """The smaller of two indices."""
    return Apply(INDEX, "min({0}, {1})", (a, b))


def greatest(a: Expr, b: Expr) -> Expr:
    """The larger of two indices."""
    return Apply(INDEX, "max({0}, {1})", (a, b))


def conjunction(conditions: Sequence[Expr]) -> Expr | None:
    """All of the conditions, or None where there is none."""
    if not conditions:
        return None
    result = conditions[0]
    for condition in conditions[1:]:
        result = Apply("bool", BOTH, (result, condition))
    return result
