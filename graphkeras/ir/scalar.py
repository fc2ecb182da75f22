"""Scalar expressions: what a kernel computes for one element, on no particular target.

Ops describe their element in this language (`Op.element`, `Op.scalar`), kernel IR stores it
in loops, and a printer turns it into source. `Apply.template` is a Python expression that
every target's compiler accepts, so the table of ops is also the table of scalar code.

Index arithmetic is folded as it is built (`x*1`, `x+0`, `0*x`), because generated source is
meant to be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Size

INDEX = "int64"
"""Dtype of every index."""
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
    return Apply(INDEX, "({0} + {1})", (a, b))


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
    return Apply(INDEX, "({0} * {1})", (a, b))


def floordiv(a: Expr, b: Expr) -> Expr:
    """Index quotient of non-negative numbers, folded."""
    x, y = _number(a), _number(b)
    if y == 1:
        return a
    if x is not None and y:
        return Const(INDEX, x // y)
    return Apply(INDEX, "udiv({0}, {1})", (a, b))


def mod(a: Expr, b: Expr) -> Expr:
    """Index remainder of non-negative numbers, folded."""
    x, y = _number(a), _number(b)
    if y == 1:
        return Const(INDEX, 0)
    if x is not None and y:
        return Const(INDEX, x % y)
    return Apply(INDEX, "urem({0}, {1})", (a, b))


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
        result = Apply("bool", "({0} and {1})", (result, condition))
    return result
