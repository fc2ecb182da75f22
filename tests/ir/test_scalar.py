"""Index arithmetic: what is folded, and that it stays the same number."""

from __future__ import annotations

import itertools

import pytest

from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Var

ROW = Var(INDEX, "row")
J = Var(INDEX, "j", 64)
K = Var(INDEX, "k", 5)


def shown(expr: Expr) -> str:
    if isinstance(expr, Const):
        return str(expr.value)
    if isinstance(expr, Var):
        return expr.name
    assert isinstance(expr, Apply)
    return expr.template.format(*map(shown, expr.args))


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (J % 64, "j"),
        (J // 64, "0"),
        (J % 32, "urem(j, 32)"),
        ((ROW * 128 + J) % 64, "j"),
        ((ROW * 128 + J) // 64, "(row * 2)"),
        ((ROW * 128 + J) // 32, "((row * 4) + udiv(j, 32))"),
        ((ROW * 128 + (K * 8 + 3)) % 64, "((k * 8) + 3)"),
        ((ROW * 128 + (K * 16 + J)) % 64, "urem(((k * 16) + j), 64)"),
        # Nothing is known of the row, which may be negative where it is not used.
        ((ROW + J) % 64, "urem((row + j), 64)"),
        ((ROW * 128 + (J - 1)) % 64, "urem(((row * 128) + (j - 1)), 64)"),
        ((ROW * 100 + J) % 64, "urem(((row * 100) + j), 64)"),
        ((ROW * 64) % 64, "0"),
    ],
)
def test_quotients_and_remainders_are_folded(expr: Expr, text: str) -> None:
    assert shown(expr) == text


@pytest.mark.parametrize("size", [1, 2, 3, 16, 32, 48, 64, 96])
def test_folding_does_not_change_the_number(size: int) -> None:
    sums = [ROW * 128 + J, ROW * 96 + K * 8 + J, K * 48 + J + 7, (ROW * 2 + 1) * 64 + J]
    scope = {"udiv": lambda a, b: a // b, "urem": lambda a, b: a % b}
    for expr, row, j, k in itertools.product(sums, (0, 3), (0, 17, 63), (0, 4)):
        names = {**scope, "row": row, "j": j, "k": k}
        number = eval(shown(expr), names)
        assert eval(shown(expr // size), names) == number // size
        assert eval(shown(expr % size), names) == number % size
