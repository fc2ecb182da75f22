"""The loops of a Winograd convolution, whose kernel comes transformed (`ir.ops.winograd`).

A tile is 2x2 results, made from a patch of 4x4 pixels; where 2x2 windows follow, a tile is one of
them. Lines of tiles, some at a time, go through scratch memory in cache::

    x  ── 4x4 patches, input_tile ──►  V [16][tiles][channels]               second-level cache
    for panel of columns:                                    U [16][panel][channels][columns]
        V[i] U[i], register tiles ──►  M [16][tiles][columns]
        M  ── output_tile ──►  Y [2][2 tiles][columns of a line] ── epilogue ──►  memory

Of U a chunk [channels][columns of a panel] is read from the first-level cache by all register tiles
of a strip but the first one, which would wait for memory: every tile asks for a part of the chunk
that comes next (in one run 256 channels of 14x14 pixels took 1.02 ms in place of 1.10, 128 of 28x28
1.40 in place of 1.50).

Where patches reach outside x, or x is computed here, they are read from a copy of its lines with
zeros around them; of the four lines of a patch two were copied for the line of tiles before. Tiles
are the rows of 16 plain products, so the last register tile of a strip may have more rows than
there are: those are computed from whatever lies there, and never looked at. Each result is made by
one order of additions, whatever the strip, the row of a register tile and the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise

from graphkeras.codegen.cpu.contract.access import linear, offset
from graphkeras.codegen.cpu.contract.lines import LineCopy
from graphkeras.codegen.cpu.contract.source import Source, find_source
from graphkeras.codegen.cpu.contract.tile import TileChoice
from graphkeras.codegen.cpu.microkernel import UNROLL
from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.image_sums import ImageSums
from graphkeras.codegen.kernel_ir import Reach
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.scalar import INDEX, Expr, Load, Var, as_index, conjunction, least

GRAIN = 1 << 17
"""Multiply-adds of the plain convolution worth a thread of their own."""
STRIP_TILES = 4
"""Register tiles of rows that go over a panel of U: it is then read from the first-level cache,
and from the second once in as many tiles."""
STRIP_ELEMENTS = 1 << 18
"""Most elements of V: 1 MiB of float32, half of the second-level cache."""
MANY_FILTERS = 256
FEW_TILES = 100
"""Filters, and tiles of an image up to which threads share the panels: each reads its own part of
U only, and all make V, which costs little next to as many filters."""
TAIL_ROWS = (8, 4)
"""Rows of the register tiles for what is left of a strip, where the usual one has half as many
again; the smallest that holds it is taken."""

Span = tuple[Expr, Expr]


def lower_winograd(lowering: Lowering, hero: Node, rule: Contraction) -> None:
    """Writes the kernel of a convolution whose kernel comes transformed."""
    _Winograd(lowering, hero, rule).write()


class _Winograd:
    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.dtype, itemsize = hero.types[0].dtype, hero.types[0].itemsize
        x, u = (value.type.shape for value in hero.inputs)
        self.size = (number(x[1]), number(x[2]))
        self.channels, self.panels, self.panel = number(x[3]), number(u[1]), number(u[3])
        self.tiles = self._tiles()
        """Lines of tiles of an image, and tiles of a line."""
        self.origin = self._origin()
        """Line and column of x where the first patch begins; below zero in the padding."""
        cpu = target()
        self.lanes = max(1, cpu.lanes * 4 // itemsize)
        # One vector more, or rows a power of two apart would compete for sets of the cache.
        self.pitch = self._whole_vectors(self.channels) + self.lanes
        """From row to row of V."""
        self.line = self._whole_vectors(self.panel)
        """From row to row of M and of Y."""
        tiles, vectors = product((rule.m[0], *self.tiles)), self.line // self.lanes
        choice = TileChoice(tiles, vectors, self.channels, cpu.registers, 1)
        self.rows, self.vectors = choice.best()
        most = min(STRIP_TILES * self.rows, STRIP_ELEMENTS // (16 * self.pitch))
        self.strip = max(1, most // self.tiles[1])
        """Lines of tiles in a strip."""
        rows = -(-self.strip * self.tiles[1] // self.rows) * self.rows
        self.asked = self._asked()
        """Rows of U in a group of steps that a register tile asks for ahead."""
        self.v_plane, self.m_plane = rows * self.pitch, rows * self.line
        self.y_line = 2 * self.tiles[1] * self.line
        self.source = self._source()
        add = self.writer.add_scratch
        self.v = add(self.dtype, 16 * self.v_plane, itemsize, "v")
        self.m = add(self.dtype, 16 * self.m_plane, itemsize, "m")
        self.y = add(self.dtype, 2 * self.y_line, itemsize, "turned")
        cells = 2 * self.tiles[1] + 2
        self.copy = LineCopy(lowering, hero.inputs[0], self.size, self.origin, cells, self.channels)
        if self.source is None:
            self.copy.allocate(2 * self.strip + 2)

    # ---- what is known before

    def _whole_vectors(self, elements: int) -> int:
        return -(-elements // self.lanes) * self.lanes

    def _tiles(self) -> tuple[int, int]:
        per = 1 if self.rule.together else 2
        lines, places = (-(-number(d) // per) for d in self.rule.m[1:3])
        return lines, places

    def _asked(self) -> int:
        """So many that the register tiles of an image fetch all of the next chunk between them."""
        rows = min(self.strip, self.tiles[0]) * self.tiles[1]
        return -(-UNROLL // -(-rows // self.rows))

    def _origin(self) -> tuple[int, int]:
        view, groups = self.rule.view, (self.rule.batch, self.rule.m, self.rule.k)
        assert view is not None
        names = ([Var(INDEX, f"{g}{i}") for i in range(len(d))] for g, d in enumerate(groups))
        line, column = (linear(at) for at in view.place(*names)[1:3])
        assert line is not None
        assert column is not None
        return line.get("", 0) - view.low[0], column.get("", 0) - view.low[1]

    def _source(self) -> Source | None:
        """Where x lies, if all patches are inside it and have their channels side by side."""
        for begin, size, tiles in zip(self.origin, self.size, self.tiles, strict=True):
            if begin < 0 or begin + 2 * tiles + 2 > size:
                return None
        x = self.hero.inputs[0]
        found = find_source(x, lambda place: place, [4], self.lowering.operands)
        return found if found is not None and found.strides.dims[0][3] == 1 else None

    # ---- the loops

    def write(self) -> None:
        """The whole kernel."""
        rule, writer = self.rule, self.writer
        lines = product((rule.m[0], self.tiles[0]))
        share = Share(product((*rule.m, *rule.n, *rule.k)), GRAIN)
        few = number(product(self.tiles)) <= FEW_TILES and number(rule.n[0]) >= MANY_FILTERS
        extent = self.panels if few else lines
        multiple = self.tiles[0] if rule.apart and not few else 1
        with writer.parallel_range(extent, multiple, share, "panel" if few else "line") as span:
            every = (as_index(0), as_index(lines if few else self.panels))
            (low, high), panels = (every, span) if few else (span, every)
            sums = ImageSums(self.lowering, rule) if rule.apart else None
            with writer.loop(low, high, "strip", self.strip) as first:
                stop = writer.let(least(first + self.strip, high), "stop")
                self._spread(first, stop)
                with writer.loop(*panels, "p") as panel:
                    self._products(panel, writer.let((stop - first) * self.tiles[1], "rows"))
                    with writer.loop(first, stop, "line") as line:
                        row = (line - first) * self.tiles[1]
                        if sums is None:
                            self._finish(line, row, panel)
                        else:
                            self._finish_and_sum(line, row, panel, sums)

    def _finish_and_sum(self, line: Expr, row: Expr, panel: Expr, sums: ImageSums) -> None:
        """As `_finish`; what is summed up over an image begins and ends with it."""
        writer, (image, within) = self.writer, self._at(line)
        first = writer.let(panel * self.panel, "first")
        channels = (first, first + self.panel)
        with writer.when(within < 1):
            sums.begin(channels)
        self._finish(line, row, panel)
        with writer.when(within >= self.tiles[0] - 1):
            sums.finish(image, channels)

    def _at(self, line: Expr) -> tuple[Expr, Expr]:
        """Image and line of tiles in it."""
        image, within = split_offset(line, (self.rule.m[0], self.tiles[0]))
        return self.writer.let(image), self.writer.let(within)

    def _helper(self, name: str, factory: str) -> str:
        """Defines a microkernel before the kernel; returns its name."""
        self.writer.helpers.append(f"{name} = {factory}")
        return name

    # ---- V

    def _spread(self, first: Expr, stop: Expr) -> None:
        """The transformed patches of a strip."""
        writer, found = self.writer, self.source
        down, along = found.strides.dims[0][1:3] if found else (self.copy.line, self.copy.pixel)
        spread = self._helper(
            "spread",
            f"input_tile({self.dtype!r}, {self.lanes}, {self.channels}, {down}, {along}, "
            f"{self.v_plane})",
        )
        with writer.loop(first, stop, "line") as line:
            image, within = self._at(line)
            top = within * 2 + self.origin[0]
            if found:
                at = [image, top, as_index(self.origin[1]), as_index(0)]
                start = writer.let(offset(at, found.strides.dims[0]) + found.strides.start)
            else:
                start = writer.let((line - first) * (2 * self.copy.line), "start")
                known = least(least(within, line - first), as_index(1)) * 2
                vectors = as_index(0), as_index(-(-self.channels // self.lanes))
                self.copy.write(image, top, known, 4, start, vectors)
            with writer.loop(0, self.tiles[1], "t") as tile:
                begin = start + tile * (2 * along)
                row = (line - first) * self.tiles[1] + tile
                last = begin + 3 * (down + along) + (self.channels - 1)
                buffer = found.buffer if found else self.copy.buffer
                writer.call(
                    f"{spread}({buffer}, {{0}}, {self.v}, {{1}})",
                    begin,
                    row * self.pitch,
                    reads=(Reach(buffer, begin, last),) if found else (),
                )

    # ---- M

    def _products(self, panel: Expr, rows: Expr) -> None:
        """M = V U for a panel and `rows` rows of V."""
        writer, most = self.writer, self.rows
        tails = [size for size in TAIL_ROWS if 3 * size <= 2 * most]
        with writer.loop(0, 16, "i") as i, writer.loop(0, rows, "r", most) as r:
            left = writer.let(rows - r, "left")
            ahead = writer.let(self._next_chunk(i) + r // most * (self.asked * self.panel), "ahead")
            with writer.when(left >= (*tails, 0)[0] + 1):
                self._tiles_of_rows(i, panel, r, most, ahead)
            for size, below in pairwise((*tails, 0)):
                fits = conjunction([left >= below + 1, left < size + 1])
                assert fits is not None
                with writer.when(fits):
                    self._tiles_of_rows(i, panel, r, size, ahead)

    def _next_chunk(self, i: Expr) -> Expr:
        """Elements from the chunk of U of place `i` and a panel to the one that is read next."""
        place, chunk = self.panels, self.channels * self.panel
        return (i // 15 * (1 - 16 * place) + place) * chunk

    def _tiles_of_rows(self, i: Expr, panel: Expr, row: Expr, rows: int, ahead: Expr) -> None:
        """The register tiles of some rows: all columns of the panel."""
        u = self.lowering.operands[self.hero.inputs[1]]
        width = self.vectors * self.lanes
        start = (i * self.panels + panel) * (self.channels * self.panel)
        for column in range(0, self.panel, width):
            valid = min(width, self.panel - column)
            places = tuple(r * self.pitch for r in range(rows))
            tile = self._helper(
                f"tile_{rows}x{valid}",
                f"product_tile({self.dtype!r}, {self.lanes}, {valid}, {places}, "
                f"(({self.channels}, 1, {self.panel}),), {self.line}, False, (0, 0), {self.asked})",
            )
            begin = start + column
            last = begin + ((self.channels - 1) * self.panel + valid - 1)
            self.writer.call(
                f"{tile}(0, {self.v}, {{0}}, {u}, {{1}}, {self.m}, {{2}}, {{3}})",
                i * self.v_plane + row * self.pitch,
                begin,
                i * self.m_plane + row * self.line + column,
                ahead,
                reads=(Reach(u, begin, last),),
            )

    # ---- Y

    def _finish(self, line: Expr, row: Expr, panel: Expr) -> None:
        """The results of a line of tiles, whose first row of M is `row`, and their epilogue."""
        writer = self.writer
        combine = self._helper(
            "combine",
            f"output_tile({self.dtype!r}, {self.lanes}, {self.line}, {self.m_plane}, "
            f"{self.y_line})",
        )
        writer.call(
            f"{combine}({self.tiles[1]}, {self.m}, {{0}}, {self.y}, 0)", row * self.line, reads=()
        )
        image, within = self._at(line)
        if self.rule.together:
            with writer.loop(0, self.tiles[1], "t") as tile:
                corners = [i * self.y_line + j * self.line for i in (0, 1) for j in (0, 1)]
                self._store([image, within, tile], tile * (2 * self.line), corners, panel)
            return
        height, width = (number(d) for d in self.rule.m[1:])
        with ExitStack() as loops:
            i: Expr = as_index(0)
            if height > 1:
                count = least(as_index(height) - within * 2, as_index(2)) if height % 2 else 2
                i = loops.enter_context(writer.loop(0, count, "i"))
            x = loops.enter_context(writer.loop(0, width, "x"))
            self._store([image, within * 2 + i, x], i * self.y_line + x * self.line, [0], panel)

    def _store(self, m: Sequence[Expr], place: Expr, corners: Sequence[int], panel: Expr) -> None:
        """The epilogue of one result, or of one window, for all columns of a panel."""
        writer = self.writer
        at, first = [writer.let(index) for index in m], writer.let(place, "place")
        with writer.loop(0, self.panel, "j") as j:
            loads = [Load(self.dtype, self.y, first + j + corner) for corner in corners]
            results = [writer.pinned(load, "acc") for load in loads]
            n = split_offset(panel * self.panel + j, self.rule.n)
            self.lowering.store_rows(self.hero, self.rule, results, [], at, n)


__all__ = ["lower_winograd"]
