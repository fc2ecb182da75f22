"""Gradients of the kernels of convolutions of single channels, for bands of lines of each image.

Bands of images are shared out, and panels of channels where there are few::

    for image, for band:
        for run of channels:
            for block of lines, for tile along them:
                for panel of channels: sums of all taps += x, y of the tile
        epilogue

Lines of x and y are read side by side as in depthwise.py, and each byte of memory by one thread. A
gradient of all images would leave the threads panels of channels to share, so that each reads
pieces of all pixels: for 32 images of 56 x 56 x 64 twice as slow on two threads as on one.
`passes/split_reductions.py` makes these out of gradients of all images.
"""

from __future__ import annotations

from itertools import product as combinations
from typing import TYPE_CHECKING

from graphkeras.codegen.cpu.contract.channel_plan import make_channel_plan
from graphkeras.codegen.cpu.contract.channels import Channels
from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.ir.dims import product
from graphkeras.ir.scalar import Const, Expr, as_index, greatest, least

if TYPE_CHECKING:
    from graphkeras.codegen.cpu.channel_tile import Meets, Part


def lower_image_sums(found: Channels, choices: Choices) -> bool:
    """Writes the kernel; False, and nothing, where dy lies at no known strides."""
    if found.other is None:
        return False
    _ImageSums(found, choices).write()
    return True


class _ImageSums:
    def __init__(self, found: Channels, choices: Choices) -> None:
        self.found = found
        self.plan = make_channel_plan(found.shape, choices)
        self.writer = found.lowering.writer
        self.panels = -(-found.channels // self.plan.width)
        self.pitch = self.panels * self.plan.width

    def write(self) -> None:
        """The whole kernel."""
        writer, found, panels = self.writer, self.found, self.panels
        taps = found.height.taps * found.line.taps
        c = writer.add_scratch(found.dtype, taps * self.pitch, found.itemsize, "c")
        units = product((found.rule.batch[0], found.bands, panels))
        with writer.parallel_range(units, 1, found.share, "unit") as (low, high):
            first, stop = low // panels, (high + (panels - 1)) // panels
            with writer.loop(first, stop, "part") as part:
                columns = found.columns_of(part, (low, high), panels, self.plan.width)
                image, band = writer.let(part // found.bands), writer.let(part % found.bands)
                with writer.loop(0, taps * self.pitch, "z") as z:
                    writer.store(c, z, Const(found.dtype, 0.0))
                with found.chunks(columns, self.plan.together) as run:
                    self._sums(c, image, band, run)
                self._finish(c, image, band, columns)

    def _blocks(self, lines: Part, band: Expr) -> tuple[Expr, Expr]:
        """The first of some equal blocks of y that is in a band, and the first behind it."""
        count, _, row, _, step, _ = lines
        if self.found.bands == 1:
            return as_index(0), as_index(count)
        each = self.found.height.positions // self.found.bands
        let, step = self.writer.let, step or each
        # A multiple of the step is added, since quotients are of what is not negative.
        ahead = -(-row // step)
        first, stop = (
            (at * each + (ahead * step - row + step - 1)) // step - ahead for at in (band, band + 1)
        )
        within = (least(greatest(at, as_index(0)), as_index(count)) for at in (first, stop))
        low, high = (let(at) for at in within)
        return low, high

    def _sums(self, c: str, image: Expr, band: Expr, columns: tuple[Expr, Expr]) -> None:
        """The products of a band of an image in the channels `columns`."""
        writer, found, y = self.writer, self.found, self.found.other
        assert y is not None
        each, across, along = found.x_steps
        line_step, row_step = (0, *y.strides.dims[1])[-2:]
        taps = found.line.taps
        x_image = image * each + found.x.strides.start
        y_image = image * y.strides.dims[0][0] + y.strides.start
        for (_, lines), (_, rows) in combinations(self.plan.groups, self.plan.tiles):
            blocks = self._blocks(lines, band)
            with writer.loop(*blocks, "block") as i, writer.loop(0, rows[0], "t") as t:
                x_line, x_row = i * lines[3] + lines[1], t * rows[3] + rows[1]
                y_line, y_row = i * lines[4] + lines[2], t * rows[4] + rows[2]
                x_tile = writer.let(x_image + x_line * across + x_row * along)
                y_tile = writer.let(y_image + y_line * line_step + y_row * row_step)
                steps = (across, along), (line_step, row_step), (taps * self.pitch, self.pitch)
                self._panels(c, columns, (x_tile, y_tile), (lines[-1], rows[-1]), steps)

    def _panels(
        self,
        c: str,
        columns: tuple[Expr, Expr],
        tiles: tuple[Expr, Expr],
        meets: tuple[Meets, Meets],
        steps: tuple[tuple[int, int], ...],
    ) -> None:
        """What a tile at the places `tiles` of x and y gives."""
        found, writer, y = self.found, self.writer, self.found.other
        assert y is not None
        x_tile, y_tile = tiles
        buffers = f"{found.x.buffer}, {{0}}, {y.buffer}, {{1}}, {c}, {{2}}"

        def tile(column: Expr, valid: int) -> None:
            arguments = repr((found.dtype, found.lanes, valid, meets, *steps))
            name = writer.define(f"sums_{valid}", f"block_sums{arguments}")
            writer.call(f"{name}({buffers})", x_tile + column, y_tile + column, column)

        found.panels(columns, self.plan.width, tile)

    def _finish(self, c: str, image: Expr, band: Expr, columns: tuple[Expr, Expr]) -> None:
        """The epilogue of a band."""
        writer, found, taps = self.writer, self.found, self.found.line.taps
        with writer.loop(0, found.height.taps, "line") as i, writer.loop(0, taps, "tap") as tap:
            line = [i][: len(found.rule.m) - 2]
            with writer.loop(*columns, "j") as j:
                place = (i * taps + tap) * self.pitch + j
                found.finish(c, place, [image, band, j], [*line, tap, as_index(0)])
