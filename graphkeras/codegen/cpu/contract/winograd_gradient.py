"""The loops of the gradient of a 3x3 kernel from transformed patches (`ir.ops.winograd_gradient`).

A tile is 2x2 results, made from a patch of 4x4 pixels. Threads share the channels; a thread takes
blocks of channels and filters, whose sums stay in the second-level cache, and strips of tiles::

    for block of channels, for block of filters:                  dU [16][channels][filters]
        for strip of tiles:
            x   ── 4x4 patches, input_tile ──►     V [16][tiles][channels]
            dy  ── 2x2 patches, gradient_tile ──►  D [16][tiles][filters]
            dU[i] += V[i]^T D[i], register tiles
        dU  ── kernel_tile ──►  dw [9][filters of a line] ── epilogue ──►  memory

The transforms of dy are made by every thread, which costs little next to the products. Where x or
dy is computed here, or its channels do not lie side by side, lines of it are copied first, with
zeros around them (`lines.py`). Each sum goes over all tiles in their order, in strips of one
length, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.contract.access import offset
from graphkeras.codegen.cpu.contract.lines import LineCopy
from graphkeras.codegen.cpu.contract.source import Source, find_source
from graphkeras.codegen.cpu.contract.tile import TileChoice
from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.kernel_ir import Reach
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.scalar import Apply, Const, Expr, Load, as_index, conjunction, greatest, least

GRAIN = 1 << 17
"""Multiply-adds of the plain sum worth a thread of their own."""
STRIP_TILES = 64
"""Tiles whose products are added before the sums go back to the cache. 96 are as fast, 128 up to a
tenth slower."""
MOST_CHANNELS = 64
MOST_FILTERS = 128
"""Channels and filters of a block: V, D and dU are 0.3, 0.6 and 0.5 MiB then."""

Span = tuple[Expr, Expr]


def lower_sums(lowering: Lowering, hero: Node, rule: Contraction) -> None:
    """Writes the kernel of a gradient whose sums are of products of transformed patches."""
    _Gradient(lowering, hero, rule).write()


@frozen
class _Side:
    """One operand: what is read of it for a tile, and where that goes."""

    operand: int
    tile: str
    """Factory of the function that transforms a patch."""
    size: int
    """Lines, and columns, of a patch."""
    image: tuple[int, int]
    origin: tuple[int, int]
    """Where the first patch begins; below zero in the padding."""
    channels: int
    most: int
    """Vectors of channels in a block."""
    source: Source | None
    """Where it lies, if channels are side by side there."""
    spread: str
    """Scratch memory of transformed patches, `[16][tiles][vectors and one more]`."""
    copy: LineCopy | None
    """Where it has no source: lines of it, with the channels of a block."""


@frozen
class _Patch:
    """Where the pixels of a patch lie."""

    buffer: str
    start: Expr
    """Channel 0 of its first pixel."""
    line: int
    pixel: int
    """Elements from line to line, and from pixel to pixel."""
    reads: tuple[Reach, ...]
    border: Sequence[Expr]
    """Line and column of its first pixel, if it may reach out of the image."""


class _Gradient:
    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.dtype, self.itemsize = hero.types[0].dtype, hero.types[0].itemsize
        cpu = target()
        self.lanes = max(1, cpu.lanes * 4 // self.itemsize)
        x, dy = (value.type.shape for value in hero.inputs)
        self.tiles = tuple(-(-number(size) // 2) for size in dy[1:3])
        """Lines of tiles of an image, and tiles of a line."""
        self.all_tiles = product((x[0], *self.tiles))
        vectors = -(-number(dy[3]) // self.lanes)
        choice = TileChoice(self.lanes, vectors, STRIP_TILES, cpu.registers, 1)
        self.rows, self.vectors = choice.best()
        view = rule.view
        assert view is not None
        low, high = view.low
        self.x = self._side(0, "input_tile", 4, (-low, -high), MOST_CHANNELS)
        most = MOST_FILTERS // (self.vectors * self.lanes) * (self.vectors * self.lanes)
        self.dy = self._side(1, "gradient_tile", 2, (0, 0), most)
        self.line = self.dy.most * self.lanes
        """From row to row of dU, and of dw."""
        self.plane = self.x.most * self.lanes * self.line
        self.sums = self._scratch(16 * self.plane, "sums")
        self.turned = self._scratch(9 * self.line, "turned")
        self.zeros = self._scratch(self.lanes, "zeros")

    def _side(
        self, operand: int, tile: str, size: int, origin: tuple[int, int], most: int
    ) -> _Side:
        value = self.hero.inputs[operand]
        _, height, width, channels = value.type.shape
        found = find_source(value, lambda place: place, [4], self.lowering.operands)
        if found is not None and found.strides.dims[0][3] != 1:
            found = None
        vectors = min(-(-number(channels) // self.lanes), max(1, most // self.lanes))
        image = (number(height), number(width))
        copy = None
        if found is None:
            cells = 2 * self.tiles[1] + size - 2
            copy = LineCopy(self.lowering, value, image, origin, cells, vectors * self.lanes)
            copy.allocate(2 * (-(-STRIP_TILES // self.tiles[1]) + 1) + size - 2)
        return _Side(
            operand,
            tile,
            size,
            image,
            origin,
            number(channels),
            vectors,
            found,
            self._scratch(16 * self._spread_plane(vectors), "v"),
            copy,
        )

    def _scratch(self, elements: int, name: str) -> str:
        return self.writer.add_scratch(self.dtype, elements, self.itemsize, name)

    def _pitch(self, vectors: int) -> int:
        """From tile to tile of V and D: rows a power of two apart would compete for cache sets."""
        return (vectors + 1) * self.lanes

    def _spread_plane(self, vectors: int) -> int:
        """From place to place of V and D, in different cache sets as well."""
        return STRIP_TILES * self._pitch(vectors) + self.lanes

    # ---- the loops

    def write(self) -> None:
        """The whole kernel."""
        rule, writer = self.rule, self.writer
        share = Share(product((*rule.m, *rule.n, *rule.k)), GRAIN)
        vectors = [-(-side.channels // self.lanes) for side in (self.x, self.dy)]
        with (
            writer.parallel_range(vectors[0], 1, share, "c") as (low, high),
            writer.loop(low, high, "c", self.x.most) as c,
            writer.loop(0, vectors[1], "o", self.dy.most) as o,
        ):
            self._zero(self.zeros, as_index(0), as_index(self.lanes))
            channels = c, writer.let(least(c + self.x.most, high), "cend")
            filters = o, writer.let(least(o + self.dy.most, as_index(vectors[1])), "oend")
            rows = writer.let((channels[1] - c) * self.lanes, "rows")
            with writer.loop(0, 16, "i") as i:
                self._zero(self.sums, i * self.plane, rows * self.line)
            with writer.loop(0, self.all_tiles, "strip", STRIP_TILES) as first:
                stop = writer.let(least(first + STRIP_TILES, as_index(self.all_tiles)), "stop")
                self._spread(self.x, (first, stop), channels)
                self._spread(self.dy, (first, stop), filters)
                self._products(writer.let(stop - first), channels, filters)
            self._finish(channels, filters)

    def _zero(self, buffer: str, start: Expr, count: Expr) -> None:
        with self.writer.loop(0, count, "z") as z:
            self.writer.store(buffer, start + z, Const(self.dtype, 0.0))

    # ---- V and D

    def _spread(self, side: _Side, tiles: Span, vectors: Span) -> None:
        """The transformed patches of a strip, for some vectors of channels."""
        writer = self.writer
        if side.copy is not None:
            self._spread_copy(side, side.copy, tiles, vectors)
            return
        assert side.source is not None
        with writer.loop(*tiles, "t") as t:
            image, *place = split_offset(t, (self.hero.inputs[0].type.shape[0], *self.tiles))
            top, left = (
                writer.let(p * 2 + first) for p, first in zip(place, side.origin, strict=True)
            )
            at = [writer.let(image), top, left]
            to = writer.let((t - tiles[0]) * self._pitch(side.most), "to")
            inside = conjunction(self._inside(side, (top, left), side.size))
            if inside is None:
                self._from_memory(side, side.source, at, vectors, to, border=False)
                return
            inside = writer.let(inside, "inside")
            with writer.when(inside):
                self._from_memory(side, side.source, at, vectors, to, border=False)
            with writer.when(Apply("bool", "(not {0})", (inside,))):
                self._from_memory(side, side.source, at, vectors, to, border=True)

    def _inside(self, side: _Side, place: Sequence[Expr], size: int) -> list[Expr]:
        """Whether all of `size` lines and columns from `place` on exist; what is always so not."""
        conditions = []
        for at, extent, first, tiles in zip(
            place, side.image, side.origin, self.tiles, strict=True
        ):
            if first < 0:
                conditions.append(at >= 0)
            if first + 2 * (tiles - 1) + side.size > extent:
                conditions.append(at < extent - size + 1)
        return conditions

    def _from_memory(
        self,
        side: _Side,
        source: Source,
        at: Sequence[Expr],
        vectors: Span,
        to: Expr,
        *,
        border: bool,
    ) -> None:
        steps = source.strides.dims[0]
        start = self.writer.let(offset([*at, as_index(0)], steps) + source.strides.start)
        # Any pixel of the image: threads share channels, so all of them read all of it.
        first = last = offset(at[:1], steps[:1]) + source.strides.start
        for extent, step in zip((*side.image, side.channels), steps[1:], strict=True):
            far = (extent - 1) * step
            first, last = first + min(far, 0), last + max(far, 0)
        reads = (Reach(source.buffer, first, last),)
        patch = _Patch(source.buffer, start, steps[1], steps[2], reads, at[1:] if border else ())
        self._transform(side, patch, vectors, to)

    def _spread_copy(self, side: _Side, copy: LineCopy, tiles: Span, vectors: Span) -> None:
        """As `_spread`, line of tiles by line of tiles, of a copy of their lines."""
        writer, per = self.writer, self.tiles[1]
        images = self.hero.inputs[0].type.shape[0]
        first = writer.let(tiles[0] // per, "first")
        with writer.loop(first, (tiles[1] + (per - 1)) // per, "line") as line:
            image, within = (writer.let(i) for i in split_offset(line, (images, self.tiles[0])))
            known = least(least(within, line - first), as_index(1)) * (side.size - 2)
            start = writer.let((line - first) * (2 * copy.line), "start")
            top = writer.let(within * 2 + side.origin[0], "top")
            copy.write(image, top, writer.let(known, "known"), side.size, start, vectors)
            low = greatest(tiles[0], line * per)
            with writer.loop(low, least(tiles[1], line * per + per), "t") as t:
                begin = start + (t - line * per) * (2 * copy.pixel) - vectors[0] * self.lanes
                patch = _Patch(
                    copy.buffer, writer.let(begin, "from"), copy.line, copy.pixel, (), ()
                )
                to = writer.let((t - tiles[0]) * self._pitch(side.most), "to")
                self._transform(side, patch, vectors, to)

    def _transform(self, side: _Side, patch: _Patch, vectors: Span, to: Expr) -> None:
        """Calls the transform of a patch for some vectors of channels."""
        writer, lanes = self.writer, self.lanes

        def call(v: Expr, valid: int) -> None:
            steps = f"{valid}, {patch.line}, {patch.pixel}, {self._spread_plane(side.most)}"
            border = f", {side.image}" if patch.border else ""
            name = writer.define(
                f"{side.tile.split('_')[0]}_{valid}",
                f"{side.tile}({self.dtype!r}, {lanes}, {steps}{border})",
            )
            zeros = f", {self.zeros}, {{2}}, {{3}}" if patch.border else ""
            writer.call(
                f"{name}({patch.buffer}, {{0}}, {side.spread}, {{1}}{zeros})",
                patch.start + v * lanes,
                to + (v - vectors[0]) * lanes,
                *patch.border,
                reads=patch.reads,
            )

        rest = side.channels % lanes
        last = side.channels // lanes
        with writer.loop(vectors[0], least(vectors[1], as_index(last)), "v") as v:
            call(v, lanes)
        if rest:
            with writer.when(vectors[1] >= last + 1):
                call(as_index(last), rest)

    # ---- dU

    def _products(self, count: Expr, channels: Span, filters: Span) -> None:
        """The sums of a strip of `count` tiles: dU += V^T D."""
        writer, lanes = self.writer, self.lanes
        whole = writer.let((filters[1] - filters[0]) // self.vectors * self.vectors, "whole")
        units = writer.let(channels[1] - channels[0])
        rest = -(-self.dy.channels // lanes) % self.vectors
        with writer.loop(0, 16, "i") as i:
            with (
                writer.loop(0, whole, "p", self.vectors) as panel,
                writer.loop(0, units, "u") as unit,
            ):
                self._tiles_of(i, unit, panel, self.vectors, count)
            if rest:
                with (
                    writer.when(filters[1] - filters[0] >= whole + 1),
                    writer.loop(0, units, "u") as unit,
                ):
                    self._tiles_of(i, unit, whole, rest, count)

    def _tiles_of(self, i: Expr, unit: Expr, panel: Expr, vectors: int, count: Expr) -> None:
        """The register tiles of a vector of channels, for some vectors of filters."""
        lanes, pitches = self.lanes, [self._pitch(side.most) for side in (self.x, self.dy)]
        for first in range(0, lanes, self.rows):
            rows = min(self.rows, lanes - first)
            tile = self.writer.define(
                f"tile_{rows}x{vectors * lanes}",
                f"product_tile({self.dtype!r}, {lanes}, {vectors * lanes}, {tuple(range(rows))}, "
                f"((None, {pitches[0]}, {pitches[1]}),), {self.line}, True)",
            )
            row = unit * lanes + first
            self.writer.call(
                f"{tile}({{0}}, {self.x.spread}, {{1}}, {self.dy.spread}, {{2}}, "
                f"{self.sums}, {{3}})",
                count,
                i * self._spread_plane(self.x.most) + row,
                i * self._spread_plane(self.dy.most) + panel * lanes,
                i * self.plane + row * self.line + panel * lanes,
                reads=(),
            )

    # ---- dw

    def _finish(self, channels: Span, filters: Span) -> None:
        """The gradient for a block of channels and filters, and its epilogue."""
        writer, lanes = self.writer, self.lanes
        back = writer.define(
            "turn_back", f"kernel_tile({self.dtype!r}, {lanes}, {self.plane}, {self.line})"
        )
        first = writer.let(channels[0] * lanes)
        last = writer.let(least(channels[1] * lanes, as_index(self.x.channels)))
        columns = writer.let(filters[0] * lanes)
        stop = writer.let(least(filters[1] * lanes, as_index(self.dy.channels)))
        with writer.loop(first, last, "c") as c:
            writer.call(
                f"{back}({{0}}, {self.sums}, {{1}}, {self.turned}, 0)",
                filters[1] - filters[0],
                (c - first) * self.line,
                reads=(),
            )
            with writer.loop(0, 3, "i") as i, writer.loop(0, 3, "j") as j:
                place = writer.let((i * 3 + j) * self.line - columns, "place")
                with writer.loop(columns, stop, "o") as o:
                    result = writer.pinned(Load(self.dtype, self.turned, place + o), "acc")
                    self.lowering.store_rows(self.hero, self.rule, [result], [], [i, j, c], [o])


__all__ = ["lower_sums"]
