"""The two transforms of a Winograd convolution F(2x2, 3x3), channels in the lanes of vectors.

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

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from graphkeras.codegen.cpu.microkernel import I64, Tile
from graphkeras.native.intrinsic import Intrinsic


def input_tile(
    dtype: str, lanes: int, channels: int, line: int, pixel: int, plane: int
) -> Intrinsic:
    """The function `spread(x, x_offset, v, v_offset)` for kernel text: V = B^T d B of a patch.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        channels: Of a pixel; no more are read, whole vectors are written.
        line: Elements of x from line to line.
        pixel: Elements of x from pixel to pixel.
        plane: Elements of V from one of the 16 places to the next.
    """
    whole, rest = divmod(channels, lanes)

    def emit(builder: Any, arguments: list[Any]) -> None:
        x, x_offset, v, v_offset = arguments
        tile = Tile(builder, dtype, lanes, 1, (), lanes)
        x, v = tile.at(x, x_offset), tile.at(v, v_offset)

        def vector(x: Any, v: Any, part: Tile) -> None:
            rows = []
            for i in range(4):
                pixels = [part.columns(part.at(x, i * line + j * pixel), 0) for j in range(4)]
                rows.append(_spread_out(builder, pixels))
            for j in range(4):
                for i, value in enumerate(_spread_out(builder, [row[j] for row in rows])):
                    part.store(value, v, (i * 4 + j) * plane)

        def body(x: Any, v: Any, values: list[Any]) -> list[Any]:
            vector(x, v, tile)
            return values

        if whole:
            tile.loop(ir.Constant(I64, whole), (lanes, lanes), x, v, [], body)
        if rest:
            done = whole * lanes
            last = Tile(builder, dtype, lanes, 1, (), rest)
            vector(tile.at(x, done), tile.at(v, done), last)

    return Intrinsic("spread", (f"{dtype}*", "int64") * 2, "void", emit)


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

        tile.loop(count, (width, 2 * width), m, y, [], body, may_be_empty=True)

    return Intrinsic("combine", ("int64", *[f"{dtype}*", "int64"] * 2), "void", emit)


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
