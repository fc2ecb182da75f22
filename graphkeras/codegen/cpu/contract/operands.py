"""How a contraction's operands come before a tile: in place, as a laid-out view, or packed.

    IN_PLACE   nothing to do; offsets are sums of positions times strides
    PADDED     lines of the view of A are written out, zeros included     [image][line][...]
    PACKED     A   [row][k], or [k][row] where rows are neighbours in memory
               B   panels of a tile's width: [panel][k][column], zeros past the last column
    COPIED     B as packed, by the first tile that reads it
    PANELS     as packed, all columns and all of k, before the kernel is called

Packing and laying out read *through* the graph: what was fused in front of the operand is
computed here, once for an element of a view or a packed block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from graphkeras.codegen.cpu.contract.access import merged, offset, varies
from graphkeras.codegen.cpu.contract.clip import Clip
from graphkeras.codegen.cpu.contract.forms import Form, Plan
from graphkeras.codegen.cpu.contract.source import find_source
from graphkeras.codegen.emit import KernelWriter
from graphkeras.codegen.lower import Lowering
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import join_offset, split_offset
from graphkeras.ir.scalar import Apply, Const, Expr, Load, as_index, conjunction, greatest, least


@frozen
class Chunk:
    """A chunk of k."""

    before: tuple[Expr, ...]
    """Position in the dims before the one that is cut."""
    first: Expr
    stop: Expr
    skipped: tuple[Expr, ...] = ()
    """Where a tile takes only some positions of the cut dim and of those behind it: how many
    it leaves out in front."""
    taken: tuple[Expr, ...] = ()
    """And how many it takes."""

    @property
    def counts(self) -> tuple[Expr, ...]:
        """Positions of the dims that a tile does not know: the cut one, or all behind it too."""
        return self.taken or (self.stop - self.first,)

    def clipped(
        self, clips: Sequence[Clip], taps: Sequence[Expr], cut_lines: bool, writer: KernelWriter
    ) -> Chunk:
        """The part that exists for some taps; `cut_lines`: lines are cut and not images."""
        spans = [(clip.first(tap), clip.stop(tap)) for clip, tap in zip(clips, taps, strict=True)]
        if cut_lines:
            ((first, stop), *spans) = spans
            span = greatest(first, self.first), least(stop, self.stop)
            spans.insert(0, (span[0] - self.first, span[1] - self.first))
        else:
            spans.insert(0, (as_index(0), self.stop - self.first))
        skipped = tuple(writer.let(first, "skip") for first, _ in spans)
        taken = (writer.let(stop - skip) for skip, (_, stop) in zip(skipped, spans, strict=True))
        return replace(self, skipped=skipped, taken=tuple(taken))


class Operands:
    """Both operands of a contraction, and their copies in scratch memory."""

    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction, plan: Plan) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.plan = plan
        self.zero = Const(plan.dtype, 0.0)
        add = self.writer.add_scratch
        rows = len(plan.runs.rows)
        self.a = self.b = ""
        if plan.a is Form.IN_PLACE:
            self.a = plan.a_buffer
        elif plan.a is Form.PADDED:
            assert plan.layout is not None
            elements = (plan.layout.images or 1) * plan.layout.lines * self.line_elements
            self.a = add(plan.dtype, elements, plan.itemsize, "view")
            x = hero.inputs[0]
            rank = len(x.type.shape)
            self.view_source = find_source(x, lambda at: at, [rank], lowering.operands)
            """Where the operand of a view lies, if it lies somewhere at strides."""
        else:
            elements = rows * (plan.k_elements * plan.a_tiles if plan.a_by_k else plan.a_pitch)
            self.a = add(plan.dtype, elements, plan.itemsize, "a")
        if plan.b is Form.IN_PLACE:
            assert plan.b_source is not None
            self.b = plan.b_source.buffer
        elif plan.b is Form.PANELS:
            self.b = plan.b_panels
        else:
            self.b = add(plan.dtype, plan.block * plan.k_elements, plan.itemsize, "b")

    @property
    def line_elements(self) -> int:
        """Elements of a line of the view."""
        assert self.rule.view is not None
        elements = product(self.rule.view.shape[2:])
        assert isinstance(elements, int)
        return elements

    # ---- where a tile begins

    def a_offset(self, b: Sequence[Expr], base: Expr, chunk: Chunk | None) -> Expr:
        """Where A begins for the rows at `base` and a chunk of k."""
        steps = self.plan.a_strides
        start = base + offset(b, steps.dims[0]) + steps.start
        return start + self._chunk_offset(steps.dims[2], chunk, self.plan.a)

    def b_offset(self, b: Sequence[Expr], column: Expr, first: Expr, chunk: Chunk | None) -> Expr:
        """Where B begins for the panel at `column` of a block that begins at `first`."""
        steps = self.plan.b_strides
        if self.plan.b in (Form.PACKED, Form.COPIED):
            start = (column - first) * self.plan.k_elements
            return start + self._chunk_offset(steps.dims[1], chunk, self.plan.b)
        if self.plan.b is Form.PANELS:
            # Panels begin at multiples of their width.
            column = column * as_index(number(product(self.rule.k)))
        start = column + offset(b, steps.dims[0]) + steps.start
        return start + self._chunk_offset(steps.dims[1], chunk, self.plan.b)

    def b_source_offset(self, b: Sequence[Expr], column: Expr, chunk: Chunk | None) -> Expr:
        """Where the part of B's source begins that a tile is to copy, or asks for."""
        assert self.plan.b_source is not None
        steps = self.plan.b_source.strides
        columns = merged(self.rule.n, steps.dims[2])
        far = columns[0].strides[0] if len(columns) == 1 else 1
        start = column * far + offset(b, steps.dims[0]) + steps.start
        return start + self._chunk_offset(steps.dims[1], chunk, Form.IN_PLACE)

    def _chunk_offset(self, steps: Sequence[int], chunk: Chunk | None, form: Form) -> Expr:
        if chunk is None:
            return as_index(0)
        cut = len(chunk.before)
        skipped = offset(chunk.skipped, steps[cut : cut + len(chunk.skipped)])
        layout = self.plan.layout
        images = form is Form.PADDED and layout is not None and layout.images is not None
        if form in (Form.PACKED, Form.COPIED) or images:
            # What is packed or laid out begins with the chunk.
            return skipped
        return offset([*chunk.before, chunk.first], steps[: cut + 1]) + skipped

    # ---- views

    def lay_out(self, image: Expr, stop: Expr | None, top: Expr, bottom: Expr | None) -> None:
        """Writes lines of the view of A.

        Args:
            image: First image.
            stop: Behind the last one; None for one image.
            top: First line of the result or of k that is to be computed from them.
            bottom: Last such line; None for all lines of the view.
        """
        layout, view = self.plan.layout, self.rule.view
        assert layout is not None
        assert view is not None
        writer = self.writer
        lines: Expr = as_index(view.shape[1])
        if bottom is not None:
            more = layout.lines - (layout.group - 1) * layout.line_step
            lines = writer.let((bottom - top) * layout.line_step + more, "lines")
        begin = writer.let(top * layout.line_step, "begin")
        with ExitStack() as loops:
            place: Expr = as_index(0)
            if stop is not None:
                each = loops.enter_context(writer.loop(image, stop, "image"))
                place = (each - image) * (layout.lines * self.line_elements)
                image = each
            line = loops.enter_context(writer.loop(0, lines, "line"))
            whole = len(view.shape) > 3 and view.inside[-2] is not None
            middle = view.shape[2 : -2 if whole else -1]
            inner = [loops.enter_context(writer.loop(0, d, "v")) for d in middle]
            zeros = [as_index(0)] * (len(view.shape) - 2 - len(inner))
            place = (
                place + line * self.line_elements + join_offset([*inner, *zeros], view.shape[2:])
            )
            at = [image, begin + line, *inner]
            (self._line if whole else self._cell)(at, writer.let(place, "place"))

    def _line(self, at: Sequence[Expr], place: Expr) -> None:
        """The cells of one line of the view: zeros, elements, zeros."""
        view = self.rule.view
        assert view is not None
        span = view.inside[-2]
        assert span is not None
        cells, channels = number(view.shape[-2]), number(view.shape[-1])
        first, last = span

        def copy() -> None:
            self._zeros(place, 0, first * channels)
            self._copy_cells(at, (first, last), place)
            self._zeros(place, last * channels, cells * channels)

        self._where_inside([*at, as_index(first)], copy, place, cells * channels)

    def _copy_cells(self, at: Sequence[Expr], span: tuple[int, int], place: Expr) -> None:
        """The cells of a line that lie inside; as one run where they do so in memory."""
        view, source = self.rule.view, self.view_source
        assert view is not None
        (first, last), channels = span, number(view.shape[-1])
        if source is None or source.strides.dims[0][-2:] != (channels, 1):
            with self.writer.loop(first, as_index(last), "v") as v:
                self._copy([*at, v], place + v * channels)
            return
        index, _ = view.source([*at, as_index(first), as_index(0)])
        begin = offset(index, source.strides.dims[0]) + source.strides.start
        begin = self.writer.let(begin - first * channels, "from")
        with self.writer.loop(first * channels, as_index(last * channels), "e") as e:
            element = Load(self.plan.dtype, source.buffer, begin + e)
            self.writer.store(self.a, place + e, element)

    def _cell(self, at: Sequence[Expr], place: Expr) -> None:
        """The channels of one position of the view."""
        view = self.rule.view
        assert view is not None
        self._where_inside(at, lambda: self._copy(at, place), place, number(view.shape[-1]))

    def _where_inside(
        self, at: Sequence[Expr], copy: Callable[[], None], place: Expr, elements: int
    ) -> None:
        """`copy()` where position `at` lies inside the operand, else zeros; tested once."""
        writer, view = self.writer, self.rule.view
        assert view is not None
        _, conditions = view.source([*at, as_index(0)])
        inside = conjunction([c for c in conditions if varies(c)])
        if inside is None:
            copy()
            return
        inside = writer.let(inside, "inside")
        with writer.when(inside):
            copy()
        with writer.when(Apply("bool", "(not {0})", (inside,))):
            self._zeros(place, 0, elements)

    def _copy(self, at: Sequence[Expr], place: Expr) -> None:
        view = self.rule.view
        assert view is not None
        with self.writer.loop(0, view.shape[-1], "c") as c:
            index, _ = view.source([*at, c])
            element = self.lowering.factor(self.hero.inputs[0], index, [])
            self.writer.store(self.a, place + c, element)

    def _zeros(self, place: Expr, first: int, stop: int) -> None:
        if stop > first:
            with self.writer.loop(first, as_index(stop), "c") as c:
                self.writer.store(self.a, place + c, self.zero)

    # ---- packing

    def pack_a(self, b: Sequence[Expr], row: Expr, valid: Expr, chunk: Chunk | None) -> None:
        """Packs the rows of a tile, if A is packed."""
        if self.plan.a is not Form.PACKED:
            return
        writer, plan = self.writer, self.plan
        rows = len(plan.runs.rows)
        with ExitStack() as loops:
            if plan.a_by_k:
                k, place = self._block_of_k(loops, chunk)
                place = place * rows
                r = loops.enter_context(writer.loop(0, valid, "r"))
                m = [*split_offset(row + r, self.rule.m)]
                place = place + r
            else:
                r = loops.enter_context(writer.loop(0, valid, "r"))
                m = [writer.let(i) for i in split_offset(row + r, self.rule.m)]
                k, place = self._block_of_k(loops, chunk)
                place = r * plan.a_pitch + place
            index, conditions = self.rule.lhs(b, m, k)
            element = self.lowering.factor(self.hero.inputs[0], index, conditions)
            writer.store(self.a, place, element)

    def pack_tiles(self, b: Sequence[Expr], row: Expr, rows: Expr, chunk: Chunk | None) -> None:
        """Packs the rows of several tiles, which are neighbours in memory: line by line of k."""
        writer, plan, height = self.writer, self.plan, len(self.plan.runs.rows)

        def copy(first: Expr, count: Expr, k: Sequence[Expr], place: Expr) -> None:
            with writer.loop(0, count, "r") as r:
                m = split_offset(row + first + r, self.rule.m)
                index, conditions = self.rule.lhs(b, m, k)
                element = self.lowering.factor(self.hero.inputs[0], index, conditions)
                writer.store(self.a, place + r, element)

        with ExitStack() as loops:
            whole = writer.let(rows // height, "tiles")
            k, step = self._block_of_k(loops, chunk)
            with writer.loop(0, whole, "t") as t:
                place = writer.let(t * (height * plan.k_elements) + step * height, "to")
                copy(t * height, as_index(height), k, place)
            place = writer.let(whole * (height * plan.k_elements) + step * height, "to")
            copy(whole * height, rows - whole * height, k, place)

    def pack_b(self, b: Sequence[Expr], columns: tuple[Expr, Expr], chunk: Chunk | None) -> None:
        """Packs a block of columns, where B is packed or copied."""
        writer, width = self.writer, as_index(self.plan.width)
        if self._transposed_source() is None:
            self._pack_lines(b, columns, chunk)
            return
        with writer.loop(*columns, "p", self.plan.width) as panel:
            left = columns[1] - panel
            base = writer.let((panel - columns[0]) * self.plan.k_elements, "base")
            with writer.when(left >= width):
                self._transpose_panel(b, panel, base, chunk)
            with writer.when(left < width), ExitStack() as loops:
                k, place = self._block_of_k(loops, chunk)
                self._pack_line(b, k, panel, base + place * width, left)

    def _pack_lines(
        self, b: Sequence[Expr], columns: tuple[Expr, Expr], chunk: Chunk | None
    ) -> None:
        """Step by step of k, all panels: a line of B is read from its begin to its end.

        Panel by panel each line would be on another page, 32 columns of it: 18 cycles an element
        of a 1024 x 1024 matrix.
        """
        writer, width = self.writer, as_index(self.plan.width)
        with ExitStack() as loops:
            k, place = self._block_of_k(loops, chunk)
            place = writer.let(place * width, "place")
            panel = loops.enter_context(writer.loop(*columns, "p", self.plan.width))
            left = columns[1] - panel
            line = writer.let((panel - columns[0]) * self.plan.k_elements + place, "to")
            with writer.when(left >= width):
                self._pack_line(b, k, panel, line, width)
            with writer.when(left < width):
                self._pack_line(b, k, panel, line, left)

    def _pack_line(
        self, b: Sequence[Expr], k: Sequence[Expr], panel: Expr, line: Expr, valid: Expr
    ) -> None:
        """One line of a panel, element by element; the first `valid` columns exist."""
        writer, width = self.writer, as_index(self.plan.width)
        line = writer.let(line, "line")
        with writer.loop(0, valid, "j") as j:
            n = split_offset(panel + j, self.rule.n)
            index, conditions = self.rule.rhs(b, k, n)
            element = self.lowering.factor(self.hero.inputs[1], index, conditions)
            writer.store(self.b, line + j, element)
        if valid != width:
            with writer.loop(valid, width, "j") as j:
                writer.store(self.b, line + j, self.zero)

    def _transposed_source(self) -> tuple[int, int] | None:
        """Where k and not the columns of B are contiguous: its contiguous steps, column stride."""
        source, cut = self.plan.b_source, self.plan.cut
        if source is None or not self.rule.k:
            return None
        columns = merged(self.rule.n, source.strides.dims[2])
        along = source.strides.dims[1]
        first = 0 if cut is None else cut.dim + 1
        steps = merged(self.rule.k[first:], along[first:])
        if len(columns) != 1 or not steps or steps[-1].strides != (1,):
            return None
        run = steps[-1].extent
        assert isinstance(run, int)
        return (run, columns[0].strides[0]) if run >= self.plan.lanes else None

    def _transpose_panel(
        self, b: Sequence[Expr], panel: Expr, base: Expr, chunk: Chunk | None
    ) -> None:
        """A panel whose source is contiguous along k: squares are turned in registers."""
        writer, plan, lanes = self.writer, self.plan, self.plan.lanes
        found, source = self._transposed_source(), plan.b_source
        assert found is not None
        assert source is not None
        run, far = found
        steps, width = source.strides, plan.width
        tile = f"transpose_tile({plan.dtype!r}, {lanes}, {far}, {width})"
        turn = writer.define(f"turn_{lanes}", tile)
        start = offset(b, steps.dims[0]) + steps.start + panel * far
        with ExitStack() as loops:
            k, place = self._block_of_k(loops, chunk, without=run)
            at = writer.let(start + offset(k, steps.dims[1][: len(k)]), "from")
            to = writer.let(base + place * width, "to")
            whole = run // lanes * lanes
            with (
                writer.loop(0, as_index(whole), "k", lanes) as i,
                writer.loop(0, as_index(width), "j", lanes) as j,
            ):
                writer.call(
                    f"{turn}({source.buffer}, {{0}}, {self.b}, {{1}})",
                    at + i + j * far,
                    to + i * width + j,
                )
            with (
                writer.loop(as_index(whole), as_index(run), "k") as i,
                writer.loop(0, as_index(width), "j") as j,
            ):
                element = Load(plan.dtype, source.buffer, at + i + j * far)
                writer.store(self.b, to + i * width + j, element)

    def _block_of_k(
        self, loops: ExitStack, chunk: Chunk | None, without: int = 1
    ) -> tuple[list[Expr], Expr]:
        """Opens the loops over a block of k; returns the position in k and within the block.

        The last dims, which hold `without` steps together, get no loop and no position.
        """
        writer, k = self.writer, self.rule.k
        opened = len(k)
        while product(k[opened:]) != without:
            opened -= 1
        zeros = [as_index(0)] * (len(k) - opened)
        if chunk is None:
            inner: list[Expr] = [loops.enter_context(writer.loop(0, d, "k")) for d in k[:opened]]
            return inner, join_offset([*inner, *zeros], k)
        cut = len(chunk.before)
        at = loops.enter_context(writer.loop(chunk.first, chunk.stop, "k"))
        dims = k[cut + 1 :]
        inner = [loops.enter_context(writer.loop(0, d, "k")) for d in k[cut + 1 : opened]]
        whole = (at - chunk.first) * as_index(product(dims)) + join_offset([*inner, *zeros], dims)
        return [*chunk.before, at, *inner], whole
