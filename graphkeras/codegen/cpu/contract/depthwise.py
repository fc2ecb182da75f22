"""Convolutions of each channel by itself.

Blocks of lines and channels are shared out::

    for image, for block of lines:             threads share panels of channels of these
        for run of channels:
            for tile along the lines:          borders have tiles of their own
                for panel of channels: tile
                    epilogue

Tiles read x where it lies, borders included. Where a window is large a block is one line, whose
tiles walk over the lines of taps that meet a line of x. The gradient of the input is a convolution
again, with zeros between the pixels (meeting.py). What lies outside x has no part in the sum, not
even where a weight is infinite.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from graphkeras.codegen.cpu.contract.access import Strides
from graphkeras.codegen.cpu.contract.channel_plan import ChannelPlan, make_channel_plan
from graphkeras.codegen.cpu.contract.channels import Channels
from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.codegen.cpu.contract.source import Source
from graphkeras.frozen import frozen
from graphkeras.ir.dims import product
from graphkeras.ir.position import split_offset
from graphkeras.ir.scalar import Expr, as_index

if TYPE_CHECKING:
    from graphkeras.codegen.cpu.channel_tile import Part


def lower_depthwise(found: Channels, choices: Choices) -> bool:
    """Writes the kernel of a convolution; False, and nothing, where there is no tile."""
    if gcd(found.height.spread, found.height.gap) != 1:
        return False
    _Forward(found, make_channel_plan(found.shape, choices)).write()
    return True


@frozen
class _Target:
    """Where tiles write."""

    name: str
    pitch: tuple[int, int]
    """From line to line, and from row to row."""
    padded: bool
    """Whether rows are whole vectors, and an epilogue follows."""


@frozen
class _Block:
    """Some lines of y in a kernel."""

    image: Expr
    line: Expr
    """The first."""
    lines: int
    part: Part
    x: Expr
    """Where x has what they meet."""
    w: Expr
    """Where the first line of taps lies that does."""
    taps: tuple[Expr, ...]
    """How many do, where that is not known here."""


class _Forward:
    def __init__(self, found: Channels, plan: ChannelPlan) -> None:
        self.found = found
        self.plan = plan
        self.writer = found.lowering.writer

    def write(self) -> None:
        """The whole kernel."""
        writer, found, plan = self.writer, self.found, self.plan
        count = sum(part[0] for _, part in plan.groups)
        panels = -(-found.channels // plan.width)
        units = product((found.rule.m[0], count, panels))
        with writer.parallel_range(units, 1, found.share, "unit") as (low, high):
            w = found.other or self._packed_taps()
            target = self._target()
            with writer.loop(low // panels, (high + (panels - 1)) // panels, "block") as unit:
                columns = found.columns_of(unit, (low, high), panels, plan.width)
                image, at = writer.let(unit // count), writer.let(unit % count)
                before = 0
                for size, part in plan.groups:
                    with writer.when(at >= before), writer.when(at < before + part[0]):
                        block = self._block(w, image, writer.let(at - before), size, part)
                        self._tiles(w, target, block, columns)
                    before += part[0]

    def _target(self) -> _Target:
        """Where tiles write: the result, or scratch where an epilogue follows."""
        found, (lines, rows), width = self.found, self.plan.block, self.plan.width
        results = found.lowering.results
        if list(results) == [found.hero.result]:
            pitch = found.line.positions * found.channels, found.channels
            return _Target(results[found.hero.result], pitch, False)
        size = lines * rows * width
        name = self.writer.add_scratch(found.dtype, size, found.itemsize, "c")
        return _Target(name, (rows * width, width), True)

    def _packed_taps(self) -> Source:
        """The kernel copied to scratch, [line][tap][channel], where it cannot be read in place."""
        writer, found = self.writer, self.found
        lines, taps, channels = found.height.taps, found.line.taps, found.channels
        name = writer.add_scratch(found.dtype, lines * taps * channels, found.itemsize, "w")
        with writer.loop(0, lines * taps, "tap") as tap:
            k = [*(writer.let(i) for i in split_offset(tap, found.rule.k[:-1])), as_index(0)]
            with writer.loop(0, channels, "j") as j:
                index, conditions = found.rule.rhs([j], k, [as_index(0)])
                element = found.lowering.factor(found.hero.inputs[1], index, conditions)
                writer.store(name, tap * channels + j, element)
        along = (taps * channels, channels, 0)[-len(found.rule.k) :]
        return Source(name, Strides(0, ((1,), along, (0,))))

    def _block(self, w: Source, image: Expr, at: Expr, lines: int, part: Part) -> _Block:
        """The block `at` of equal ones."""
        let, found = self.writer.let, self.found
        _, pixel, row, pixels, step, _ = part
        each, across, _ = found.x_steps
        line = let(at * step + row)
        x = image * each + found.x.strides.start
        if not self.plan.by_line:
            start = as_index(w.strides.start)
            x_line = let(x + (at * pixels + pixel) * across)
            return _Block(image, line, lines, part, x_line, start, ())
        meet = found.lines(line, by_tap=True)
        w_line = let(meet.first * _steps(w)[0] + w.strides.start)
        return _Block(image, line, 1, part, let(x + meet.line * across), w_line, (meet.count,))

    def _tiles(self, w: Source, target: _Target, block: _Block, columns: tuple[Expr, Expr]) -> None:
        """The tiles of a block in the channels `columns`."""
        found, plan = self.found, self.plan
        with found.chunks(columns, plan.together) as run:
            for rows, part in plan.tiles:
                with self.writer.loop(0, part[0], "t") as t:
                    self._panels(w, target, block, run, rows, part, t)

    def _panels(
        self,
        w: Source,
        target: _Target,
        block: _Block,
        columns: tuple[Expr, Expr],
        rows: int,
        part: Part,
        t: Expr,
    ) -> None:
        """The tiles of some rows."""
        let, found = self.writer.let, self.found
        _, pixel, row, pixels, step, _ = part
        first = let(t * step + row)
        x_tile = let(block.x + (t * pixels + pixel) * found.x_steps[-1])
        y_line = let(block.image * found.height.positions + block.line)
        y_tile = let((y_line * found.line.positions + first) * found.channels)
        buffers = found.x.buffer, w.buffer, target.name

        def tile(column: Expr, valid: int) -> None:
            name = self._tile(w, target, block, rows, part, valid)
            at = as_index(0) if target.padded else y_tile + column
            self._call(name, buffers, *block.taps, x_tile + column, block.w + column, at)
            if target.padded:
                self._finish(target, block, first, (rows, valid), column)

        found.panels(columns, self.plan.width, tile)

    def _call(self, name: str, buffers: tuple[str, str, str], *arguments: Expr) -> None:
        """A call of a tile."""
        *counts, x, w, c = (f"{{{i}}}" for i in range(len(arguments)))
        pairs = [each for pair in zip(buffers, (x, w, c), strict=True) for each in pair]
        self.writer.call(f"{name}({', '.join([*counts, *pairs])})", *arguments)

    def _tile(
        self, w: Source, target: _Target, block: _Block, rows: int, part: Part, valid: int
    ) -> str:
        """Defines the tile of a part; returns its name."""
        found, plan = self.found, self.plan
        _, across, along = found.x_steps
        line_step, tap_step = _steps(w)
        meets = block.part[-1], part[-1]
        down = None
        if plan.by_line:
            gap = found.height.gap
            down = found.height.spread * across, gap * line_step
        return self.writer.define(
            f"tile_{block.lines}x{rows}x{valid}",
            f"block_tile({found.dtype!r}, {found.lanes}, {valid}, {(block.lines, rows)}, {meets}, "
            f"{(across, along)}, {(line_step, tap_step)}, {target.pitch}, {target.padded}, "
            f"{down})",
        )

    def _finish(
        self, target: _Target, block: _Block, first: Expr, size: tuple[int, int], column: Expr
    ) -> None:
        """The epilogue of a tile of `size` rows and channels in each line of a block."""
        writer, found, (rows, valid) = self.writer, self.found, size
        with writer.loop(0, block.lines, "i") as i, writer.loop(0, rows, "r") as r:
            m = [block.image, writer.let(block.line + i), writer.let(first + r)]
            m = m if len(found.rule.m) == 3 else [m[0], m[2]]
            with writer.loop(0, valid, "j") as j:
                place = i * target.pitch[0] + r * target.pitch[1] + j
                found.finish(target.name, place, [writer.let(column + j)], m)


def _steps(w: Source) -> tuple[int, int]:
    """Strides of lines of taps, and of taps."""
    line, tap = (0, *w.strides.dims[1][:-1])[-2:]
    return line, tap
