"""The loops around the tiles of a contraction.

Every contraction of the op table (matrix products in all layouts, convolutions and their
gradients) has the form C[b, m, n] = sum_k A[b, m, k] B[b, k, n]. How its operands are read and
where it is cut is decided in plan.py; here the loops are written::

    for b, for block of columns:                    one thread: a range of b, of m or of n
        pack B                                      where it is not read in place
        for image, for band of lines:               where A is a view with zeros
            lay the band out
            for tile of rows:                       strips of tiles where k is cut:
                for panel of columns: tile -> C         zero C
                for row, for column: epilogue           for chunk of k: pack, tiles add to C
                                                        epilogue of every row
Where images are small and B lies in panels, a *sweep* of several tiles of rows stands outside the
blocks of columns, which are panels then: tiles of a sweep ask for the next panel between them.

C is a strip of scratch memory in cache; the epilogue is whatever consumers were fused, from C to
memory. Where there are none, C is the result itself (result.py); where there are loops over whole
rows, a block has all columns, and they run on the rows of C (whole_rows.py).
Producers of A and B are computed where they are packed or laid out. The order of
additions depends on sizes only, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import lcm

from graphkeras.codegen.columns import loop_over_columns
from graphkeras.codegen.cpu.contract.access import offset
from graphkeras.codegen.cpu.contract.calls import Calls, Span
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.forms import Form
from graphkeras.codegen.cpu.contract.operands import Chunk, Operands
from graphkeras.codegen.cpu.contract.plan import make_plan
from graphkeras.codegen.cpu.contract.result import every_step_counts, find_memory
from graphkeras.codegen.cpu.contract.tile import TAIL_ROWS
from graphkeras.codegen.cpu.contract.whole_rows import WholeRows
from graphkeras.codegen.image_sums import ImageSums
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.regroup import rows_together
from graphkeras.ir.scalar import Const, Expr, Load, as_index, conjunction, greatest, least

PRODUCT_GRAIN = 1 << 17
"""Multiply-adds worth a thread of their own: about 2 us at half the machine's rate."""
MOST_PHASES = 16
"""Phases of a convolution of a dilated image that get loops of their own in its kernel; with more
the zeros between pixels are multiplied. A gradient with stride 2 has four."""
ROW_MULTIPLE = 4
"""Where rows are shared out, a share begins at a multiple of this."""


@frozen
class Rows:
    """The rows of one tile."""

    position: tuple[Expr, ...]
    """Position in the dims of m before the run."""
    first: Expr
    """First row within the run."""
    flat: Expr
    """First row among all rows."""
    base: Expr
    """Where it begins in A."""
    valid: Expr
    """Number of rows."""


def parts(rule: Contraction) -> Sequence[Contraction]:
    """The contractions that a kernel has loops for: the phases of a dilated image, or all of it."""
    return rule.phases if 0 < len(rule.phases) <= MOST_PHASES else (rule,)


def lower_product(
    lowering: Lowering, hero: Node, rule: Contraction, choices: Choices = BY_MODEL
) -> None:
    """Writes the loops of a contraction with matrix form."""
    if product(rule.k) == 0:
        _nothing(lowering, hero, rule)
    else:
        _Product(lowering, hero, rule, choices).write()


def _nothing(lowering: Lowering, hero: Node, rule: Contraction) -> None:
    """Rows without a k: what follows the contraction, of zeros."""
    writer, columns = lowering.writer, product(rule.n)
    share = Share(product((*rule.batch, *rule.m, columns)))
    zero = Const(hero.types[0].dtype, 0.0)
    with writer.parallel(product((*rule.batch, *rule.m)), "row", share) as row:
        at = [writer.let(i) for i in split_offset(row, (*rule.batch, *rule.m))]
        b, m = at[: len(rule.batch)], at[len(rule.batch) :]
        with writer.loop(0, columns, "j") as j:
            lowering.store_rows(hero, rule, [zero], b, m, split_offset(j, rule.n))


class _Product:
    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction, choices: Choices) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        memory = find_memory(lowering, hero, rule)
        add_there = memory is not None and every_step_counts(rule)
        operands = lowering.operands
        plan = make_plan(rule, hero.types[0], hero.inputs, operands, choices, add_there)
        self.plan = plan
        self.memory = memory if plan.cut is None or add_there else None
        self.operands = Operands(lowering, hero, rule, plan)
        self.rows = len(plan.runs.rows)
        if self.memory is not None:
            self.c, self.pitch = self.memory.buffer, self.memory.pitch
        else:
            elements = plan.strip * self.rows * plan.block
            self.c = self.writer.add_scratch(plan.dtype, elements, plan.itemsize, "c")
            self.pitch = plan.block
        self.calls = Calls(
            self.writer,
            rule,
            plan,
            self.operands,
            self.c,
            self.pitch,
            self.memory is not None,
        )
        self.zero = Const(plan.dtype, 0.0)
        self.whole = WholeRows(lowering, hero, rule, plan, self.c) if rule.whole else None

    # ---- what is shared out

    def write(self) -> None:
        """The whole kernel."""
        rule, plan = self.rule, self.plan
        columns, batch = product(rule.n), product(rule.batch)
        tiles = self._count()
        work = product((batch, product(rule.m), columns, product(rule.k)))
        extents: dict[str, tuple[Dim, int]] = {
            "b": (batch, 1),
            "m": (tiles, self._multiple()),
            "n": (columns, plan.width),
        }
        spans = {name: (as_index(0), as_index(e)) for name, (e, _) in extents.items()}
        if self.whole is not None:
            work = work + self.whole.work(PRODUCT_GRAIN)
        share = Share(work, PRODUCT_GRAIN)
        with self.writer.parallel_range(*extents[plan.shared], share, plan.shared) as span:
            spans[plan.shared] = span
            with self.writer.loop(*spans["b"], "b") as b:
                position = [self.writer.let(i) for i in split_offset(b, rule.batch)]
                self._columns(position, spans["m"], spans["n"])

    def _count(self) -> Dim:
        """Tiles of rows; rows, where their number is known at run time only."""
        runs = self.plan.runs
        if runs.per_unit is None:
            return runs.extent
        return product((*self.rule.m[: runs.lead], runs.per_unit))

    def _multiple(self) -> int:
        if self.rule.apart:
            return self._tiles_of_image()
        if self.plan.runs.per_unit is None:
            return lcm(ROW_MULTIPLE, rows_together(self.rule))
        return self._tiles_of_line() if self.plan.layout and self.plan.runs.lead > 1 else 1

    def _tiles_of_image(self) -> int:
        runs = self.plan.runs
        assert runs.per_unit is not None
        return number(product((*self.rule.m[1 : runs.lead], runs.per_unit)))

    def _tiles_of_line(self) -> int:
        """Tiles of one line, the first dim after the image, where a run is within a line."""
        runs = self.plan.runs
        return number(product((*self.rule.m[2 : runs.lead], runs.per_unit or 1)))

    # ---- blocks

    def _columns(self, b: Sequence[Expr], rows: Span, n: Span) -> None:
        """All blocks of columns; for some rows after the other where these are swept over."""
        if not self.plan.sweep:
            self._blocks(b, rows, n)
            return
        step = self.plan.sweep * (self.rows if self.plan.runs.per_unit is None else 1)
        with self.writer.loop(*rows, "s", step) as first:
            stop = self.writer.let(least(first + step, rows[1]), "send")
            self._blocks(b, (first, stop), n)

    def _blocks(self, b: Sequence[Expr], rows: Span, n: Span) -> None:
        writer, plan = self.writer, self.plan
        with writer.loop(*n, "jc", plan.block) as first:
            stop = writer.let(least(first + plan.block, n[1]), "jend")
            columns = (first, stop)
            if plan.cut is None and plan.b is Form.PACKED:
                self.operands.pack_b(b, columns, None)
            (self._images if self.rule.apart else self._rows)(b, rows, columns)

    def _rows(self, b: Sequence[Expr], rows: Span, columns: Span) -> None:
        """All tiles of some rows."""
        if self.plan.layout is not None and self.plan.layout.images is None:
            self._bands(b, rows, columns)
        else:
            self._strips(b, rows, columns, None)

    def _images(self, b: Sequence[Expr], rows: Span, columns: Span) -> None:
        """Image by image: its tiles, and what is summed up over it."""
        tiles, total = self._tiles_of_image(), number(product(self.rule.n))
        whole = self.plan.shared != "n" and self.plan.block >= total
        # Of a known number of channels, sums stay in registers.
        channels = (as_index(0), as_index(total)) if whole else columns
        sums = ImageSums(self.lowering, self.rule)
        with self.writer.loop(rows[0] // tiles, rows[1] // tiles, "image") as image:
            begin = self.writer.let(image * tiles, "begin")
            sums.begin(channels)
            self._rows(b, (begin, begin + tiles), columns)
            sums.finish(image, channels)

    def _bands(self, b: Sequence[Expr], rows: Span, columns: Span) -> None:
        """Image by image and band by band: lays lines of the view out, then the tiles on them."""
        writer, layout, runs = self.writer, self.plan.layout, self.plan.runs
        assert layout is not None
        per_image = self._tiles_of_image()
        if runs.lead > 1:
            of_line = self._tiles_of_line()
            step = layout.group * of_line

            def line(tile: Expr, last: bool) -> Expr:
                return tile // of_line
        else:
            of_row = number(product(self.rule.m[2:]))
            step = per_image
            if layout.group < number(self.rule.m[1]):
                step = max(1, (layout.group - 2) * of_row // self.rows)
            end = number(product(self.rule.m[1:])) - 1

            def line(tile: Expr, last: bool) -> Expr:
                row = least((tile + 1) * self.rows - 1, as_index(end)) if last else tile * self.rows
                return row // of_row

        low, high = rows
        with writer.loop(low // per_image, (high + (per_image - 1)) // per_image, "image") as image:
            begin = writer.let(image * per_image, "begin")
            first = writer.let(greatest(low - begin, as_index(0)), "first")
            last = writer.let(least(high - begin, as_index(per_image)), "last")
            with writer.loop(first, last, "band", step) as band:
                stop = writer.let(least(band + step, last), "bend")
                top = writer.let(line(band, False), "top")
                bottom = line(stop - 1, True)
                self.operands.lay_out(image, None, top, bottom)
                self._strips(b, (begin + band, begin + stop), columns, top)

    def _strips(self, b: Sequence[Expr], rows: Span, columns: Span, top: Expr | None) -> None:
        """Strips of tiles: from zero to memory."""
        writer, plan = self.writer, self.plan
        unit = self.rows if plan.runs.per_unit is None else 1
        if plan.cut is None:
            for copying, index in self._tiles(b, rows, columns, top, None):
                tile = self._rows_at(index, rows[1], top)
                if plan.sweep:
                    place = (index - rows[0]) // unit * plan.asked + number(product(self.rule.k))
                    self.calls.next_panel = writer.let(place * plan.width, "ahead")
                if any(stream.operand for stream in plan.streams):
                    self.calls.number = self._number(index, rows)
                tile = self._packed(b, tile, index, rows, None)
                line = self._line(b, tile, columns, as_index(0))
                self._panels(b, tile, columns, line, None, copying)
                self._epilogue(b, tile, columns, line)
            return
        with writer.loop(*rows, "s", plan.strip * unit) as first:
            stop = writer.let(least(first + plan.strip * unit, rows[1]), "send")
            if self.memory is None:
                with writer.loop(0, (stop - first) * self._line_elements(), "z") as z:
                    writer.store(self.c, z, self.zero)
            self._chunks(b, (first, stop), columns, top)
            if self.memory is None:
                with writer.loop(first, stop, "t", unit) as index:
                    tile = self._rows_at(index, stop, top)
                    line = self._line(b, tile, columns, index - first)
                    self._epilogue(b, tile, columns, line)
        self._without_steps(b, rows, columns, top)

    def _tiles(
        self,
        b: Sequence[Expr],
        rows: Span,
        columns: Span,
        top: Expr | None,
        chunk: Chunk | None,
    ) -> Iterator[tuple[bool, Expr]]:
        """Loops over tiles of rows; whether B is copied on the way: the first one by itself.

        Where the first one is no whole tile B is packed, and it is done with the others.
        """
        writer = self.writer
        first, stop = rows
        unit = self.rows if self.plan.runs.per_unit is None else 1
        if self.plan.b is Form.COPIED:
            valid = self._rows_at(first, stop, top).valid
            whole = as_index(1) if isinstance(valid, Const) else valid // self.rows
            behind = writer.let(first + whole * unit, "behind")
            with writer.loop(first, least(first + unit, stop), "t", unit) as index:
                if isinstance(valid, Const):
                    yield True, index
                else:
                    with writer.when(valid >= as_index(self.rows)):
                        yield True, index
                    with writer.when(valid < as_index(self.rows)):
                        self.operands.pack_b(b, columns, chunk)
            first = behind
        with writer.loop(first, stop, "t", unit) as index:
            yield False, index

    def _line_elements(self) -> int:
        """Elements of the strip from one index of a tile to the next."""
        return (1 if self.plan.runs.per_unit is None else self.rows) * self.plan.block

    def _line(self, b: Sequence[Expr], tile: Rows, columns: Span, index: Expr) -> Expr:
        """Where a block of a tile's first row begins in C; in a strip the tile has an index."""
        memory = self.memory
        if memory is None:
            return index * self._line_elements()
        start = offset(b, memory.batch) + memory.start + tile.flat * memory.pitch
        return self.writer.let(start + columns[0], "line")

    def _chunks(self, b: Sequence[Expr], rows: Span, columns: Span, top: Expr | None) -> None:
        writer, cut = self.writer, self.plan.cut
        assert cut is not None
        with ExitStack() as loops:
            before = [loops.enter_context(writer.loop(0, d, "k")) for d in self.rule.k[: cut.dim]]
            extent = as_index(self.rule.k[cut.dim])
            first = loops.enter_context(writer.loop(0, extent, "kc", cut.length))
            stop = writer.let(least(first + cut.length, extent), "kend")
            chunk = Chunk(tuple(before), first, stop)
            layout = self.plan.layout
            if layout is not None and layout.images is not None:
                if layout.of_batch:
                    self.operands.lay_out(b[0], None, first, stop - 1)
                elif cut.dim == 0:
                    self.operands.lay_out(first, stop, as_index(0), None)
                else:
                    self.operands.lay_out(before[0], None, first, stop - 1)
            if self.plan.b is Form.PACKED:
                self.operands.pack_b(b, columns, chunk)
            for copying, index in self._tiles(b, rows, columns, top, chunk):
                tile = self._rows_at(index, rows[1], top)
                line = self._line(b, tile, columns, index - rows[0])
                if self.plan.clips:
                    self._clipped(b, tile, columns, line, chunk)
                    continue
                self.calls.number = self._number(index, rows)
                tile = self._packed(b, tile, index, rows, chunk)
                self._panels(b, tile, columns, line, chunk, copying)

    def _clipped(
        self, b: Sequence[Expr], tile: Rows, columns: Span, line: Expr, chunk: Chunk
    ) -> None:
        """All tiles of some rows, on the positions of a chunk that exist for their tap."""
        clips = self.plan.clips
        lines = len(chunk.before) == len(self.rule.k) - len(clips)
        chunk = chunk.clipped(clips, tile.position, lines, self.writer)
        some = conjunction([count >= 1 for count in chunk.taken])
        assert some is not None
        with self.writer.when(some):
            self._panels(b, tile, columns, line, chunk)

    def _without_steps(
        self, b: Sequence[Expr], rows: Span, columns: Span, top: Expr | None
    ) -> None:
        """Zeros, where tiles write to the result and the batch they sum over is empty."""
        writer, k = self.writer, product(self.rule.k)
        if self.memory is None or isinstance(k, int):
            return
        unit = self.rows if self.plan.runs.per_unit is None else 1
        with writer.when(as_index(k) < 1), writer.loop(*rows, "t", unit) as index:
            tile = self._rows_at(index, rows[1], top)
            line = self._line(b, tile, columns, as_index(0))
            with writer.loop(0, tile.valid, "r") as r:
                row = writer.let(line + r * self.pitch, "row")
                with writer.loop(0, columns[1] - columns[0], "j") as j:
                    writer.store(self.c, row + j, self.zero)

    # ---- rows of a tile

    def _rows_at(self, index: Expr, stop: Expr, top: Expr | None) -> Rows:
        """The rows of tile `index`, or from row `index` on."""
        writer, runs, plan = self.writer, self.plan.runs, self.plan
        steps = plan.a_strides.dims[1]
        if runs.per_unit is None:
            valid = writer.let(least(as_index(self.rows), stop - index), "valid")
            base = writer.let(index * (runs.step // self.rows), "base")
            return Rows((), index, index, base, valid)
        unit = writer.let(index // runs.per_unit, "unit")
        position = tuple(writer.let(i) for i in split_offset(unit, self.rule.m[: runs.lead]))
        within = writer.let(index % runs.per_unit, "within")
        base = offset(position, steps[: runs.lead]) + within * runs.step
        layout = plan.layout
        if top is not None and layout is not None:
            base = base - top * (layout.line_step * self.operands.line_elements)
        first = within * self.rows
        flat = unit * as_index(runs.extent) + first
        valid = as_index(self.rows)
        if number(runs.extent) % self.rows:
            valid = writer.let(least(valid, as_index(runs.extent) - first), "valid")
        return Rows(position, first, flat, writer.let(base, "base"), valid)

    def _number(self, index: Expr, rows: Span) -> Expr:
        """Which tile of some rows `index` is."""
        unit = self.rows if self.plan.runs.per_unit is None else 1
        return self.writer.let((index - rows[0]) // unit, "number")

    def _packed(
        self, b: Sequence[Expr], tile: Rows, index: Expr, rows: Span, chunk: Chunk | None
    ) -> Rows:
        """A tile whose rows of A are there, if A is packed: with those of the tiles behind it."""
        plan, writer = self.plan, self.writer
        if plan.a_tiles == 1:
            self.operands.pack_a(b, tile.flat, tile.valid, chunk)
            return tile
        left = rows[1] - index
        if plan.runs.per_unit is not None:
            left = least(left * self.rows, as_index(plan.runs.extent) - tile.first)
        slot = writer.let(self._number(index, rows) % plan.a_tiles, "slot")
        with writer.when(slot < 1):
            count = writer.let(least(as_index(plan.a_tiles * self.rows), left), "rows")
            self.operands.pack_tiles(b, tile.flat, count, chunk)
        return replace(tile, base=writer.let(slot * (self.rows * plan.k_elements), "base"))

    # ---- tiles

    def _panels(
        self,
        b: Sequence[Expr],
        tile: Rows,
        columns: Span,
        line: Expr,
        chunk: Chunk | None,
        copying: bool = False,
    ) -> None:
        """All tiles of some rows; those that copy B are whole."""
        whole = as_index(self.rows)
        extent = self.plan.runs.extent
        if copying or isinstance(tile.valid, Const):
            self.calls.panels(b, tile.base, self.rows, columns, line, chunk, copying)
            return
        with self.writer.when(tile.valid >= whole):
            self.calls.panels(b, tile.base, self.rows, columns, line, chunk)
        with self.writer.when(tile.valid < whole):
            if isinstance(extent, int):
                self.calls.panels(b, tile.base, extent % self.rows, columns, line, chunk)
            else:
                self._tails(b, tile, columns, line, chunk)

    def _tails(
        self, b: Sequence[Expr], tile: Rows, columns: Span, line: Expr, chunk: Chunk | None
    ) -> None:
        """What is left of a run: ever smaller tiles."""
        done: Expr = as_index(0)
        pitch = (*self.plan.runs.rows, 0)[1]
        for rows in [r for r in TAIL_ROWS if r < self.rows]:
            stop = self.writer.let(tile.valid // rows * rows, "tail") if rows > 1 else tile.valid
            with self.writer.loop(done, stop, "i", rows) as i:
                here = tile.base + i * pitch
                self.calls.panels(b, here, rows, columns, line + i * self.pitch, chunk)
            done = stop

    # ---- epilogue

    def _epilogue(self, b: Sequence[Expr], tile: Rows, columns: Span, line: Expr) -> None:
        """Row by row, or window by window, from C to memory, where C is a strip."""
        if self.memory is not None:
            return
        if self.whole is not None:
            self.whole.write(b, tile.flat, tile.valid, line)
            return
        writer, rule, lead = self.writer, self.rule, self.plan.runs.lead
        block, together = self.plan.block, rows_together(rule)
        outer = rule.m[lead : len(rule.m) - rule.together]
        with writer.loop(0, tile.valid // together, "r") as r:
            run = split_offset(tile.first // together + r, outer)
            m = [*tile.position, *(writer.let(i) for i in run)]
            start = writer.let(line + r * (together * block), "line")
            length = self.lowering.run_of_columns(self.hero, rule)
            with loop_over_columns(writer, *columns, length) as j:
                n = split_offset(j, rule.n)
                place = start + (j - columns[0])
                rows = [Load(self.plan.dtype, self.c, place + i * block) for i in range(together)]
                accumulators = [writer.pinned(row, "acc") for row in rows]
                self.lowering.store_rows(self.hero, rule, accumulators, b, m, n)


__all__ = ["lower_product"]
