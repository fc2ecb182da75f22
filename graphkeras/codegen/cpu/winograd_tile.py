"""The transforms of Winograd convolutions F(2x2, 3x3), channels in the lanes of vectors.

A 3x3 convolution makes 2x2 results from a patch d of 4x4 pixels as

    Y = A^T [(G g G^T) * (B^T d B)] A          * element by element, summed over channels

          1  0 -1  0                 1  1  1  0
    B^T = 0  1  1  0           A^T = 0  1 -1 -1
          0 -1  1  0
          0  1  0 -1

so every one of the 16 places of a patch is a matrix product of its own, and the transforms are
additions of whole vectors of channels::

    input_tile      d [4][4][channels]  ->  V [16][.. this patch ..][channels]
    output_tile     M [16][patches][columns]  ->  Y [2][2 patches][columns], two lines of results

The gradient of the kernel is that of these formulas (`ir.ops.winograd_gradient`)::

    gradient_tile   dY [2][2][columns]  ->  D [16][.. this patch ..][columns]      D = A dY A^T
    kernel_tile     dU [16][..][columns]  ->  dw [9][columns]                      dw = G^T dU G

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from graphkeras.codegen.cpu.microkernel import I64, Tile
from graphkeras.native.intrinsic import Intrinsic


def input_tile(
    dtype: str,
    lanes: int,
    channels: int,
    line: int,
    pixel: int,
    plane: int,
    border: tuple[int, int] | None = None,
) -> Intrinsic:
    """The function `spread(x, x_offset, v, v_offset)` for kernel text: V = B^T d B of a patch.

    With `border` it is `spread(x, x_offset, v, v_offset, zeros, top, left)`: the patch begins at
    that line and column of an image of `border` lines and columns, and what is outside is not read,
    but `zeros` in its place, a vector of them.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        channels: Of a pixel; no more are read, whole vectors are written.
        line: Elements of x from line to line.
        pixel: Elements of x from pixel to pixel.
        plane: Elements of V from one of the 16 places to the next.
        border: See above.
    """
    return _patch_tile(dtype, lanes, channels, (line, pixel), plane, border, 4, _spread_out)


def gradient_tile(
    dtype: str,
    lanes: int,
    channels: int,
    line: int,
    pixel: int,
    plane: int,
    border: tuple[int, int] | None = None,
) -> Intrinsic:
    """As `input_tile`, for the gradients of 2x2 results: D = A dY A^T."""
    return _patch_tile(dtype, lanes, channels, (line, pixel), plane, border, 2, _spread_results)


def _patch_tile(
    dtype: str,
    lanes: int,
    channels: int,
    strides: tuple[int, int],
    plane: int,
    border: tuple[int, int] | None,
    size: int,
    spread: Callable[[Any, Sequence[Any]], list[Any]],
) -> Intrinsic:
    """`size` x `size` pixels become 4 x 4 vectors: `spread` along columns, then along rows."""
    whole, rest = divmod(channels, lanes)
    places = [[i * strides[0] + j * strides[1] for j in range(size)] for i in range(size)]

    def emit(builder: Any, arguments: list[Any]) -> None:
        x, x_offset, v, v_offset, *around = arguments
        tile = Tile(builder, dtype, lanes, 1, (), lanes)
        x, v = tile.at(x, x_offset), tile.at(v, v_offset)
        inside = _inside(builder, border, around[1:], size) if border else None

        def vector(x: Any, v: Any, part: Tile) -> None:
            rows = []
            for i in range(size):
                pixels = [part.at(x, place) for place in places[i]]
                if inside is not None:
                    pixels = [
                        builder.select(exists, pixel, around[0])
                        for exists, pixel in zip(inside[i], pixels, strict=True)
                    ]
                rows.append(spread(builder, [part.columns(pixel, 0) for pixel in pixels]))
            for j in range(4):
                for i, value in enumerate(spread(builder, [row[j] for row in rows])):
                    part.store(value, v, (i * 4 + j) * plane)

        def body(x: Any, v: Any, values: list[Any]) -> list[Any]:
            vector(x, v, tile)
            return values

        if whole:
            tile.loop(ir.Constant(I64, whole), (lanes, lanes), (x, v), [], body)
        if rest:
            done = whole * lanes
            last = Tile(builder, dtype, lanes, 1, (), rest)
            vector(tile.at(x, done), tile.at(v, done), last)

    more = (f"{dtype}*", "int64", "int64") if border else ()
    return Intrinsic("spread", ((f"{dtype}*", "int64") * 2) + more, "void", emit)


def _inside(
    builder: Any, image: tuple[int, int], begin: Sequence[Any], size: int
) -> list[list[Any]]:
    """For every pixel of a patch whether it is one of the image."""
    lines, columns = (
        [
            # Unsigned, so that what is below zero is too large as well.
            builder.icmp_unsigned(
                "<", builder.add(first, ir.Constant(I64, i)), ir.Constant(I64, extent)
            )
            for i in range(size)
        ]
        for first, extent in zip(begin, image, strict=True)
    )
    return [[builder.and_(line, column) for column in columns] for line in lines]


def output_tile(dtype: str, lanes: int, width: int, plane: int, line: int) -> Intrinsic:
    """The function `combine(count, m, m_offset, y, y_offset)` for kernel text: Y = A^T M A.

    `count` patches side by side are taken, none included.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        width: Columns of a row of M and of Y, a multiple of `lanes`.
        plane: Elements of M from one of the 16 places to the next.
        line: Elements of Y from line to line.
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        count, m, m_offset, y, y_offset = arguments
        tile = Tile(builder, dtype, lanes, width // lanes, (), width)
        m, y = tile.at(m, m_offset), tile.at(y, y_offset)

        def body(m: Any, y: Any, values: list[Any]) -> list[Any]:
            for column in range(0, width, lanes):
                rows = []
                for i in range(4):
                    places = [tile.load(m, (i * 4 + j) * plane + column) for j in range(4)]
                    rows.append(_combined(builder, places))
                for j in range(2):
                    for i, value in enumerate(_combined(builder, [row[j] for row in rows])):
                        tile.store(value, y, i * line + j * width + column)
            return values

        tile.loop(count, (width, 2 * width), (m, y), [], body, may_be_empty=True)

    return Intrinsic("combine", ("int64", *[f"{dtype}*", "int64"] * 2), "void", emit)


def kernel_tile(dtype: str, lanes: int, plane: int, line: int) -> Intrinsic:
    """The function `turn_back(count, u, u_offset, w, w_offset)` for kernel text: dw = G^T dU G.

    `count` vectors side by side are taken, none included.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        plane: Elements of dU from one of the 16 places to the next.
        line: Elements of dw from one of the 9 taps to the next.
    """

    def emit(builder: Any, arguments: list[Any]) -> None:
        count, u, u_offset, w, w_offset = arguments
        tile = Tile(builder, dtype, lanes, 1, (), lanes)
        u, w = tile.at(u, u_offset), tile.at(w, w_offset)
        half = ir.Constant(tile.vector, [0.5] * lanes)

        def body(u: Any, w: Any, values: list[Any]) -> list[Any]:
            rows = []
            for i in range(4):
                places = [tile.load(u, (i * 4 + j) * plane) for j in range(4)]
                rows.append(_summed(builder, places, half))
            for j in range(3):
                for i, value in enumerate(_summed(builder, [row[j] for row in rows], half)):
                    tile.store(value, w, (i * 3 + j) * line)
            return values

        tile.loop(count, (lanes, lanes), (u, w), [], body, may_be_empty=True)

    return Intrinsic("turn_back", ("int64", *[f"{dtype}*", "int64"] * 2), "void", emit)


def _spread_out(builder: Any, d: Sequence[Any]) -> list[Any]:
    """B^T d for a column of four vectors."""
    return [
        builder.fsub(d[0], d[2]),
        builder.fadd(d[1], d[2]),
        builder.fsub(d[2], d[1]),
        builder.fsub(d[1], d[3]),
    ]


def _combined(builder: Any, m: Sequence[Any]) -> list[Any]:
    """A^T m for a column of four vectors."""
    return [
        builder.fadd(builder.fadd(m[0], m[1]), m[2]),
        builder.fsub(builder.fsub(m[1], m[2]), m[3]),
    ]


def _spread_results(builder: Any, y: Sequence[Any]) -> list[Any]:
    """A y for a column of two vectors."""
    return [y[0], builder.fadd(y[0], y[1]), builder.fsub(y[0], y[1]), builder.fneg(y[1])]


def _summed(builder: Any, u: Sequence[Any], half: Any) -> list[Any]:
    """G^T u for a column of four vectors."""
    both = builder.fmul(builder.fadd(u[1], u[2]), half)
    difference = builder.fmul(builder.fsub(u[1], u[2]), half)
    return [builder.fadd(u[0], both), difference, builder.fadd(both, u[3])]
