"""Rows of a contraction in the order of windows: positions, and what cannot be regrouped."""

from __future__ import annotations

from typing import Any

import pytest

from graphkeras.ir import Builder, Node, Size, TensorType
from graphkeras.ir.position import Position
from graphkeras.ir.regroup import Regrouped, regroup, rows_together
from graphkeras.ir.scalar import Const, Expr, as_index

N = Size.symbol("N")
ONES = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}


def nodes(**changed: Any) -> tuple[Node, Node]:
    """A convolution [N,9,8,5] and windows over it."""
    b = Builder("g")
    x, w = b.input(TensorType((N, 11, 10, 2)), "x"), b.input(TensorType((3, 3, 2, 5)), "w")
    y = b.emit("conv", x, w, padding=((0, 0), (0, 0)), **ONES)
    attrs = {
        "window": (1, 2, 3, 1),
        "strides": (1, 3, 3, 1),
        "padding": ((0, 0), (-1, 0), (0, 0), (0, 0)),
    }
    z = b.emit("window_sum", y, **{**attrs, **changed})
    assert y.producer is not None
    assert z.producer is not None
    return y.producer, z.producer


def numbers(position: list[Expr] | tuple[Expr, ...]) -> list[int]:
    assert all(isinstance(e, Const) for e in position)
    return [int(e.value) for e in position if isinstance(e, Const)]


def at(*values: int) -> list[Expr]:
    return [as_index(v) for v in values]


def grouped() -> Regrouped:
    found = regroup(*nodes())
    assert found is not None
    return found


def test_rows_of_a_window_are_neighbours() -> None:
    rule = grouped().rule
    assert rule.m == (N, 3, 2, 2, 3)
    assert rows_together(rule) == 6
    # Row 1 + 3 * 2 + 1 of the result, column 3 * 1 + 2; the kernel's element (1, 0), channel 1.
    m = at(4, 2, 1, 1, 2)
    assert numbers(rule.out([], m, at(3))) == [4, 8, 5, 3]
    assert numbers(rule.lhs([], m, at(1, 0, 1))[0]) == [4, 9, 5, 1]


def test_elements_of_a_window_are_the_rows_in_order() -> None:
    found = grouped()
    place = found.place([], at(4, 2, 1), at(3))
    assert numbers(place) == [4, 2, 1, 3]
    elements = found.elements(Position(found.shape, place))
    rows = [found.rule.out([], at(4, 2, 1, y, x), at(3)) for y in range(2) for x in range(3)]
    assert [numbers(e.indices) for e in elements] == [numbers(row) for row in rows]


@pytest.mark.parametrize(
    "changed",
    [
        {"strides": (1, 1, 3, 1)},
        {"padding": ((0, 0), (1, 0), (0, 0), (0, 0))},
        {"window": (1, 2, 2, 2), "strides": (1, 2, 2, 2)},
    ],
    ids=["overlap", "padding", "over channels"],
)
def test_windows_that_no_order_of_rows_serves(changed: dict[str, Any]) -> None:
    assert regroup(*nodes(**changed)) is None


@pytest.mark.parametrize("axes", [(1, 2), (2, 3), (1,), (0, 1, 2, 3)])
def test_reductions_that_drop_dims_are_no_windows(axes: tuple[int, ...]) -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 3, 4, 2)), "x"), b.input(TensorType((3, 3, 2, 1)), "w")
    y = b.emit("conv", x, w, padding=((0, 0), (0, 0)), groups=1, **ONES)
    z = b.emit("reduce_max", y, axes=axes)
    assert y.producer is not None
    assert z.producer is not None
    assert regroup(y.producer, z.producer) is None
