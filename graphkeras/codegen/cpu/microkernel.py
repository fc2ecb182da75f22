"""The register tile of a matrix product, written straight in LLVM vectors.

    C[rows, columns] (+)= A[rows, k]  B[k, columns]        A, B packed

    for every k:   columns/lanes loads of B, rows broadcasts of A,
                   rows * columns/lanes fused multiply-adds on accumulators in registers

A plain Numba loop reaches a tenth of the machine's rate here, because LLVM neither keeps the
tile in registers nor shares the loads; see `docs/architecture.md` for measurements.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Intrinsic, declared

I32, I64 = ir.IntType(32), ir.IntType(64)
UNROLL = 2
"""Steps of k per loop iteration: halves the loop overhead, which is not hidden at 12 rows."""


class _Tile:
    """Emits one tile into a function."""

    def __init__(
        self, builder: Any, dtype: str, rows: int, columns: int, lanes: int, a_stride: int
    ) -> None:
        self.builder = builder
        self.rows = rows
        self.a_stride = a_stride
        self.lanes = lanes
        self.count = columns // lanes
        self.columns = columns
        self.scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, lanes)
        self.suffix = f"v{lanes}f{32 if dtype == 'float32' else 64}"
        self.align = 4 if dtype == "float32" else 8

    def at(self, pointer: Any, offset: Any) -> Any:
        index = ir.Constant(I64, offset) if isinstance(offset, int) else offset
        return self.builder.gep(pointer, [index])

    def load(self, pointer: Any, offset: int) -> Any:
        address = self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())
        return self.builder.load(address, align=self.align)

    def store(self, value: Any, pointer: Any, offset: int) -> None:
        address = self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())
        self.builder.store(value, address, align=self.align)

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        # fmuladd, not fma: on a CPU without FMA the latter is a library call per lane.
        name = f"llvm.fmuladd.{self.suffix}"
        function = declared(self.builder, name, self.vector, [self.vector] * 3)
        return self.builder.call(function, [a, b, c])

    def step(self, a: Any, b: Any, accumulators: list[Any]) -> list[Any]:
        """One k: `accumulators += a outer b`."""
        row = [self.load(b, j * self.lanes) for j in range(self.count)]
        result = []
        for i in range(self.rows):
            place = self.at(a, i * self.a_stride)
            factor = self.splat(self.builder.load(place, align=self.align))
            for j in range(self.count):
                old = accumulators[i * self.count + j]
                result.append(self.multiply_add(factor, row[j], old))
        return result

    def loop(
        self, start: Any, stop: Any, stride: int, a: Any, b: Any, init: list[Any]
    ) -> list[Any]:
        """`step` for k in range(start, stop, stride), `stride` steps each; may run zero times."""
        builder = self.builder
        before = builder.block
        head = builder.append_basic_block("k.head")
        body = builder.append_basic_block("k.body")
        done = builder.append_basic_block("k.done")
        builder.branch(head)
        builder.position_at_end(head)
        k = builder.phi(I64)
        k.add_incoming(start, before)
        phis = [builder.phi(self.vector) for _ in init]
        for phi, value in zip(phis, init, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", k, stop), body, done)
        builder.position_at_end(body)
        values = list(phis)
        for u in range(stride):
            ka = builder.add(k, ir.Constant(I64, u))
            kb = builder.mul(ka, ir.Constant(I64, self.columns))
            values = self.step(self.at(a, ka), self.at(b, kb), values)
        k.add_incoming(builder.add(k, ir.Constant(I64, stride)), builder.block)
        for phi, value in zip(phis, values, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(done)
        return phis


def gemm_tile(
    dtype: str,
    rows: int,
    columns: int,
    lanes: int,
    a_stride: int,
    c_stride: int,
    accumulate: bool,
) -> Intrinsic:
    """The tile `tile(k, a, a_offset, b, b_offset, c, c_offset)` for kernel text.

    `a`, `b`, `c` are pointers and the offsets count elements. Rows of `a` lie `a_stride` elements
    apart, `b` is packed `[k][columns]`, rows of `c` lie `c_stride` elements apart. With
    `accumulate` the product is added to `c`, else it is stored.
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = _Tile(builder, dtype, rows, columns, lanes, a_stride)
        k, a, a_offset, b, b_offset, c, c_offset = arguments
        a, b, c = (tile.at(p, o) for p, o in ((a, a_offset), (b, b_offset), (c, c_offset)))
        places = [i * c_stride + j * lanes for i in range(rows) for j in range(tile.count)]
        zero = ir.Constant(tile.vector, [0.0] * lanes)
        values = [tile.load(c, p) if accumulate else zero for p in places]
        even = builder.and_(k, ir.Constant(I64, -UNROLL))
        values = tile.loop(ir.Constant(I64, 0), even, UNROLL, a, b, values)
        values = tile.loop(even, k, 1, a, b, values)
        for place, value in zip(places, values, strict=True):
            tile.store(value, c, place)

    return Intrinsic("tile", ("int64", *[f"{dtype}*", "int64"] * 3), "void", emit)
