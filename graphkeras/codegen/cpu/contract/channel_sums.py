"""Gradients of the kernels of convolutions of single channels, summed over all images.

Panels of channels are shared out::

    for image, for panel of channels:
        lines of y that meet x by every tap:
            sums += x, y along these lines
        for line of taps:
            other lines of y that meet a line of x
    epilogue

Tiles read x where it lies; see depthwise.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd

from graphkeras.codegen.cpu.contract.channels import Channels
from graphkeras.codegen.cpu.contract.meeting import Lines
from graphkeras.codegen.cpu.target import target
from graphkeras.ir.scalar import Const, Expr, as_index, greatest, least

SUM_ROWS = 8
"""Rows of y that become straight code where their products are summed up."""
NARROW = 3
"""Vectors of channels up to which the kernel's gradient takes one in a panel, so that threads have
a panel each. Two read memory faster: 17 instead of 11 GF/s for 32 images of 28 x 28 x 96."""
MOST_CHAINS = 4


def lower_channel_sums(found: Channels) -> bool:
    """Writes the kernel of a gradient; False, and nothing, where there is no tile."""
    if found.other is None or gcd(found.height.stride, found.height.gap) != 1:
        return False
    _Sums(found).write()
    return True


class _Sums:
    def __init__(self, found: Channels) -> None:
        self.found = found
        self.writer = found.lowering.writer

    def write(self) -> None:
        """Sums over all images.

        Panels of channels are shared out, or single lines of taps where there is one panel only,
        or too many taps for the registers.
        """
        found = self.found
        writer, lines = self.writer, found.height.taps
        vectors = 2 if target().registers >= 32 and found.vectors > NARROW else 1
        width = vectors * found.lanes
        panels, taps = -(-found.channels // width), found.line.taps
        fits = lines * taps * vectors <= target().registers * 5 // 8
        inner = found.height.inner() if fits and panels > 1 else None
        c = writer.add_scratch(found.dtype, panels * lines * taps * width, found.itemsize, "c")
        units, per = (panels, lines) if inner else (panels * lines, 1)
        with writer.parallel_range(units, 1, found.share, "unit") as (low, high):
            # From here on a unit is a panel and a line of taps.
            first, stop = writer.let(low * per), writer.let(high * per)
            with writer.loop(first * (taps * width), stop * (taps * width), "z") as z:
                writer.store(c, z, Const(found.dtype, 0.0))
            with writer.loop(0, found.rule.k[0], "image") as image:
                if inner:
                    with writer.loop(first, stop, "unit", lines) as unit:
                        self._inner_sums(c, image, unit, width, inner)
                with writer.loop(first, stop, "unit") as unit:
                    self._line_sums(c, image, unit, width, inner)
            with writer.loop(first, stop, "unit") as unit:
                self._finish_sums(c, unit, width)

    def _inner_sums(
        self, c: str, image: Expr, unit: Expr, width: int, inner: tuple[int, int]
    ) -> None:
        """Adds to all of a panel's sums what lines of y give that meet a line of x by every tap."""
        found = self.found
        axis, (first, stop) = found.height, inner
        line = as_index(first * axis.stride - axis.low)
        lines = Lines(as_index(stop - first), as_index(first), line, 1, axis.stride)
        self._sums(c, image, unit, width, lines, axis.taps)

    def _line_sums(
        self, c: str, image: Expr, unit: Expr, width: int, inner: tuple[int, int] | None
    ) -> None:
        """Adds to a panel's sums for one line of taps what the lines of y give, without `inner`."""
        found = self.found
        writer, axis = self.writer, found.height
        tap = writer.let(unit % axis.taps)
        meet = found.lines(tap, by_tap=False)
        if inner is None:
            self._sums(c, image, unit, width, meet, 1)
            return
        # Before the inner lines, and behind them.
        before = writer.let(least(as_index(inner[0]), meet.first + meet.count))
        behind = writer.let(greatest(as_index(inner[1]), before))
        with writer.loop(0, 2, "side") as side:
            first = meet.first + side * (behind - meet.first)
            stop = before + side * (meet.first + meet.count - before)
            first, count = writer.let(first), writer.let(greatest(stop - first, as_index(0)))
            line = writer.let(first * axis.stride + tap * axis.spread - axis.low)
            self._sums(c, image, unit, width, Lines(count, first, line, 1, axis.stride), 1)

    def _sums(
        self, c: str, image: Expr, unit: Expr, width: int, lines: Lines, together: int
    ) -> None:
        """Adds what some lines of an image give, for `together` lines of taps from a unit's on."""
        found = self.found
        writer, y, taps = self.writer, found.other, found.line.taps
        assert y is not None
        line_step, row_step = (0, *y.strides.dims[1][1:])[-2:]
        each, across, along = found.x_steps
        x_start = image * each + lines.line * across + found.x.strides.start
        y_start = image * y.strides.dims[1][0] + lines.first * line_step + y.strides.start
        x_steps = (lines.down * across, found.height.spread * across, along)
        y_steps = (lines.apart * line_step, row_step)
        parts = tuple(part for _, part in found.line.tiles(found.line.tile_rows(SUM_ROWS)))

        def sums(column: Expr, valid: int) -> None:
            sums = together * taps * -(-valid // found.lanes)
            chains = max(1, min(MOST_CHAINS, target().registers * 9 // 16 // sums))
            name = self.writer.define(
                f"sums_{together}x{valid}",
                f"line_sums({found.dtype!r}, {found.lanes}, {valid}, {(together, taps)}, {chains}, "
                f"{parts}, {x_steps}, {y_steps}, {taps * width})",
            )
            writer.call(
                f"{name}({{0}}, {found.x.buffer}, {{1}}, {y.buffer}, {{2}}, {c}, {{3}})",
                lines.count,
                x_start + column,
                y_start + column,
                unit * (taps * width),
            )

        self._of_unit(unit, width, sums)

    def _of_unit(self, unit: Expr, width: int, write: Callable[[Expr, int], None]) -> None:
        """Writes what is done for a unit's panel, given its first channel and how many it has."""
        found = self.found
        writer = self.writer
        column = writer.let(unit // found.height.taps * width)
        whole = found.channels // width * width
        if whole == found.channels:
            write(column, width)
            return
        if whole:
            with writer.when(column < whole):
                write(column, width)
        with writer.when(column >= whole):
            write(column, found.channels - whole)

    def _finish_sums(self, c: str, unit: Expr, width: int) -> None:
        """The epilogue of a panel's line of taps."""
        found = self.found
        writer, taps = self.writer, found.line.taps
        line = [writer.let(unit % found.height.taps)][: len(found.rule.m) - 2]

        def finish(column: Expr, valid: int) -> None:
            pitch = -(-valid // found.lanes) * found.lanes
            with writer.loop(0, taps, "tap") as tap, writer.loop(0, valid, "j") as j:
                place = unit * (taps * width) + tap * pitch + j
                found.finish(c, place, [writer.let(column + j)], [*line, tap, as_index(0)])

        self._of_unit(unit, width, finish)
