"""How a contraction's operands come before a tile: in place, as a laid-out view, or packed.

    IN_PLACE   nothing to do; offsets are sums of positions times strides
    PADDED     lines of the view of A are written out, zeros included     [image][line][...]
    PACKED     A   [row][k], or [k][row] where rows are neighbours in memory
               B   panels of a tile's width: [panel][k][column], zeros past the last column

Packing and laying out read *through* the graph: what was fused in front of the operand is
computed here, once for an element of a view or a packed block.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from graphkeras.codegen.cpu.contract.access import offset
from graphkeras.codegen.cpu.contract.plan import Form, Plan
from graphkeras.codegen.lower import Lowering
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import join_offset, split_offset
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, as_index, conjunction


@dataclass(frozen=True)
class Chunk:
    """A chunk of k."""

    before: tuple[Expr, ...]
    """Position in the dims before the one that is cut."""
    first: Expr
    stop: Expr

    @property
    def count(self) -> Expr:
        """Positions of the cut dim."""
        return self.stop - self.first


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
            self.a = lowering.operands[hero.inputs[0]]
        elif plan.a is Form.PADDED:
            assert plan.layout is not None
            elements = (plan.layout.images or 1) * plan.layout.lines * self.line_elements
            self.a = add(plan.dtype, elements, plan.itemsize, "view")
        else:
            elements = rows * (plan.k_elements if plan.a_by_k else plan.a_pitch)
            self.a = add(plan.dtype, elements, plan.itemsize, "a")
        if plan.b is Form.IN_PLACE:
            self.b = lowering.operands[hero.inputs[1]]
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
        if self.plan.b is Form.PACKED:
            return (column - first) * self.plan.k_elements
        start = column + offset(b, steps.dims[0]) + steps.start
        return start + self._chunk_offset(steps.dims[1], chunk, self.plan.b)

    def _chunk_offset(self, steps: Sequence[int], chunk: Chunk | None, form: Form) -> Expr:
        if chunk is None or form is Form.PACKED:
            return as_index(0)
        layout = self.plan.layout
        if form is Form.PADDED and layout is not None and layout.images is not None:
            # What is laid out begins with the chunk.
            return as_index(0)
        cut = len(chunk.before)
        return offset([*chunk.before, chunk.first], steps[: cut + 1])

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
            middle = view.shape[2:-1]
            inner = [loops.enter_context(writer.loop(0, d, "v")) for d in middle]
            place = (
                place
                + line * self.line_elements
                + join_offset([*inner, as_index(0)], view.shape[2:])
            )
            self._cell([image, begin + line, *inner], writer.let(place, "place"))

    def _cell(self, at: Sequence[Expr], place: Expr) -> None:
        """The channels of one position of the view, tested once."""
        writer, view = self.writer, self.rule.view
        assert view is not None
        channels = view.shape[-1]
        _, conditions = view.source([*at, as_index(0)])
        inside = conjunction(conditions)

        def copy() -> None:
            with writer.loop(0, channels, "c") as c:
                index, _ = view.source([*at, c])
                element = self.lowering.factor(self.hero.inputs[0], index, [])
                writer.store(self.a, place + c, element)

        if inside is None:
            copy()
            return
        inside = writer.let(inside, "inside")
        with writer.when(inside):
            copy()
        outside = Apply("bool", "(not {0})", (inside,))
        with writer.when(outside), writer.loop(0, channels, "c") as c:
            writer.store(self.a, place + c, self.zero)

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

    def pack_b(self, b: Sequence[Expr], columns: tuple[Expr, Expr], chunk: Chunk | None) -> None:
        """Packs a block of columns, if B is packed."""
        if self.plan.b is not Form.PACKED:
            return
        writer, width = self.writer, self.plan.width
        with writer.loop(*columns, "p", width) as panel:
            left = columns[1] - panel
            valid = writer.let(Apply(INDEX, "min({0}, {1})", (as_index(width), left)), "valid")
            base = writer.let((panel - columns[0]) * self.plan.k_elements, "base")
            with ExitStack() as loops:
                k, place = self._block_of_k(loops, chunk)
                line = writer.let(base + place * width, "place")
                with writer.loop(0, valid, "j") as j:
                    n = split_offset(panel + j, self.rule.n)
                    index, conditions = self.rule.rhs(b, k, n)
                    element = self.lowering.factor(self.hero.inputs[1], index, conditions)
                    writer.store(self.b, line + j, element)
                with writer.loop(valid, Const(INDEX, width), "j") as j:
                    writer.store(self.b, line + j, self.zero)

    def _block_of_k(self, loops: ExitStack, chunk: Chunk | None) -> tuple[list[Expr], Expr]:
        """Opens the loops over a block of k; returns the position in k and within the block."""
        writer, k = self.writer, self.rule.k
        if chunk is None:
            inner: list[Expr] = [loops.enter_context(writer.loop(0, d, "k")) for d in k]
            return inner, join_offset(inner, k)
        cut = len(chunk.before)
        at = loops.enter_context(writer.loop(chunk.first, chunk.stop, "k"))
        dims = k[cut + 1 :]
        inner = [loops.enter_context(writer.loop(0, d, "k")) for d in dims]
        whole = (at - chunk.first) * as_index(product(dims)) + join_offset(inner, dims)
        return [*chunk.before, at, *inner], whole
