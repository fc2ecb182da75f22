"""Convolutions of each channel by itself, and the gradients of their kernels.

The batch dim of such a contraction is the channel, contiguous in all three tensors, and nothing
is left to multiply as matrices (n is one). Channels are the lanes of the tiles in
`channel_tile.py`, which read x where it lies, borders included::

    forward                                        gradient of the kernel
    for image, for line of y:      shared out      for image, for panel of channels:  shared out
        lines of x that exist                          lines of y that meet x by every tap:
        for tile of the line:                              sums += x, y along these lines
            for panel of channels: tile                for line of taps:
            epilogue                                       other lines of y that meet a line of x
                                                   epilogue

The gradient of the input is a convolution again, with zeros between the pixels (meeting.py). What
lies outside x has no part in the sum, not even where a weight is infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from graphkeras.codegen.cpu.contract.access import Strides, linear
from graphkeras.codegen.cpu.contract.meeting import ONE_LINE, Axis, Lines
from graphkeras.codegen.cpu.contract.source import Source, find_source
from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.scalar import INDEX, Const, Expr, Load, Var, as_index, greatest, least

if TYPE_CHECKING:
    from graphkeras.codegen.cpu.channel_tile import Part

GRAIN = 1 << 17
"""Multiply-adds worth a thread of their own."""
MOST_ROWS = 14
SUM_ROWS = 8
"""Rows of y that become straight code where their products are summed up."""
MOST_TAPS = 16
"""In a line; each is straight code for every row of a tile."""
NARROW = 3
"""Vectors of channels up to which the kernel's gradient takes one in a panel, so that threads have
a panel each. Two read memory faster: 17 instead of 11 GF/s for 32 images of 28 x 28 x 96."""
MOST_CHAINS = 4


def lower_depthwise(lowering: Lowering, hero: Node, rule: Contraction) -> bool:
    """Writes the kernel, if the contraction is of this kind and x and dy lie in memory."""
    axes = _axes(hero, rule)
    if axes is None:
        return False
    rank = len(hero.inputs[0].type.shape)
    x = find_source(hero.inputs[0], lambda place: place, [rank], lowering.operands)
    if x is None or x.strides.dims[0][-1] != 1:
        return False
    other = find_source(
        hero.inputs[1],
        lambda b, k, n: rule.rhs(b, k, n)[0],
        [1, len(rule.k), len(rule.n)],
        lowering.operands,
    )
    if other is not None and other.strides.dims[0] != (1,):
        other = None
    height, line = axes
    forward = len(rule.k) == rank - 1 and _is_image(rule, "m")
    step = height.spread if forward else height.stride
    if gcd(step, height.gap) != 1 or not (forward or other):
        return False
    writer = _Depthwise(lowering, hero, rule, height, line, x, other)
    if forward:
        writer.forward()
    else:
        writer.kernel_gradient()
    return True


def _names(rule: Contraction) -> tuple[list[Var], list[Var], list[Var]]:
    b, m, k = (
        [Var(INDEX, f"{group}{i}") for i in range(len(dims))]
        for group, dims in (("b", rule.batch), ("m", rule.m), ("k", rule.k))
    )
    return b, m, k


def _is_image(rule: Contraction, group: str) -> bool:
    assert rule.view is not None
    return rule.view.place(*_names(rule))[0] == Var(INDEX, f"{group}0")


def _axes(hero: Node, rule: Contraction) -> tuple[Axis, Axis] | None:
    """Across lines and along a line, or None where this is no convolution of single channels."""
    view, shape = rule.view, hero.inputs[0].type.shape
    if view is None or len(rule.batch) != 1 or product(rule.n) != 1 or len(shape) > 4:
        return None
    if rule.batch[0] != shape[-1] or rule.together:
        return None
    forward = _is_image(rule, "m")
    # The other group of dims ends with the one channel of a group.
    positions, taps = (rule.m[1:], rule.k[:-1]) if forward else (rule.k[1:], rule.m[:-1])
    of_y, of_w = ("m", "k") if forward else ("k", "m")
    axes = []
    for d, at in enumerate(view.place(*_names(rule))[1:-1]):
        form = linear(at)
        assert form is not None
        stride, spread = form.get(f"{of_y}{d + 1}", 0), form.get(f"{of_w}{d}", 0)
        sizes = number(shape[d + 1]), number(positions[d]), number(taps[d])
        axes.append(Axis(*sizes, stride, spread, view.low[d], view.gaps[d]))
    if axes[-1].taps > MOST_TAPS:
        return None
    return (axes[0] if len(axes) == 2 else ONE_LINE), axes[-1]


@dataclass(frozen=True)
class _Target:
    """Where tiles write their rows."""

    name: str
    pitch: int
    """From row to row."""
    padded: bool
    """Whether rows are whole vectors, and an epilogue follows."""


class _Depthwise:
    def __init__(
        self,
        lowering: Lowering,
        hero: Node,
        rule: Contraction,
        height: Axis,
        line: Axis,
        x: Source,
        other: Source | None,
    ) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.height = height
        self.line = line
        self.x = x
        self.other = other
        self.dtype = hero.types[0].dtype
        self.itemsize = hero.types[0].itemsize
        self.channels = number(rule.batch[0])
        cpu = target()
        self.registers = cpu.registers
        self.lanes = max(1, cpu.lanes * 4 // self.itemsize)
        self.vectors = -(-self.channels // self.lanes)
        image, *space, _ = x.strides.dims[0]
        self.x_steps = (image, space[0] if len(space) == 2 else 0, space[-1])
        self.share = Share(product((*rule.batch, *rule.m, *rule.k)), GRAIN)

    # ---- forward

    def forward(self) -> None:
        """The convolution: lines of y are shared out."""
        writer, lines = self.writer, self.rule.m[:-1]
        vectors = 2 if self.registers >= 32 and self.vectors > 1 else 1
        held = 2 * vectors + min(self.line.taps * vectors, self.registers // 4)
        rows = self.line.tile_rows(min(MOST_ROWS, (self.registers - held) // vectors))
        with writer.parallel_range(product(lines), 1, self.share, "line") as (low, high):
            w = self.other or self._packed_taps()
            target = self._target(rows)
            with writer.loop(low, high, "line") as unit:
                at = [writer.let(i) for i in split_offset(unit, lines)]
                for size, part in self.line.tiles(rows):
                    self._tiles_of_line(w, target, unit, at, size, part, vectors * self.lanes)

    def _target(self, rows: int) -> _Target:
        """Where tiles of `rows` rows write: the result, or scratch where an epilogue follows."""
        if list(self.lowering.results) == [self.hero.result]:
            return _Target(self.lowering.results[self.hero.result], self.channels, False)
        pitch = self.vectors * self.lanes
        name = self.writer.add_scratch(self.dtype, rows * pitch, self.itemsize, "c")
        return _Target(name, pitch, True)

    def _packed_taps(self) -> Source:
        """The kernel copied to scratch, [line][tap][channel], where it cannot be read in place."""
        writer, channels = self.writer, self.channels
        lines, taps = self.height.taps, self.line.taps
        name = writer.add_scratch(self.dtype, lines * taps * channels, self.itemsize, "w")
        with writer.loop(0, lines * taps, "tap") as tap:
            k = [*(writer.let(i) for i in split_offset(tap, self.rule.k[:-1])), as_index(0)]
            with writer.loop(0, channels, "j") as j:
                index, conditions = self.rule.rhs([j], k, [as_index(0)])
                element = self.lowering.factor(self.hero.inputs[1], index, conditions)
                writer.store(name, tap * channels + j, element)
        along = (taps * channels, channels, 0)[-len(self.rule.k) :]
        return Source(name, Strides(0, ((1,), along, (0,))))

    def _tiles_of_line(
        self,
        w: Source,
        target: _Target,
        unit: Expr,
        at: Sequence[Expr],
        size: int,
        part: Part,
        width: int,
    ) -> None:
        """Some equal tiles of a line of y, and what follows them."""
        writer, (image, across, along) = self.writer, self.x_steps
        count, pixel, row, pixels, step, meets = part
        line_step, tap_step = (0, *w.strides.dims[1][:-1])[-2:]
        found = self._lines(at[1] if len(at) == 2 else as_index(0), by_tap=True)
        x_line = writer.let(at[0] * image + found.line * across + self.x.strides.start)
        w_line = writer.let(found.first * line_step + w.strides.start)
        x_steps, w_steps = (found.down * across, along), (found.apart * line_step, tap_step)
        with writer.loop(0, count, "t") as t:
            first = writer.let(t * step + row)
            x_tile = writer.let(x_line + (t * pixels + pixel) * along)
            start = as_index(0)
            if not target.padded:
                start = writer.let((unit * self.line.positions + first) * self.channels)

            def tile(column: Expr, valid: int) -> None:
                name = self.writer.define(
                    f"tile_{row}x{valid}",
                    f"line_tile({self.dtype!r}, {self.lanes}, {valid}, {size}, {meets}, "
                    f"{x_steps}, {w_steps}, {target.pitch}, {target.padded})",
                )
                buffers = self.x.buffer, w.buffer, target.name
                writer.call(
                    "{}({{0}}, {}, {{1}}, {}, {{2}}, {}, {{3}})".format(name, *buffers),
                    found.count,
                    x_tile + column,
                    w_line + column,
                    start + column,
                )

            self._panels(width, tile)
            if target.padded:
                self._finish_rows(target, [*at, first], size)

    def _panels(self, width: int, tile: Callable[[Expr, int], None]) -> None:
        """Calls `tile` with the first channel of every panel, and how many it has."""
        whole = self.channels // width * width
        if whole:
            with self.writer.loop(0, whole, "p", width) as column:
                tile(column, width)
        if whole < self.channels:
            tile(as_index(whole), self.channels - whole)

    def _finish_rows(self, target: _Target, at: Sequence[Expr], rows: int) -> None:
        """The epilogue of a tile whose first row is at `at`."""
        with self.writer.loop(0, rows, "r") as r:
            m = [*at[:-1], self.writer.let(at[-1] + r)]
            with self.writer.loop(0, self.channels, "j") as j:
                self._finish(target.name, r * target.pitch + j, j, m)

    def _finish(self, buffer: str, place: Expr, channel: Expr, m: Sequence[Expr]) -> None:
        element = self.writer.pinned(Load(self.dtype, buffer, place), "acc")
        zero = [as_index(0)]
        self.lowering.store_rows(self.hero, self.rule, [element], [channel], m, zero)

    # ---- lines

    def _lines(self, at: Expr, *, by_tap: bool) -> Lines:
        """Lines of x that meet the line `at` of y, by its taps; or of taps, by positions of y.

        With `n` for the one that is searched, n * step = low - off (mod gap) has every gap-th n
        as a solution, because step and gap have no common divisor.
        """
        axis, let = self.height, self.writer.let
        if by_tap:
            total, step, others, other_step = axis.taps, axis.spread, axis.positions, axis.stride
        else:
            total, step, others, other_step = axis.positions, axis.stride, axis.taps, axis.spread
        off = at * other_step
        first = let(greatest(as_index(axis.low + step - 1) - off, as_index(0)) // step)
        if axis.gap > 1:
            inverse = pow(step, -1, axis.gap)
            most = inverse * (others * other_step + abs(axis.low)) + abs(axis.low) + step
            positive = axis.low * inverse + axis.gap * most
            first = let(first + (as_index(positive) - off * inverse - first) % axis.gap)
        top = (axis.pixels - 1) * axis.gap + axis.low + step
        stop = least(greatest(as_index(top) - off, as_index(0)) // step, as_index(total))
        count = greatest(stop - first + (axis.gap - 1), as_index(0)) // axis.gap
        line = greatest(first * step + off - axis.low, as_index(0)) // axis.gap
        return Lines(let(count, "count"), first, let(line), axis.gap, step)

    # ---- kernel gradient

    def kernel_gradient(self) -> None:
        """Sums over all images.

        Panels of channels are shared out, or single lines of taps where there is one panel only,
        or too many taps for the registers.
        """
        writer, lines = self.writer, self.height.taps
        vectors = 2 if self.registers >= 32 and self.vectors > NARROW else 1
        width = vectors * self.lanes
        panels, taps = -(-self.channels // width), self.line.taps
        fits = lines * taps * vectors <= self.registers * 5 // 8
        inner = self.height.inner() if fits and panels > 1 else None
        c = writer.add_scratch(self.dtype, panels * lines * taps * width, self.itemsize, "c")
        units, per = (panels, lines) if inner else (panels * lines, 1)
        with writer.parallel_range(units, 1, self.share, "unit") as (low, high):
            # From here on a unit is a panel and a line of taps.
            first, stop = writer.let(low * per), writer.let(high * per)
            with writer.loop(first * (taps * width), stop * (taps * width), "z") as z:
                writer.store(c, z, Const(self.dtype, 0.0))
            with writer.loop(0, self.rule.k[0], "image") as image:
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
        axis, (first, stop) = self.height, inner
        line = as_index(first * axis.stride - axis.low)
        lines = Lines(as_index(stop - first), as_index(first), line, 1, axis.stride)
        self._sums(c, image, unit, width, lines, axis.taps)

    def _line_sums(
        self, c: str, image: Expr, unit: Expr, width: int, inner: tuple[int, int] | None
    ) -> None:
        """Adds to a panel's sums for one line of taps what the lines of y give, without `inner`."""
        writer, axis = self.writer, self.height
        tap = writer.let(unit % axis.taps)
        found = self._lines(tap, by_tap=False)
        if inner is None:
            self._sums(c, image, unit, width, found, 1)
            return
        # Before the inner lines, and behind them.
        before = writer.let(least(as_index(inner[0]), found.first + found.count))
        behind = writer.let(greatest(as_index(inner[1]), before))
        with writer.loop(0, 2, "side") as side:
            first = found.first + side * (behind - found.first)
            stop = before + side * (found.first + found.count - before)
            first, count = writer.let(first), writer.let(greatest(stop - first, as_index(0)))
            line = writer.let(first * axis.stride + tap * axis.spread - axis.low)
            self._sums(c, image, unit, width, Lines(count, first, line, 1, axis.stride), 1)

    def _sums(
        self, c: str, image: Expr, unit: Expr, width: int, lines: Lines, together: int
    ) -> None:
        """Adds what some lines of an image give, for `together` lines of taps from a unit's on."""
        writer, y, taps = self.writer, self.other, self.line.taps
        assert y is not None
        line_step, row_step = (0, *y.strides.dims[1][1:])[-2:]
        each, across, along = self.x_steps
        x_start = image * each + lines.line * across + self.x.strides.start
        y_start = image * y.strides.dims[1][0] + lines.first * line_step + y.strides.start
        x_steps = (lines.down * across, self.height.spread * across, along)
        y_steps = (lines.apart * line_step, row_step)
        parts = tuple(part for _, part in self.line.tiles(self.line.tile_rows(SUM_ROWS)))

        def sums(column: Expr, valid: int) -> None:
            sums = together * taps * -(-valid // self.lanes)
            chains = max(1, min(MOST_CHAINS, self.registers * 9 // 16 // sums))
            name = self.writer.define(
                f"sums_{together}x{valid}",
                f"line_sums({self.dtype!r}, {self.lanes}, {valid}, {(together, taps)}, {chains}, "
                f"{parts}, {x_steps}, {y_steps}, {taps * width})",
            )
            writer.call(
                f"{name}({{0}}, {self.x.buffer}, {{1}}, {y.buffer}, {{2}}, {c}, {{3}})",
                lines.count,
                x_start + column,
                y_start + column,
                unit * (taps * width),
            )

        self._of_unit(unit, width, sums)

    def _of_unit(self, unit: Expr, width: int, write: Callable[[Expr, int], None]) -> None:
        """Writes what is done for a unit's panel, given its first channel and how many it has."""
        writer = self.writer
        column = writer.let(unit // self.height.taps * width)
        whole = self.channels // width * width
        if whole == self.channels:
            write(column, width)
            return
        if whole:
            with writer.when(column < whole):
                write(column, width)
        with writer.when(column >= whole):
            write(column, self.channels - whole)

    def _finish_sums(self, c: str, unit: Expr, width: int) -> None:
        """The epilogue of a panel's line of taps."""
        writer, taps = self.writer, self.line.taps
        line = [writer.let(unit % self.height.taps)][: len(self.rule.m) - 2]

        def finish(column: Expr, valid: int) -> None:
            pitch = -(-valid // self.lanes) * self.lanes
            with writer.loop(0, taps, "tap") as tap, writer.loop(0, valid, "j") as j:
                place = unit * (taps * width) + tap * pitch + j
                self._finish(c, place, writer.let(column + j), [*line, tap, as_index(0)])

        self._of_unit(unit, width, finish)
