"""Where the lines and pixels of a convolution meet, one spatial dim at a time.

A pixel of x, a position of y and a tap of the kernel meet where

    pixel * gap = position * stride + tap * spread - low

Along a line all three are known when the kernel is written; across lines one is a number of the
running kernel.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from graphkeras.frozen import frozen
from graphkeras.ir.scalar import Expr

if TYPE_CHECKING:
    from graphkeras.codegen.cpu.channel_tile import Meets, Part

    Parts = list[tuple[int, Part]]


@frozen
class Axis:
    """One spatial dim; see above."""

    pixels: int
    positions: int
    taps: int
    stride: int
    spread: int
    low: int
    gap: int

    def pixel(self, position: int, tap: int) -> int | None:
        """The pixel where a position and a tap meet, if it exists."""
        at = position * self.stride + tap * self.spread - self.low
        inside = at % self.gap == 0 and 0 <= at < self.pixels * self.gap
        return at // self.gap if inside else None

    def inner(self) -> tuple[int, int] | None:
        """First position, and the first behind it, of those that meet a pixel by every tap."""
        found = [
            position
            for position in range(self.positions)
            if all(self.pixel(position, tap) is not None for tap in range(self.taps))
        ]
        return (found[0], found[-1] + 1) if found and self.taps > 1 and self.gap == 1 else None

    def tile_rows(self, most: int) -> int:
        """Positions in a tile of at most `most`: few tiles, all of them equal if possible."""
        unit = self.gap // gcd(self.gap, self.stride)
        candidates = range(unit, most + 1, unit)
        if self.positions <= most or not candidates:
            return min(self.positions, most)
        return min(
            candidates, key=lambda r: (-(-self.positions // r) + 2 * (self.positions % r > 0), r)
        )

    def tiles(self, rows: int) -> Parts:
        """A line in tiles of `rows` positions: rows of each tile, and a part of equal ones."""
        found: Parts = []
        for first in range(0, self.positions, rows):
            count = min(rows, self.positions - first)
            base = first * self.stride // self.gap
            meets = self._meets(first, count, base)
            if found:
                size, (equal, pixel, row, pixels, _, known) = found[-1]
                ahead = base - pixel if equal == 1 else pixels
                if (size, known) == (count, meets) and base == pixel + equal * ahead:
                    found[-1] = (size, (equal + 1, pixel, row, ahead, rows, known))
                    continue
            found.append((count, (1, base, first, 0, 0, meets)))
        return found

    def _meets(self, first: int, count: int, base: int) -> Meets:
        where: dict[int, list[tuple[int, int]]] = {}
        for row in range(count):
            for tap in range(self.taps):
                pixel = self.pixel(first + row, tap)
                if pixel is not None:
                    where.setdefault(pixel - base, []).append((row, tap))
        return tuple((pixel, tuple(where[pixel])) for pixel in sorted(where))


ONE_LINE = Axis(1, 1, 1, 1, 1, 0, 1)
"""The lines of an image with one spatial dim."""


@frozen
class Lines:
    """The lines of x that meet one line of y, or of taps."""

    count: Expr
    first: Expr
    """First tap, or line of y, that meets one."""
    line: Expr
    """Where they meet."""
    apart: int
    """From one such tap or line of y to the next."""
    down: int
    """From one such line of x to the next."""
