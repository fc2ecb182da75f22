"""Positions: one element in several shapes."""

from __future__ import annotations

import pytest

from graphkeras.ir.dims import Size
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import INDEX, Var
from tests.ir.test_scalar import shown

N = Size.symbol("N")


def at(*shape: object) -> Position:
    return Position(shape, [Var(INDEX, name) for name in "abcdef"[: len(shape)]])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((N, 4, 196), (N, 784), ["a", "((b * 196) + c)"]),
        ((N, 784), (N, 4, 196), ["a", "udiv(b, 196)", "urem(b, 196)"]),
        ((N, 4, 6, 3), (N, 24, 3), ["a", "((b * 6) + c)", "d"]),
        (
            (N, 4, 6, 3),
            (N, 6, 4, 3),
            ["a", "udiv(((b * 6) + c), 4)", "urem(((b * 6) + c), 4)", "d"],
        ),
        ((N, 8), (N, 1, 8), ["a", "0", "b"]),
        ((N, 1, 8), (N, 8), ["a", "c"]),
        ((N, 8), (8 * N,), ["((a * 8) + b)"]),
        ((1, 1), (), []),
        ((), (1, 1), ["0", "0"]),
    ],
)
def test_a_reshape_computes_only_the_dims_that_it_changes(
    old: tuple[object, ...], new: tuple[object, ...], expected: list[str]
) -> None:
    position = at(*old)
    reshaped = position.reshaped(new)
    assert [shown(index) for index in reshaped.indices] == expected
    assert reshaped.flat == position.flat


def test_an_offset_stays_an_offset() -> None:
    position = Position((N, 8), flat=Var(INDEX, "i"))
    assert shown(position.reshaped((8 * N,)).flat) == "i"
    assert [shown(i) for i in position.reshaped((N, 2, 4)).indices] == [
        "udiv(i, 8)",
        "urem(udiv(i, 4), 2)",
        "urem(i, 4)",
    ]
