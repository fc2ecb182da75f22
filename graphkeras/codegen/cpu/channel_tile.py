"""Register tiles of a convolution of each channel by itself: channels are the vector lanes.

    y[row, c] = sum over taps of x[row's pixel of the tap, c] * w[tap, c]        `line_tile`
    w[tap, c] += sum over rows of x[row's pixel of the tap, c] * y[row, c]       `line_sums`

Nothing is broadcast: one multiply-add takes a vector of x and one of w. What keeps the arithmetic
busy is that neighbouring rows share pixels, so a tile goes along the pixels of x, loads each one
once, and uses it for every (row, tap) that meets there::

    pixel   0    1    2    3     3 taps, stride 1
    row 0   t0   t1   t2         5 loads of x for 9 multiply-adds; the accumulators, and mostly
    row 1        t0   t1   t2    the taps, are in registers
    row 2             t0   t1 ..

Which rows and taps meet at a pixel is a constant of the tile. So a tile at the border of a line
has fewer taps, and no zeros are laid out around an image; lines above and below it are left out
by the count of lines, a number of the running kernel.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from graphkeras.codegen.cpu.microkernel import Tile
from graphkeras.native.intrinsic import Intrinsic

I64 = ir.IntType(64)

Meets = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
"""For every pixel of x that a tile needs: its number, and each (row, tap) that meets there."""
Part = tuple[int, int, int, int, int, Meets]
"""Some equal tiles of a line: their number, the first one's pixel and row, steps to the next
one's pixel and row, and what meets within one."""


class _Loads:
    """The vectors of a line of an operand, each loaded once."""

    def __init__(self, tile: Tile, base: Any, stride: int) -> None:
        self.tile = tile
        self.base = base
        self.stride = stride
        self._known: dict[int, list[Any]] = {}

    def __getitem__(self, position: int) -> list[Any]:
        if position not in self._known:
            tile = self.tile
            address = tile.at(self.base, position * self.stride)
            self._known[position] = [tile.columns(address, j) for j in range(tile.vectors)]
        return self._known[position]


def line_tile(
    dtype: str,
    lanes: int,
    valid: int,
    rows: int,
    meets: Meets,
    x: tuple[int, int],
    w: tuple[int, int],
    c_stride: int,
    padded: bool,
) -> Intrinsic:
    """The tile `tile(lines, x, x_offset, w, w_offset, c, c_offset)` for kernel text.

    Pointers, and offsets in elements. Adds up `lines` lines of taps, none included, and writes
    `rows` rows of `valid` channels.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        valid: Channels; no more are read.
        rows: Rows of the result.
        meets: Which rows and taps meet at the pixels of a line of x.
        x: Strides in x from line to line, and from pixel to pixel.
        w: Strides in w from line to line, and from tap to tap.
        c_stride: From row to row of the result.
        padded: Whether whole vectors are written; else only the `valid` channels.
    """
    vectors = -(-valid // lanes)

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, vectors, (), valid)
        lines, *pointers = arguments
        a, b, c = (tile.at(*pointers[i : i + 2]) for i in (0, 2, 4))

        def line(a: Any, b: Any, values: list[Any]) -> list[Any]:
            pixels, taps = _Loads(tile, a, x[1]), _Loads(tile, b, w[1])
            sums = list(values)
            for pixel, pairs in meets:
                for row, tap in pairs:
                    for j in range(vectors):
                        i = row * vectors + j
                        sums[i] = tile.multiply_add(pixels[pixel][j], taps[tap][j], sums[i])
            return sums

        zeros = [tile.zero] * (rows * vectors)
        sums = tile.loop(lines, (x[0], w[0]), (a, b), zeros, line, may_be_empty=True)
        for i, value in enumerate(sums):
            row, j = divmod(i, vectors)
            tile.store_columns(value, tile.at(c, row * c_stride), j, padded=padded)

    return Intrinsic("tile", ("int64", *[f"{dtype}*", "int64"] * 3), "void", emit)


def line_sums(
    dtype: str,
    lanes: int,
    valid: int,
    taps: tuple[int, int],
    chains: int,
    parts: tuple[Part, ...],
    x: tuple[int, int, int],
    y: tuple[int, int],
    c_stride: int,
) -> Intrinsic:
    """`sums(lines, x, x_offset, y, y_offset, c, c_offset)` for kernel text: sums for lines of w.

    Adds to `c`, rows of whole vectors for each tap, what `lines` lines of y give, none included.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        valid: Channels; no more are read.
        taps: Lines of taps, and taps in a line.
        chains: Accumulators for each of them, which take turns: one waits for its last addition.
        parts: The tiles of a line.
        x: Strides in x from line of y to line of y, from line of taps to line of taps, and from
            pixel to pixel.
        y: Strides in y from line to line, and from row to row.
        c_stride: From line of taps to line of taps in c.
    """
    vectors = -(-valid // lanes)
    width = taps[1] * vectors

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, vectors, (), valid)
        lines, *pointers = arguments
        a, b, c = (tile.at(*pointers[i : i + 2]) for i in (0, 2, 4))

        def line(a: Any, b: Any, values: list[Any]) -> list[Any]:
            for part in parts:
                values = _add_products(tile, part, (x[1], x[2], y[1]), taps, chains, a, b, values)
            return values

        places = [i * c_stride + j * lanes for i in range(taps[0]) for j in range(width)]
        start = [tile.load(c, place) for place in places]
        values = [*start, *[tile.zero] * (len(places) * (chains - 1))]
        values = tile.loop(lines, (x[0], y[0]), (a, b), values, line, may_be_empty=True)
        for i, place in enumerate(places):
            total = values[i]
            for other in values[i + len(places) :: len(places)]:
                total = builder.fadd(total, other)
            tile.store(total, c, place)

    return Intrinsic("sums", ("int64", *[f"{dtype}*", "int64"] * 3), "void", emit)


def _add_products(
    tile: Tile,
    part: Part,
    strides: tuple[int, int, int],
    taps: tuple[int, int],
    chains: int,
    a: Any,
    b: Any,
    values: list[Any],
) -> list[Any]:
    """The sums [chain][line of taps][tap][vector], and what equal tiles of a line add to them."""
    count, pixel, row, pixels, rows, meets = part
    down, along, y_along = strides
    vectors = tile.vectors

    def step(a: Any, b: Any, values: list[Any]) -> list[Any]:
        lines = [_Loads(tile, tile.at(a, i * down), along) for i in range(taps[0])]
        ys = _Loads(tile, b, y_along)
        sums = list(values)
        for pixel, pairs in meets:
            for i, xs in enumerate(lines):
                for row, tap in pairs:
                    place = ((row % chains * taps[0] + i) * taps[1] + tap) * vectors
                    for j in range(vectors):
                        factors = xs[pixel][j], ys[row][j]
                        sums[place + j] = tile.multiply_add(*factors, sums[place + j])
        return sums

    a, b = tile.at(a, pixel * along), tile.at(b, row * y_along)
    if count == 1:
        return step(a, b, values)
    return tile.loop(
        ir.Constant(I64, count), (pixels * along, rows * y_along), (a, b), values, step
    )
