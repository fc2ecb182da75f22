"""The register tile of a matrix product, written straight in LLVM vectors.

    C[rows, columns] (+)= sum over k of A[row, k] * B[k, columns]

    for every k:   one load a vector of B, one broadcast a row of A,
                   rows * vectors fused multiply-adds on accumulators in registers

A and B are read where they lie, by strides that are constants of the tile: row i of A begins
`rows[i]` elements behind the first, and k is a nest of loops, each with its own stride in A and
in B. So a convolution's tile walks over kernel rows and runs of (kernel column, channel) in the
image itself, and a gradient's over images, lines and pixels; nothing is unrolled into a patch
matrix first::

    3x3 convolution of 32 channels in rows of 13:   loops = ((3, 13*32, 96*64), (96, 1, 64))

A plain loop reaches a tenth of the machine's rate here, because LLVM neither keeps the tile in
registers nor shares the loads; see `docs/architecture.md` for measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Intrinsic, declared

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)

Loop = tuple[int | None, *tuple[int, ...]]
"""Extent (None: an argument; loops outside it have None too), stride in A, stride in B, and the
stride in the copy of B where the tile makes one."""

Places = tuple[Any, ...]
"""Pointers that move along k: into A, into B, and into the copy of B if there is one."""

UNROLL = 4
"""Steps of k per loop iteration: hides the loop's own instructions."""
LINE = 64
"""Bytes of a line of the cache."""
FLAT = 9
"""A nest of at most this many steps becomes straight code: a 3x3 window of one channel. With more
LLVM keeps B in registers from tile to tile, and spills the sums: 611 spilled vectors in a product
with k = 10. Loops for 10 to 16 steps took 12 to 45 % less time."""


@dataclass
class Tile:
    """Emits one tile of vectors into a function."""

    builder: Any
    dtype: str
    lanes: int
    vectors: int
    rows: tuple[int, ...]
    valid: int
    panel: tuple[int, int] = (0, 0)
    """Columns of a panel of B, and elements from one panel to the next; (0, 0): columns of B are
    neighbours all along the row."""
    asked: int = 0
    """Rows of B that are asked for in a group of steps, before they are read."""
    ahead: Any = None
    """How many elements behind the group's own row of B these begin."""
    streams: int = 0
    """How many of the last places are memory that is asked for, for the tiles behind this one."""
    scalar: Any = field(init=False)
    vector: Any = field(init=False)

    def __post_init__(self) -> None:
        self.scalar = ir.FloatType() if self.dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}f{32 if self.dtype == 'float32' else 64}"
        self.align = 4 if self.dtype == "float32" else 8
        # Made once: llvmlite prints a constant anew for each object.
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.undefined = ir.Constant(self.vector, ir.Undefined)
        self.first_lane = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)

    def at(self, pointer: Any, offset: Any) -> Any:
        """The address `offset` elements behind `pointer`."""
        index = ir.Constant(I64, offset) if isinstance(offset, int) else offset
        return self.builder.gep(pointer, [index])

    def load(self, pointer: Any, offset: int) -> Any:
        """A vector at `offset`."""
        return self.builder.load(self._place(pointer, offset), align=self.align)

    def store(self, value: Any, pointer: Any, offset: int) -> None:
        """Writes a vector at `offset`."""
        self.builder.store(value, self._place(pointer, offset), align=self.align)

    def columns(self, b: Any, j: int) -> Any:
        """Vector j of a row of B; lanes past the last valid column are zero and never read."""
        columns, far = self.panel
        at = j * self.lanes
        if columns:
            at = at // columns * far + at % columns
        return self._load_columns(b, at, j)

    def _load_columns(self, b: Any, at: int, j: int) -> Any:
        """Vector j of a row, which lies at `at`; lanes past the last valid column are zero."""
        beyond = (j + 1) * self.lanes - self.valid
        if beyond <= 0:
            return self.load(b, at)
        mask, address = self._mask(beyond), self._place(b, at)
        kinds = [address.type, I32, mask.type, self.vector]
        name = f"llvm.masked.load.{self.suffix}.p0"
        function = declared(self.builder, name, self.vector, kinds)
        return self.builder.call(function, [address, ir.Constant(I32, self.align), mask, self.zero])

    def store_columns(self, value: Any, c: Any, j: int, *, padded: bool) -> None:
        """Writes vector j of a row of C; lanes past the last valid column only if `padded`."""
        beyond = (j + 1) * self.lanes - self.valid
        if padded or beyond <= 0:
            self.store(value, c, j * self.lanes)
            return
        mask, address = self._mask(beyond), self._place(c, j * self.lanes)
        kinds = [self.vector, address.type, I32, mask.type]
        name = f"llvm.masked.store.{self.suffix}.p0"
        function = declared(self.builder, name, ir.VoidType(), kinds)
        self.builder.call(function, [value, address, ir.Constant(I32, self.align), mask])

    def _mask(self, beyond: int) -> Any:
        """All lanes but the last `beyond`."""
        flags = [ir.Constant(I1, int(lane < self.lanes - beyond)) for lane in range(self.lanes)]
        return ir.Constant(ir.VectorType(I1, self.lanes), flags)

    def _place(self, pointer: Any, offset: int) -> Any:
        """The address of a vector at `offset`."""
        return self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())

    def splat(self, scalar: Any) -> Any:
        """A vector with `scalar` in every lane."""
        first = self.builder.insert_element(self.undefined, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(first, self.undefined, self.first_lane)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """`a * b + c`."""
        # fmuladd, not fma: on a CPU without FMA the latter is a library call per lane.
        name = f"llvm.fmuladd.{self.suffix}"
        function = declared(self.builder, name, self.vector, [self.vector] * 3)
        return self.builder.call(function, [a, b, c])

    def step(self, places: Places, accumulators: list[Any]) -> list[Any]:
        """One k: `accumulators += a outer b`."""
        a, b, *copy = places[: len(places) - self.streams]
        row = [self.columns(b, j) for j in range(self.vectors)]
        for j, value in enumerate(row if copy else ()):
            self.store(value, copy[0], j * self.lanes)
        result = []
        for i, place in enumerate(self.rows):
            factor = self.splat(self.builder.load(self.at(a, place), align=self.align))
            for j in range(self.vectors):
                old = accumulators[i * self.vectors + j]
                result.append(self.multiply_add(factor, row[j], old))
        return result

    def ask_for(self, pointer: Any, offset: int, *, writes: bool = False) -> None:
        """Has the cache fetch an element that comes later; past the end that does nothing."""
        kinds = [ir.PointerType(ir.IntType(8)), I32, I32, I32]
        function = declared(self.builder, "llvm.prefetch.p0", ir.VoidType(), kinds)
        write, near, data = (ir.Constant(I32, n) for n in (int(writes), 3, 1))
        place = self.builder.bitcast(self.at(pointer, offset), kinds[0])
        self.builder.call(function, [place, write, near, data])

    def _ask_for_row(self, b: Any) -> None:
        """Has the cache fetch a row of B that comes later."""
        for column in range(0, self.vectors * self.lanes, max(self.lanes, LINE // self.align)):
            self.ask_for(self.at(b, self.ahead), column)

    def _ask_for_streams(self, places: Places, strides: Sequence[int], steps: int) -> None:
        """Has the cache fetch as many elements as streams move on by in some steps."""
        for place, stride in [*zip(places, strides, strict=True)][len(places) - self.streams :]:
            for element in range(0, steps * stride, LINE // self.align):
                self.ask_for(place, element)

    def held(
        self, c: Any, rows: Sequence[tuple[int, int]], sums: Any, accumulate: bool
    ) -> list[Any]:
        """What a tile begins with; `sums`: whether C holds any, where that is known only now."""
        if sums is not None:
            return self.sums(c, rows, sums)
        if accumulate:
            return [self.load(c, start + j * self.lanes) for start, j in rows]
        return [self.zero] * len(rows)

    def sums(self, c: Any, rows: Sequence[tuple[int, int]], held: Any) -> list[Any]:
        """What C holds at rows and vectors; zeros where `held` is 0."""
        builder, before = self.builder, self.builder.block
        load, done = builder.append_basic_block("held"), builder.append_basic_block("sums")
        builder.cbranch(builder.icmp_signed(">", held, ir.Constant(I64, 0)), load, done)
        builder.position_at_end(load)
        loaded = [self._load_columns(c, start + j * self.lanes, j) for start, j in rows]
        builder.branch(done)
        builder.position_at_end(done)
        values = [builder.phi(self.vector) for _ in rows]
        for value, old in zip(values, loaded, strict=True):
            value.add_incoming(self.zero, before)
            value.add_incoming(old, load)
        return values

    def moved(self, places: Sequence[Any], strides: Sequence[int], count: Any) -> Places:
        """Places `count` strides on."""
        if isinstance(count, int):
            return tuple(self.at(p, count * s) for p, s in zip(places, strides, strict=True))
        times = [self.builder.mul(count, ir.Constant(I64, s)) for s in strides]
        return tuple(self.at(p, t) for p, t in zip(places, times, strict=True))

    def nest(self, loops: tuple[Loop, ...], places: Places, values: list[Any]) -> list[Any]:
        """All steps of a nest whose extents are known and not zero."""
        if not loops:
            return self.step(places, values)
        (extent, *strides), inner = loops[0], loops[1:]
        assert extent is not None
        group = self._group(loops)
        whole = extent // group * group

        def steps(places: Places, first: int, stop: int, values: list[Any]) -> list[Any]:
            for u in range(first, stop):
                here = self.moved(places, strides, u)
                if not inner and u < self.asked:
                    self._ask_for_row(here[1])
                if not inner and u == first:
                    self._ask_for_streams(here, strides, stop - first)
                values = self.nest(inner, here, values)
            return values

        if extent <= group:
            return steps(places, 0, extent, values)
        count = ir.Constant(I64, extent // group)
        far = [group * stride for stride in strides]
        values = self.loop(count, far, places, values, lambda *p: steps(p[:-1], 0, group, p[-1]))
        return steps(places, whole, extent, values)

    def _group(self, loops: tuple[Loop, ...]) -> int:
        """Iterations of the outermost loop that become straight code."""
        total = 1
        for extent, *_ in loops:
            assert extent is not None
            total *= extent
        first = loops[0][0]
        assert first is not None
        if total <= FLAT and self._distinct(loops):
            return first
        if len(loops) > 1:
            return 1
        sizes = [u for u in (4, 3) if first % u == 0] or [UNROLL]
        return next((u for u in sizes if self._distinct(((u, *loops[0][1:]),))), 1)

    def _distinct(self, loops: tuple[Loop, ...]) -> bool:
        """Whether no two steps of a nest read the same element of A.

        In straight code LLVM would keep such an element from one step to the other: in memory, as
        a vector, since all registers are taken. With 3 channels, or 1, that cost a fifth.
        """
        steps = [0]
        for extent, *strides in loops:
            assert extent is not None
            steps = [step + u * strides[0] for step in steps for u in range(extent)]
        return len({row + step for row in self.rows for step in steps}) == len(self.rows) * len(
            steps
        )

    def loop(
        self,
        count: Any,
        strides: Sequence[int],
        places: Places,
        values: list[Any],
        body: Callable[..., list[Any]],
        *,
        may_be_empty: bool = False,
    ) -> list[Any]:
        """Runs `body(*places, values)` `count` times, moving places on by `strides` elements."""
        builder = self.builder
        before = builder.block
        head, done = builder.append_basic_block("k"), builder.append_basic_block("k.done")
        some = builder.icmp_signed(">", count, ir.Constant(I64, 0)) if may_be_empty else None
        if some is None:
            builder.branch(head)
        else:
            builder.cbranch(some, head, done)
        builder.position_at_end(head)
        starts = [count, *places, *values]
        phis = [builder.phi(value.type) for value in starts]
        for phi, value in zip(phis, starts, strict=True):
            phi.add_incoming(value, before)
        left, here, now = phis[0], tuple(phis[1 : 1 + len(places)]), phis[1 + len(places) :]
        results = body(*here, now)
        following = [
            builder.sub(left, ir.Constant(I64, 1)),
            *self.moved(here, strides, 1),
            *results,
        ]
        end = builder.block
        for phi, value in zip(phis, following, strict=True):
            phi.add_incoming(value, end)
        builder.cbranch(builder.icmp_signed(">", following[0], ir.Constant(I64, 0)), head, done)
        builder.position_at_end(done)
        if some is None:
            return results
        merged = [builder.phi(value.type) for value in values]
        for phi, old, new in zip(merged, values, results, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, end)
        return merged

    def counted(
        self, extents: list[Any], loops: tuple[Loop, ...], places: Places, values: list[Any]
    ) -> list[Any]:
        """A nest whose outermost extents are run-time numbers."""
        (_, *strides), inner = loops[0], loops[1:]
        builder, (extent, *others) = self.builder, extents

        def steps(count: int) -> Any:
            def body(*arguments: Any) -> list[Any]:
                places: Sequence[Any] = arguments[:-1]
                values: list[Any] = arguments[-1]
                for u in range(count):
                    here = self.moved(places, strides, u)
                    if not inner and u < self.asked:
                        self._ask_for_row(here[1])
                    if not inner and u == 0:
                        self._ask_for_streams(here, strides, count)
                    if inner and inner[0][0] is None:
                        values = self.counted(others, inner, here, values)
                    else:
                        values = self.nest(inner, here, values)
                return values

            return body

        if inner:
            return self.loop(extent, strides, places, values, steps(1), may_be_empty=True)
        groups = builder.udiv(extent, ir.Constant(I64, UNROLL))
        far = [UNROLL * stride for stride in strides]
        values = self.loop(groups, far, places, values, steps(UNROLL), may_be_empty=True)
        done = builder.mul(groups, ir.Constant(I64, UNROLL))
        places = self.moved(places, strides, done)
        left = builder.sub(extent, done)
        return self.loop(left, strides, places, values, steps(1), may_be_empty=True)


def _with_streams(loops: tuple[Loop, ...], paces: Sequence[int]) -> tuple[Loop, ...]:
    """A nest whose places are followed by streams, which move on `paces` elements a step of k."""

    def inside(i: int) -> int:
        return prod(extent for extent, *_ in loops[i + 1 :] if extent is not None)

    return tuple(
        (extent, *(along + [pace * inside(i) for pace in paces]))
        for i, (extent, *along) in enumerate(loops)
    )


def product_tile(
    dtype: str,
    lanes: int,
    valid: int,
    rows: tuple[int, ...],
    loops: tuple[Loop, ...],
    c_stride: int,
    accumulate: bool,
    panel: tuple[int, int] = (0, 0),
    asked: int = 0,
    in_memory: bool = False,
    paces: tuple[int, ...] = (),
) -> Intrinsic:
    """The tile `tile(extent, ..., a, a_offset, b, b_offset, c, c_offset)` for kernel text.

    `a`, `b`, `c` are pointers and the offsets count elements. The tile has a row for each entry
    of `rows` (the row's offset in A) and `valid` columns of B, of which no more are read: all
    contiguous, or in panels of `panel[0]` columns that begin `panel[1]` elements apart. `loops` is
    the nest over k, outermost first; an `extent` is given for each loop that has None, and one that
    is not used where none has. Where loops have a third stride, each row of B is also written, in
    whole vectors, to a copy of B: two more arguments. Rows of `c` lie `c_stride` elements apart and
    are written in whole vectors. With `accumulate` the product is added to `c`, else it is stored.

    Where `asked` is not 0 a last argument is the number of elements that B is fetched into the
    cache ahead of its use: for the first `asked` rows of each group of UNROLL steps.

    With `in_memory`, C is the result of the kernel: valid columns only are written, after the cache
    was told to fetch them, and with `accumulate` an argument in front of `a` says whether C holds
    sums already: 0 or more.

    For each of `paces` a pointer and an offset follow C, or the copy: memory that the tile asks
    for, so many elements for every step of k.
    """
    vectors = -(-valid // lanes)
    nest = _with_streams(loops, paces)
    unknown = sum(extent is None for extent, *_ in loops)
    may_hold = in_memory and accumulate
    counts = max(1, unknown) + may_hold

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, vectors, rows, valid, panel, asked)
        tile.streams = len(paces)
        if asked:
            *arguments, tile.ahead = arguments
        extents, pointers = arguments[:counts], arguments[counts:]
        pairs = zip(pointers[::2], pointers[1::2], strict=True)
        a, b, c, *more = [tile.at(pointer, offset) for pointer, offset in pairs]
        places = [(i * c_stride, j) for i in range(len(rows)) for j in range(vectors)]
        for start, j in places if in_memory else ():
            tile.ask_for(c, start + j * lanes, writes=True)
        values = tile.held(c, places, extents.pop() if may_hold else None, accumulate)
        walk = (nest, (a, b, *more), values)
        values = tile.counted(extents, *walk) if unknown else tile.nest(*walk)
        for (start, j), value in zip(places, values, strict=True):
            tile.store_columns(value, tile.at(c, start), j, padded=not in_memory)

    pointers = len(loops[0]) + len(paces) if loops else 3
    arguments = (*["int64"] * counts, *[f"{dtype}*", "int64"] * pointers)
    return Intrinsic("tile", (*arguments, *["int64"] * min(1, asked)), "void", emit)


def transpose_tile(dtype: str, lanes: int, source_stride: int, target_stride: int) -> Intrinsic:
    """`turn(source, source_offset, target, target_offset)` for kernel text: a square turned.

    `target[i * target_stride + j] = source[j * source_stride + i]` for i, j below `lanes`, a
    power of two. Halves of ever smaller blocks are exchanged, log2(lanes) times::

        a b    rows 0 and 1 of 2 x 2 blocks:  shuffle (a, c)
        c d                                   shuffle (b, d)
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, 1, (0,), lanes)
        source, source_offset, target, target_offset = arguments
        source, target = tile.at(source, source_offset), tile.at(target, target_offset)
        rows = [tile.load(source, j * source_stride) for j in range(lanes)]
        kind = ir.VectorType(I32, lanes)
        half = lanes // 2
        while half:
            low = [n if not n & half else n - half + lanes for n in range(lanes)]
            high = [n + half if not n & half else n + lanes for n in range(lanes)]
            masks = [ir.Constant(kind, each) for each in (low, high)]
            for i in range(lanes):
                if not i & half:
                    pair = rows[i], rows[i + half]
                    rows[i], rows[i + half] = (builder.shuffle_vector(*pair, m) for m in masks)
            half //= 2
        for i, row in enumerate(rows):
            tile.store(row, target, i * target_stride)

    return Intrinsic("turn", (f"{dtype}*", "int64") * 2, "void", emit)
