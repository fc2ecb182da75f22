"""Contractions as packed, register-tiled matrix products, fused with what surrounds them.

Every contraction of the op table (matrix products in all layouts, convolutions and their
gradients) has the form C[b, m, n] = sum_k A[b, m, k] B[b, k, n], where a rule says at which
position of the operand an element lies. Packing reads *through* the rule, so a convolution is
an implicit GEMM: the patch matrix exists only one block at a time, in cache. Producers that move
elements are read in packing (prologue), consumers run on the finished tile (epilogue)::

    for b, for block of columns NC:                 one thread: a range of b, of m or of n
        pack B[k, NC] into panels [k][tile columns]
        for strip of rows:
            pack A[strip, k] row by row             rows past the end are zero
            for panel: microkernel -> strip of C    in cache
            for row, for column: epilogue -> memory

Where k is longer than one block (or known only at run time, as in weight gradients, which sum
over the batch) the strip is taller and k is cut in blocks, each adding to the strip of C. The
order of additions depends on sizes only, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from graphkeras.codegen.cpu.target import Tile, gemm_tile
from graphkeras.codegen.lower import Lowering, reads
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import Dim, is_static, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import Position, join_offset, split_offset
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Load, Var, as_index, conjunction

PRODUCT_GRAIN = 1 << 17
"""Multiply-adds worth a thread of their own: about 2 us at half the machine's rate."""
K_WHOLE = 2048
"""Longest k that is packed in one block: a panel of 32 columns is then 256 KiB, in L2."""
K_BLOCK = 512
"""Length of a block of a longer k."""
B_ELEMENTS = 1 << 17
"""Elements of packed B: 512 KiB of float32."""
C_ELEMENTS = 1 << 16
"""Elements of a strip of C where k has several blocks."""


@dataclass(frozen=True)
class Blocks:
    """How a contraction is cut. `k_outer` counts iterations of the dims before `k_split`."""

    tile: Tile
    k_split: int
    k_inner: int
    k_outer_block: int
    whole_k: bool
    columns: int
    strip: int

    @property
    def k_length(self) -> int:
        """Elements of k in a packed block."""
        return self.k_inner * self.k_outer_block

    @property
    def a_stride(self) -> int:
        """Elements between rows of packed A.

        One vector more than k needs, so that the rows of a tile do not compete for the same
        lines of the cache.
        """
        return -(-self.k_length // self.tile.lanes) * self.tile.lanes + self.tile.lanes


def choose_blocks(rule: Contraction, tile: Tile) -> Blocks:
    """Block sizes from the sizes that are known."""
    total = product(rule.k)
    if isinstance(total, int) and total <= K_WHOLE:
        split, inner, block, whole = 0, total, 1, True
    else:
        split = len(rule.k)
        while (
            split > 0
            and is_static(rule.k[split - 1 :])
            and _number(product(rule.k[split - 1 :])) <= K_BLOCK
        ):
            split -= 1
        inner = _number(product(rule.k[split:]))
        block, whole = max(1, K_BLOCK // inner), False
    width = max(tile.columns, B_ELEMENTS // (inner * block) // tile.columns * tile.columns)
    n = product(rule.n)
    if isinstance(n, int):
        width = min(width, -(-n // tile.columns) * tile.columns)
    strip = tile.rows
    if not whole:
        strip = max(1, C_ELEMENTS // width // tile.rows) * tile.rows
        m = product(rule.m)
        if isinstance(m, int):
            strip = min(strip, -(-m // tile.rows) * tile.rows)
    return Blocks(tile, split, inner, block, whole, width, strip)


def _number(dim: Dim) -> int:
    assert isinstance(dim, int)
    return dim


def lower_contraction(lowering: Lowering, hero: Node, rule: Contraction) -> None:
    """Writes the kernel of a contraction with matrix form."""
    tile = gemm_tile(hero.types[0].dtype, hero.types[0].itemsize, product(rule.n))
    _Product(lowering, hero, rule, choose_blocks(rule, tile)).write()


class _Product:
    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction, blocks: Blocks) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.blocks = blocks
        self.tile = blocks.tile
        dtype, itemsize = hero.types[0].dtype, hero.types[0].itemsize
        self.dtype = dtype
        self.zero = Const(dtype, 0.0)
        self.m, self.n = as_index(product(rule.m)), as_index(product(rule.n))
        add = self.writer.add_scratch
        self.a = add(dtype, self.tile.rows * blocks.a_stride, itemsize, "a")
        self.b = add(dtype, blocks.columns * blocks.k_length, itemsize, "b")
        self.c = add(dtype, blocks.strip * blocks.columns, itemsize, "c")
        self.writer.helpers.append(
            f"tile = gemm_tile({dtype!r}, {self.tile.rows}, {self.tile.columns}, "
            f"{self.tile.lanes}, {blocks.a_stride}, {blocks.columns}, {not blocks.whole_k})"
        )

    def write(self) -> None:
        """The whole kernel: which dim is shared out among the threads, then the blocks."""
        batch = product(self.rule.batch)
        rows, columns = product(self.rule.m), product(self.rule.n)
        work = batch * rows * columns * product(self.rule.k)
        zero = Const(INDEX, 0)
        spans: dict[str, tuple[Expr, Expr]] = {
            "b": (zero, as_index(batch)),
            "m": (zero, self.m),
            "n": (zero, self.n),
        }
        shared: str
        extent: Dim
        if not isinstance(batch, int):
            shared, extent, multiple = "b", batch, 1
        elif not isinstance(rows, int) or (isinstance(columns, int) and rows >= columns):
            shared, extent, multiple = "m", rows, self.tile.rows
        else:
            shared, extent, multiple = "n", columns, self.tile.columns
        share = Share(work, PRODUCT_GRAIN)
        with self.writer.parallel_range(extent, multiple, share, shared) as span:
            spans[shared] = span
            with self.writer.loop(*spans["b"], "b") as b:
                position = [self.writer.let(i) for i in split_offset(b, self.rule.batch)]
                self._columns(position, spans["m"], spans["n"])

    def _columns(self, b: Sequence[Expr], m: tuple[Expr, Expr], n: tuple[Expr, Expr]) -> None:
        writer, blocks = self.writer, self.blocks
        with writer.loop(*n, "jc", blocks.columns) as first:
            stop = writer.let(_minimum(first + blocks.columns, n[1]), "jend")
            if blocks.whole_k:
                self._pack_b(b, (first, stop), None)
            with writer.loop(*m, "ic", blocks.strip) as row:
                bottom = writer.let(_minimum(row + blocks.strip, m[1]), "iend")
                if blocks.whole_k:
                    self._pack_a(b, row, bottom, None)
                    self._tiles((first, stop), Const(INDEX, 0), Const(INDEX, blocks.k_length))
                else:
                    self._accumulate(b, (row, bottom), (first, stop))
                self._epilogue(b, (row, bottom), (first, stop))

    def _accumulate(
        self, b: Sequence[Expr], rows: tuple[Expr, Expr], columns: tuple[Expr, Expr]
    ) -> None:
        writer, blocks = self.writer, self.blocks
        outer = as_index(product(self.rule.k[: blocks.k_split]))
        with writer.loop(0, Const(INDEX, blocks.strip * blocks.columns), "z") as z:
            writer.store(self.c, z, self.zero)
        with writer.loop(0, outer, "kc", blocks.k_outer_block) as first:
            stop = writer.let(_minimum(first + blocks.k_outer_block, outer), "kend")
            length = writer.let((stop - first) * blocks.k_inner, "klen")
            self._pack_b(b, columns, (first, stop))
            with writer.loop(*rows, "i", self.tile.rows) as row:
                self._pack_a(b, row, rows[1], (first, stop))
                self._tiles(columns, (row - rows[0]) * blocks.columns, length)

    def _k_loops(
        self, loops: ExitStack, span: tuple[Expr, Expr] | None, without_last: bool = False
    ) -> tuple[list[Expr], Expr]:
        """Opens the loops over a block of k; returns the position in k and within the block.

        With `without_last` the innermost loop is left to the caller, who adds its variable.
        """
        writer, split = self.writer, self.blocks.k_split
        outer: list[Expr] = []
        offset: Expr = Const(INDEX, 0)
        if span is not None:
            ko = loops.enter_context(writer.loop(*span, "k"))
            outer = [writer.let(i) for i in split_offset(ko, self.rule.k[:split])]
            offset = (ko - span[0]) * self.blocks.k_inner
        dims = self.rule.k[split:]
        opened = dims[:-1] if without_last else dims
        inner: list[Expr] = [loops.enter_context(writer.loop(0, d, "k")) for d in opened]
        whole = [*inner, Const(INDEX, 0)] if without_last else inner
        return [*outer, *inner], offset + join_offset(whole, dims)

    def _pack_a(
        self, b: Sequence[Expr], first: Expr, stop: Expr, span: tuple[Expr, Expr] | None
    ) -> None:
        writer, stride = self.writer, self.blocks.a_stride
        with writer.loop(0, Const(INDEX, self.tile.rows), "r") as r:
            row = writer.let(first + r, "row")
            with writer.when(row < stop):
                m = [writer.let(i) for i in split_offset(row, self.rule.m)]
                self._pack_row(b, m, r, span)
            with writer.when(row >= stop), ExitStack() as loops:
                _, offset = self._k_loops(loops, span)
                writer.store(self.a, r * stride + offset, self.zero)

    def _pack_row(
        self, b: Sequence[Expr], m: Sequence[Expr], r: Expr, span: tuple[Expr, Expr] | None
    ) -> None:
        """One row of A. A condition that holds for a whole run of k is tested once a run."""
        writer, stride = self.writer, self.blocks.a_stride
        operand = self.hero.inputs[0]
        probe = Var(INDEX, "probe")
        rank = len(self.rule.k)
        start: list[Expr] = [Const(INDEX, 0)] * rank
        _, tested = self.rule.lhs(b, m, [*start, probe][-rank:] if rank else [])
        whole_runs = self.blocks.k_split < rank
        if not tested or not whole_runs or any(reads(c, probe) for c in tested):
            with ExitStack() as loops:
                k, offset = self._k_loops(loops, span)
                element = self.lowering.factor(operand, *self.rule.lhs(b, m, k))
                writer.store(self.a, r * stride + offset, element)
            return
        run = self.rule.k[-1]
        with ExitStack() as loops:
            k, offset = self._k_loops(loops, span, without_last=True)
            _, conditions = self.rule.lhs(b, m, [*k, probe])
            inside = conjunction(conditions)
            assert inside is not None
            inside = writer.let(inside, "inside")
            with writer.when(inside), writer.loop(0, run, "k") as last:
                index, _ = self.rule.lhs(b, m, [*k, last])
                element = self.lowering.factor(operand, index, [])
                writer.store(self.a, r * stride + offset + last, element)
            outside = Apply("bool", "(not {0})", (inside,))
            with writer.when(outside), writer.loop(0, run, "k") as last:
                writer.store(self.a, r * stride + offset + last, self.zero)

    def _pack_b(
        self,
        b: Sequence[Expr],
        columns: tuple[Expr, Expr],
        span: tuple[Expr, Expr] | None,
    ) -> None:
        writer, width = self.writer, self.tile.columns
        with writer.loop(*columns, "p", width) as panel:
            valid = writer.let(_minimum(Const(INDEX, width), columns[1] - panel), "valid")
            base = (panel - columns[0]) * self.blocks.k_length
            with ExitStack() as loops:
                k, offset = self._k_loops(loops, span)
                place = writer.let(base + offset * width, "place")
                with writer.loop(0, valid, "j") as j:
                    n = split_offset(panel + j, self.rule.n)
                    index, conditions = self.rule.rhs(b, k, n)
                    element = self.lowering.factor(self.hero.inputs[1], index, conditions)
                    writer.store(self.b, place + j, element)
                with writer.loop(valid, Const(INDEX, width), "j") as j:
                    writer.store(self.b, place + j, self.zero)

    def _tiles(self, columns: tuple[Expr, Expr], c_row: Expr, length: Expr) -> None:
        writer = self.writer
        with writer.loop(*columns, "p", self.tile.columns) as panel:
            column = panel - columns[0]
            writer.call(
                f"tile({{0}}, {self.a}, 0, {self.b}, {{1}}, {self.c}, {{2}})",
                length,
                column * self.blocks.k_length,
                c_row + column,
            )

    def _epilogue(
        self, b: Sequence[Expr], rows: tuple[Expr, Expr], columns: tuple[Expr, Expr]
    ) -> None:
        writer = self.writer
        with writer.loop(*rows, "i") as i:
            m = [writer.let(e) for e in split_offset(i, self.rule.m)]
            line = writer.let((i - rows[0]) * self.blocks.columns, "line")
            with writer.loop(*columns, "j") as j:
                n = split_offset(j, self.rule.n)
                offset = line + (j - columns[0])
                accumulator = writer.pinned(Load(self.dtype, self.c, offset), "acc")
                position = Position(self.hero.types[0].shape, self.rule.out(b, m, n))
                self.lowering.store_epilogue(self.hero, accumulator, position)


def _minimum(a: Expr, b: Expr) -> Expr:
    return Apply(INDEX, "min({0}, {1})", (a, b))


__all__ = ["Blocks", "choose_blocks", "lower_contraction"]
