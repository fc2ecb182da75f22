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
C is a strip of scratch memory in cache; the epilogue is whatever consumers were fused, from C to
memory. Producers of A and B are computed where they are packed or laid out. The order of
additions depends on sizes only, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import lcm

from graphkeras.codegen.cpu.contract.access import offset
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.forms import Form
from graphkeras.codegen.cpu.contract.operands import Chunk, Operands
from graphkeras.codegen.cpu.contract.plan import make_plan
from graphkeras.codegen.cpu.contract.tile import TAIL_ROWS
from graphkeras.codegen.cpu.microkernel import UNROLL
from graphkeras.codegen.kernel_ir import Reach
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import Dim, number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.regroup import rows_together
from graphkeras.ir.scalar import Const, Expr, Load, as_index, conjunction, greatest, least

PRODUCT_GRAIN = 1 << 17
"""Multiply-adds worth a thread of their own: about 2 us at half the machine's rate."""
SINGLE_ROW_VECTORS = 8
"""Vectors of a tile of one row: two multiply-adds a cycle times their latency of four."""
MOST_PHASES = 16
"""Phases of a convolution of a dilated image that get loops of their own in its kernel; with more
the zeros between pixels are multiplied. A gradient with stride 2 has four."""
AHEAD = 16
"""Steps of k that a tile asks for panels ahead. Weights of a model larger than the cache come from
memory in every call: 7-12 % faster there (7x7, 512 to 2048 channels), and no slower in cache."""
AHEAD_ROWS = 4
"""Rows from which on a tile has the time to ask: with one it reads as fast as it can."""
ROW_MULTIPLE = 4
"""Where rows are shared out, a share begins at a multiple of this."""

Span = tuple[Expr, Expr]


@dataclass(frozen=True)
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
        self.plan = make_plan(rule, hero.types[0], hero.inputs, lowering.operands, choices)
        plan = self.plan
        self.operands = Operands(lowering, hero, rule, plan)
        self.rows = len(plan.runs.rows)
        self.c = self.writer.add_scratch(
            plan.dtype, plan.strip * self.rows * plan.block, plan.itemsize, "c"
        )
        self.zero = Const(plan.dtype, 0.0)

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
        if self.plan.runs.per_unit is None:
            return lcm(ROW_MULTIPLE, rows_together(self.rule))
        return self._tiles_of_line() if self.plan.layout and self.plan.runs.lead > 1 else 1

    def _tiles_of_line(self) -> int:
        """Tiles of one line, the first dim after the image, where a run is within a line."""
        runs = self.plan.runs
        return number(product((*self.rule.m[2 : runs.lead], runs.per_unit or 1)))

    # ---- blocks

    def _columns(self, b: Sequence[Expr], rows: Span, n: Span) -> None:
        writer, plan = self.writer, self.plan
        with writer.loop(*n, "jc", plan.block) as first:
            stop = writer.let(least(first + plan.block, n[1]), "jend")
            columns = (first, stop)
            if plan.cut is None:
                self.operands.pack_b(b, columns, None)
            if plan.layout is not None and plan.layout.images is None:
                self._bands(b, rows, columns)
            else:
                self._strips(b, rows, columns, None)

    def _bands(self, b: Sequence[Expr], rows: Span, columns: Span) -> None:
        """Image by image and band by band: lays lines of the view out, then the tiles on them."""
        writer, layout, runs = self.writer, self.plan.layout, self.plan.runs
        assert layout is not None
        assert runs.per_unit is not None
        per_image = number(product((*self.rule.m[1 : runs.lead], runs.per_unit)))
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
            with writer.loop(*rows, "t", unit) as index:
                tile = self._rows_at(index, rows[1], top)
                self.operands.pack_a(b, tile.flat, tile.valid, None)
                self._panels(b, tile, columns, as_index(0), None)
                self._epilogue(b, tile, columns, as_index(0))
            return
        with writer.loop(*rows, "s", plan.strip * unit) as first:
            stop = writer.let(least(first + plan.strip * unit, rows[1]), "send")
            with writer.loop(0, self._line(stop - first), "z") as z:
                writer.store(self.c, z, self.zero)
            self._chunks(b, (first, stop), columns, top)
            with writer.loop(first, stop, "t", unit) as index:
                tile = self._rows_at(index, stop, top)
                self._epilogue(b, tile, columns, self._line(index - first))

    def _line(self, index: Expr) -> Expr:
        """Where the rows of a tile of the strip begin in C."""
        rows = 1 if self.plan.runs.per_unit is None else self.rows
        return index * (rows * self.plan.block)

    def _chunks(self, b: Sequence[Expr], rows: Span, columns: Span, top: Expr | None) -> None:
        writer, cut = self.writer, self.plan.cut
        assert cut is not None
        unit = self.rows if self.plan.runs.per_unit is None else 1
        with ExitStack() as loops:
            before = [loops.enter_context(writer.loop(0, d, "k")) for d in self.rule.k[: cut.dim]]
            extent = as_index(self.rule.k[cut.dim])
            first = loops.enter_context(writer.loop(0, extent, "kc", cut.length))
            stop = writer.let(least(first + cut.length, extent), "kend")
            chunk = Chunk(tuple(before), first, stop)
            layout = self.plan.layout
            if layout is not None and layout.images is not None:
                if cut.dim == 0:
                    self.operands.lay_out(first, stop, as_index(0), None)
                else:
                    self.operands.lay_out(before[0], None, first, stop - 1)
            self.operands.pack_b(b, columns, chunk)
            index = loops.enter_context(writer.loop(*rows, "t", unit))
            tile = self._rows_at(index, rows[1], top)
            if self.plan.clips:
                chunk = chunk.clipped(self.plan.clips, tile.position, writer)
                some = conjunction([count >= 1 for count in chunk.taken])
                assert some is not None
                loops.enter_context(writer.when(some))
            self.operands.pack_a(b, tile.flat, tile.valid, chunk)
            self._panels(b, tile, columns, self._line(index - rows[0]), chunk)

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

    # ---- tiles

    def _panels(
        self, b: Sequence[Expr], tile: Rows, columns: Span, line: Expr, chunk: Chunk | None
    ) -> None:
        """All tiles of some rows."""
        whole = as_index(self.rows)
        extent = self.plan.runs.extent
        if isinstance(tile.valid, Const):
            self._panels_of(b, tile.base, self.rows, columns, line, chunk)
            return
        with self.writer.when(tile.valid >= whole):
            self._panels_of(b, tile.base, self.rows, columns, line, chunk)
        with self.writer.when(tile.valid < whole):
            if isinstance(extent, int):
                self._panels_of(b, tile.base, extent % self.rows, columns, line, chunk)
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
                self._panels_of(b, here, rows, columns, line + i * self.plan.block, chunk)
            done = stop

    def _panels_of(
        self,
        b: Sequence[Expr],
        base: Expr,
        rows: int,
        columns: Span,
        line: Expr,
        chunk: Chunk | None,
    ) -> None:
        """All tiles of `rows` rows that begin at `base`."""
        writer, width = self.writer, self.plan.width
        total = product(self.rule.n)
        rest = total % width if isinstance(total, int) else 0
        first = columns[0]

        def call(panel: Expr, valid: int) -> None:
            counts = chunk.counts if chunk else (as_index(0),)
            given = [f"{{{i}}}" for i in range(len(counts) + 3)]
            asked = self._asked(rows)
            ahead = f", {AHEAD * self.plan.width}" if asked else ""
            a = self.operands.a_offset(b, base, chunk)
            at_b = self.operands.b_offset(b, panel, columns[0], chunk)
            writer.call(
                f"{self._tile(rows, valid)}({', '.join(given[:-3])}, {self.operands.a}, "
                f"{given[-3]}, {self.operands.b}, {given[-2]}, {self.c}, {given[-1]}{ahead})",
                *counts,
                a,
                at_b,
                line + (panel - columns[0]),
                reads=(
                    self._reach(self.operands.a, a, max(self.plan.runs.rows[:rows]), 0, counts),
                    self._reach(self.operands.b, at_b, self._last_column(valid), 1, counts),
                ),
            )

        wide = self._wide() if rows == 1 else width
        if wide > width:
            stop = writer.let(first + (columns[1] - first) // wide * wide, "wide")
            with writer.loop(first, stop, "p", wide) as panel:
                call(panel, wide)
            first = stop
        with writer.loop(first, columns[1], "p", width) as panel:
            if not rest or total == rest:
                call(panel, rest or width)
                return
            with writer.when(panel + width < as_index(total) + 1):
                call(panel, width)
            with writer.when(panel + width >= as_index(total) + 1):
                call(panel, rest)

    def _last_column(self, valid: int) -> int:
        """Elements from the first column of a tile to its last one, in B."""
        if self.plan.b is not Form.PANELS:
            return valid - 1
        far = number(product(self.rule.k)) * self.plan.width
        return (valid - 1) // self.plan.width * far + (valid - 1) % self.plan.width

    def _wide(self) -> int:
        """Columns of the tile of a single row: enough chains to hide a multiply-add's latency."""
        width, total = self.plan.width, product(self.rule.n)
        if self.plan.b is Form.PACKED or not isinstance(total, int):
            return width
        return max(width, min(total, SINGLE_ROW_VECTORS * self.plan.lanes) // width * width)

    def _tile(self, rows: int, valid: int) -> str:
        """Name of the tile with `rows` rows and `valid` columns, defined in the helpers."""
        plan = self.plan
        panels = ""
        if plan.b is Form.PANELS:
            far = number(product(self.rule.k)) * plan.width
            panel = (plan.width, far) if valid > plan.width else (0, 0)
            panels = f", {panel}, {self._asked(rows)}"
        return self.writer.define(
            f"tile_{rows}x{valid}",
            f"product_tile({plan.dtype!r}, {plan.lanes}, {valid}, "
            f"{plan.runs.rows[:rows]}, {plan.loops}, {plan.block}, {plan.cut is not None}{panels})",
        )

    def _asked(self, rows: int) -> int:
        """Rows of B in a group of steps that a tile asks for ahead."""
        return UNROLL if self.plan.b is Form.PANELS and rows >= AHEAD_ROWS else 0

    def _reach(
        self, buffer: str, start: Expr, width: int, operand: int, counts: Sequence[Expr]
    ) -> Reach:
        """What a tile reads of an operand: `width` more than the start, along all its loops."""
        first, last = start, start + width
        unknown = iter(counts)
        for extent, *strides in self.plan.loops:
            steps = (next(unknown) if extent is None else as_index(extent)) - 1
            if strides[operand] < 0:
                first = first + steps * strides[operand]
            else:
                last = last + steps * strides[operand]
        return Reach(buffer, first, last)

    # ---- epilogue

    def _epilogue(self, b: Sequence[Expr], tile: Rows, columns: Span, line: Expr) -> None:
        """Row by row, or window by window, from C to memory."""
        writer, rule, lead = self.writer, self.rule, self.plan.runs.lead
        block, together = self.plan.block, rows_together(rule)
        outer = rule.m[lead : len(rule.m) - rule.together]
        with writer.loop(0, tile.valid // together, "r") as r:
            run = split_offset(tile.first // together + r, outer)
            m = [*tile.position, *(writer.let(i) for i in run)]
            start = writer.let(line + r * (together * block), "line")
            with writer.loop(*columns, "j") as j:
                n = split_offset(j, rule.n)
                place = start + (j - columns[0])
                rows = [Load(self.plan.dtype, self.c, place + i * block) for i in range(together)]
                accumulators = [writer.pinned(row, "acc") for row in rows]
                self.lowering.store_rows(self.hero, rule, accumulators, b, m, n)


__all__ = ["lower_product"]
