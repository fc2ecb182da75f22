"""Geometries that every Winograd form of a 3x3 convolution has to compute."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphkeras.ir import Size

Pair = tuple[int, int]

N = Size.symbol("N")
PLAIN = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
VALID, SAME = ((0, 0), (0, 0)), ((1, 1), (1, 1))


class Case(NamedTuple):
    image: tuple[int, int, int]
    filters: int
    padding: tuple[Pair, Pair] = VALID
    batch: Any = N

    @property
    def results(self) -> tuple[int, int]:
        """Lines and columns of the convolution's result."""
        height, width = (
            size + sum(pair) - 2 for size, pair in zip(self.image[:2], self.padding, strict=True)
        )
        return height, width


GEOMETRIES = {
    "valid": Case((8, 10, 16), 32),
    "same": Case((6, 8, 16), 32, SAME),
    "odd lines and columns": Case((7, 9, 5), 20, SAME),
    "odd and inside": Case((9, 7, 3), 7),
    "one result": Case((3, 3, 40), 9),
    "one pixel": Case((1, 1, 6), 16, SAME),
    "a single line": Case((3, 12, 4), 16),
    "padded on one side": Case((6, 7, 4), 16, ((0, 2), (1, 0))),
    "much padding": Case((2, 3, 4), 8, ((4, 3), (2, 6))),
    "cropped": Case((9, 10, 17), 33, ((-1, 0), (-2, -1))),
    "cropped and padded": Case((6, 9, 4), 16, ((-1, 2), (1, -2))),
}
"""Cases by name."""
