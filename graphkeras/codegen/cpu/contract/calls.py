"""The calls of register tiles: which tile, where it begins in each operand, and what it touches.

    panels(rows)   for panel of columns:   tile_8x48(steps, A, at, B, at, C, at)
                   what is left of them:   tile_8x16(...)

A tile that copies B reads B's source, and writes the panel that the tiles of the other rows read.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.contract.forms import Form, Loop, Plan, Stream
from graphkeras.codegen.cpu.contract.operands import Chunk, Operands
from graphkeras.codegen.cpu.contract.streams import line_of_image
from graphkeras.codegen.cpu.microkernel import UNROLL
from graphkeras.codegen.emit import KernelWriter
from graphkeras.codegen.kernel_ir import Reach
from graphkeras.ir.dims import number, product
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import Expr, as_index, least

SINGLE_ROW_VECTORS = 8
"""Vectors of a tile of one row: two multiply-adds a cycle times their latency of four."""
AHEAD = 16
"""Steps of k that a tile asks for panels ahead. Weights of a model larger than the cache come from
memory in every call: 7-12 % faster there (7x7, 512 to 2048 channels), and no slower in cache."""
AHEAD_ROWS = 4
"""Rows from which on a tile has the time to ask: with one it reads as fast as it can."""
STREAM_AHEAD = 32
"""Steps of k that a tile asks for a B ahead that is streamed. In one run the gradients of first
kernels (3x3, 1 and 3 channels, 32 filters) took 1.48 and 1.91 ms without, 0.72 and 1.35 with 16
steps, 0.59 and 1.15 with 32, no less with 48."""

Span = tuple[Expr, Expr]


class Calls:
    """Writes the calls of a contraction's tiles."""

    def __init__(
        self,
        writer: KernelWriter,
        rule: Contraction,
        plan: Plan,
        operands: Operands,
        c: str,
        pitch: int,
        in_memory: bool,
    ) -> None:
        """`c`: where sums go, in rows `pitch` elements apart; `in_memory`: it is the result."""
        self.writer = writer
        self.rule = rule
        self.plan = plan
        self.operands = operands
        self.c = c
        self.pitch = pitch
        self.in_memory = in_memory
        self.number: Expr = as_index(0)
        """Of the tile of rows in its strip."""
        self.next_panel: Expr | None = None
        """Elements from a row of B to the one of the next panel that a tile of a sweep asks for."""

    def panels(
        self,
        b: Sequence[Expr],
        base: Expr,
        rows: int,
        columns: Span,
        line: Expr,
        chunk: Chunk | None,
        copying: bool = False,
    ) -> None:
        """All tiles of `rows` rows that begin at `base`."""
        writer, width = self.writer, self.plan.width
        total = product(self.rule.n)
        rest = total % width if isinstance(total, int) else 0
        first = columns[0]

        def call(panel: Expr, valid: int) -> None:
            self._call(b, base, panel, columns, line, (rows, valid), chunk, copying)

        wide = self._wide() if rows == 1 else self.plan.wide
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

    def _call(
        self,
        b: Sequence[Expr],
        base: Expr,
        panel: Expr,
        columns: Span,
        line: Expr,
        size: tuple[int, int],
        chunk: Chunk | None,
        copying: bool,
    ) -> None:
        """One tile of `size` rows and columns; `panel`: its column within the block of columns."""
        plan, operands = self.plan, self.operands
        rows, valid = size
        numbers = list(chunk.counts if chunk else (as_index(0),))
        counts = tuple(numbers)
        if chunk is not None and self.in_memory:
            # 0 in the first chunk: the result does not hold sums yet.
            numbers.append(sum(chunk.before, chunk.first))
        a, at_a = operands.a, operands.a_offset(b, base, chunk)
        in_b, at_b = operands.b, operands.b_offset(b, panel, columns[0], chunk)
        at_c = line + (panel - columns[0])
        pairs = [(a, at_a), (in_b, at_b), (self.c, at_c)]
        if copying:
            assert plan.b_source is not None
            in_b, at_b = plan.b_source.buffer, operands.b_source_offset(b, panel, chunk)
            pairs = [pairs[0], (in_b, at_b), pairs[2], pairs[1]]
        for stream in self._streams(rows, copying):
            pairs.append(self._next(stream, b, base, panel, columns, chunk))
        given = [f"{{{i}}}" for i in range(len(numbers))]
        given += [f"{name}, {{{i}}}" for i, (name, _) in enumerate(pairs, len(numbers))]
        places = [place for _, place in pairs]
        if ahead := self._ahead(rows, copying):
            given.append(f"{{{len(given)}}}")
            places.append(as_index(ahead) if self.next_panel is None else self.next_panel)
        loops = plan.copy_loops if copying else plan.loops
        last_b = at_b + self._last_column(valid)
        if plan.b is Form.IN_PLACE:
            # Of the block: of a loop in steps the last panel's begin is not known.
            last_b = operands.b_offset(b, columns[1], columns[0], chunk) - 1
        reads = [
            self._reach(a, at_a, at_a + max(plan.runs.rows[:rows]), 0, loops, counts),
            self._reach(in_b, at_b, last_b, 1, loops, counts),
        ]
        if self.in_memory:
            # Of the block, too.
            last = line + (columns[1] - columns[0]) + ((rows - 1) * self.pitch - 1)
            reads.append(Reach(self.c, line, last, writes=True))
        self.writer.call(
            f"{self._tile(rows, valid, copying)}({', '.join(given)})",
            *numbers,
            *places,
            reads=tuple(reads),
        )

    def _streams(self, rows: int, copying: bool) -> tuple[Stream, ...]:
        return self.plan.streams if rows == len(self.plan.runs.rows) and not copying else ()

    def _next(
        self,
        stream: Stream,
        b: Sequence[Expr],
        base: Expr,
        panel: Expr,
        columns: Span,
        chunk: Chunk | None,
    ) -> tuple[str, Expr]:
        """What a tile asks for of a stream: memory, and where its part begins."""
        plan, operands, width = self.plan, self.operands, self.plan.width
        nth = (panel - columns[0]) // width
        if chunk is not None or stream.operand:
            panels = (columns[1] - columns[0] + (width - 1)) // width
            nth = self.writer.let(self.number * panels, "number") + nth
        first = columns[0] if stream.pitch or chunk is None else as_index(0)
        if stream.operand:
            assert plan.b_source is not None
            buffer, start = plan.b_source.buffer, operands.b_source_offset(b, first, chunk)
        elif plan.layout is not None and chunk is not None:
            height = number(operands.hero.inputs[0].type.shape[1])
            lines = b[0] * height + chunk.first * plan.layout.line_step
            buffer, start = plan.a_buffer, lines * line_of_image(self.rule)
        else:
            start = operands.a_offset(b, base if chunk is None else as_index(0), chunk)
            buffer = operands.a
        start = self.writer.let(start + stream.ahead, "next")
        if stream.pitch:
            return buffer, start + nth * plan.k_elements // stream.calls * stream.pitch
        if stream.calls:
            nth = self.writer.let(least(nth, as_index(stream.calls)), "number")
        return buffer, start + nth * (stream.pace * plan.k_elements)

    def _last_column(self, valid: int) -> int:
        """Elements from the first column of a tile to its last one, in B."""
        if self.plan.b is not Form.PANELS:
            return valid - 1
        far = number(product(self.rule.k)) * self.plan.width
        return (valid - 1) // self.plan.width * far + (valid - 1) % self.plan.width

    def _wide(self) -> int:
        """Columns of the tile of a single row: enough chains to hide a multiply-add's latency."""
        width, total = self.plan.width, product(self.rule.n)
        copied = self.plan.b in (Form.PACKED, Form.COPIED)
        if copied or self.plan.sweep or not isinstance(total, int):
            return width
        return max(width, min(total, SINGLE_ROW_VECTORS * self.plan.lanes) // width * width)

    def _tile(self, rows: int, valid: int, copying: bool) -> str:
        """Name of the tile with `rows` rows and `valid` columns, defined in the helpers."""
        plan = self.plan
        panel = (0, 0)
        if plan.b is Form.PANELS and valid > plan.width:
            panel = (plan.width, number(product(self.rule.k)) * plan.width)
        loops = plan.copy_loops if copying else plan.loops
        asked = (plan.asked or UNROLL) if self._ahead(rows, copying) else 0
        paces = tuple(stream.pace for stream in self._streams(rows, copying))
        more = f", {panel}, {asked}, {self.in_memory}" + (f", {paces}" if paces else "")
        return self.writer.define(
            f"{'copying' if copying else 'tile'}_{rows}x{valid}",
            f"product_tile({plan.dtype!r}, {plan.lanes}, {valid}, {plan.runs.rows[:rows]}, "
            f"{loops}, {self.pitch}, {plan.cut is not None}{more})",
        )

    def _ahead(self, rows: int, copying: bool) -> int:
        """Elements of B that a tile asks for before it reads them; 0: it does not ask."""
        if copying:
            strides = self.plan.copy_loops[-1][1:]
            return AHEAD * strides[1]
        if self.plan.streamed:
            strides = self.plan.loops[-1][1:]
            return STREAM_AHEAD * strides[1]
        asks = self.plan.b is Form.PANELS and rows >= AHEAD_ROWS
        return AHEAD * self.plan.width if asks else 0

    def _reach(
        self,
        buffer: str,
        first: Expr,
        last: Expr,
        operand: int,
        loops: Sequence[Loop],
        counts: Sequence[Expr],
    ) -> Reach:
        """What a tile reads of an operand: from first to last in the first step, and so on."""
        unknown = iter(counts)
        for extent, *strides in loops:
            steps = (next(unknown) if extent is None else as_index(extent)) - 1
            if strides[operand] < 0:
                first = first + steps * strides[operand]
            else:
                last = last + steps * strides[operand]
        return Reach(buffer, first, last)
