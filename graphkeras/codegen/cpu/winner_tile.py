"""Register tiles for the gradients of a convolution behind a maximum over windows.

Of every window only one element, the winner, has a gradient. For one filter, its winners are walked
and all taps (of some channels) done at once::

    kernel[taps, c] += sum over winners of image[winner + taps, c] * dy[winner]     `winner_sums`
    image[winner + taps, c] += kernel[taps, c] * dy[winner]                         `winner_patches`

    image          . . . . . .
                   . a b c . .       window of 2 x 2 whose winner is its place 0: the 3 x 3 patch
                   . d e f . .       of the image begins there. The other places 1, 2, 3 move the
                   . g h i . .       patch right, down, or both.
                   . . . . . .

The taps stay in registers over all winners: in the first tile as accumulators, in the second as
factors. The patch comes from memory, so a multiply-add costs a load, and in the second tile a
store: 0.75 and 1.3 cycles for vectors of 64 bytes, found in loops of nothing else. Where a patch
begins was computed before, so there is no branch on which element wins; a rectifier leaves half of
the winners without gradient, and these are left out by walking the bits of a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from graphkeras.codegen.cpu.microkernel import Tile
from graphkeras.native.intrinsic import Intrinsic, declared

I1, I64 = ir.IntType(1), ir.IntType(64)

Piece = tuple[int, int, int]
"""Neighbouring elements of a patch that share a register: their offset from the patch's first
element in the image, their offset in the kernel, and how many they are."""
IMAGE, KERNEL = 0, 1


class _Patch:
    """Emits what is done with the pieces of a patch."""

    def __init__(self, builder: Any, dtype: str, lanes: int, pieces: tuple[Piece, ...]) -> None:
        self.builder = builder
        self.pieces = pieces
        self.tiles = {n: Tile(builder, dtype, lanes, 1, (), n) for n in {lanes, *_counts(pieces)}}
        self.tile = self.tiles[lanes]

    def load(self, pointer: Any, where: int) -> list[Any]:
        """All pieces, from the image or from the kernel."""
        return [
            self.tiles[piece[2]].columns(self.tile.at(pointer, piece[where]), 0)
            for piece in self.pieces
        ]

    def store(self, pointer: Any, where: int, values: list[Any]) -> None:
        """Writes all pieces."""
        for piece, value in zip(self.pieces, values, strict=True):
            address = self.tile.at(pointer, piece[where])
            self.tiles[piece[2]].store_columns(value, address, 0, padded=False)

    def multiply_add(self, a: list[Any], b: Any, c: list[Any]) -> list[Any]:
        """`a * b + c`, piece by piece; b is a vector for all."""
        return [self.tile.multiply_add(x, b, y) for x, y in zip(a, c, strict=True)]

    def walk(
        self,
        arguments: list[Any],
        apart: int,
        values: list[Any],
        body: Callable[[Any, Any, list[Any]], list[Any]],
    ) -> list[Any]:
        """Runs `body(address of the patch, vector of dy, values)` for every bit of the winners."""
        tile, builder = self.tile, self.builder
        winners, image, begin, dy, dy_offset, at, at_offset = arguments
        image, dy, at = tile.at(image, begin), tile.at(dy, dy_offset), tile.at(at, at_offset)
        first_bit = declared(builder, "llvm.cttz.i64", I64, [I64, I1])
        before = builder.block
        head, done = (builder.append_basic_block(name) for name in ("winner", "winner.done"))
        none = ir.Constant(I64, 0)
        builder.cbranch(builder.icmp_unsigned("!=", winners, none), head, done)
        builder.position_at_end(head)
        left, *now = phis = [builder.phi(value.type) for value in (winners, *values)]
        bit = builder.call(first_bit, [left, ir.Constant(I1, 1)])
        window = builder.mul(bit, ir.Constant(I64, apart))
        patch = tile.at(image, builder.sext(builder.load(tile.at(at, window)), I64))
        element = builder.load(tile.at(dy, window), align=tile.align)
        results = body(patch, tile.splat(element), now)
        following = builder.and_(left, builder.sub(left, ir.Constant(I64, 1)))
        for phi, start, value in zip(phis, (winners, *values), (following, *results), strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_unsigned("!=", following, none), head, done)
        end = builder.block
        builder.position_at_end(done)
        merged = [builder.phi(value.type) for value in values]
        for phi, old, new in zip(merged, values, results, strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, end)
        return merged


def _counts(pieces: tuple[Piece, ...]) -> list[int]:
    return [count for _, _, count in pieces]


def _signature(dtype: str) -> tuple[str, ...]:
    floats = (f"{dtype}*", "int64")
    return ("int64", *floats, *floats, "int32*", "int64", *floats)


def winner_sums(dtype: str, lanes: int, pieces: tuple[Piece, ...], apart: int) -> Intrinsic:
    """`sums(winners, x, begin, dy, dy_offset, at, at_offset, w, w_offset)` for kernel text.

    Adds to one filter's part of the kernel, at `w`, what some windows give: those whose bits of
    `winners` are set. `dy` and `at` have an element a window: the gradient, and where the patch
    begins, in elements behind `begin`.

    Args:
        dtype: Of x, dy and w.
        lanes: Of a vector.
        pieces: The patch.
        apart: From window to window in `dy` and `at`.
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        patch = _Patch(builder, dtype, lanes, pieces)
        kernel = patch.tile.at(*arguments[7:])

        def body(address: Any, dy: Any, sums: list[Any]) -> list[Any]:
            return patch.multiply_add(patch.load(address, IMAGE), dy, sums)

        sums = patch.walk(arguments[:7], apart, patch.load(kernel, KERNEL), body)
        patch.store(kernel, KERNEL, sums)

    return Intrinsic("sums", _signature(dtype), "void", emit)


def winner_patches(dtype: str, lanes: int, pieces: tuple[Piece, ...], apart: int) -> Intrinsic:
    """`patches(winners, dx, begin, dy, dy_offset, at, at_offset, w, w_offset)` for kernel text.

    Adds to the image at `dx` the patches of one filter, whose part of the kernel is at `w`.
    Arguments as for `winner_sums`.
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        patch = _Patch(builder, dtype, lanes, pieces)
        taps = patch.load(patch.tile.at(*arguments[7:]), KERNEL)

        def body(address: Any, dy: Any, values: list[Any]) -> list[Any]:
            patch.store(address, IMAGE, patch.multiply_add(taps, dy, patch.load(address, IMAGE)))
            return values

        patch.walk(arguments[:7], apart, [], body)

    return Intrinsic("patches", _signature(dtype), "void", emit)
