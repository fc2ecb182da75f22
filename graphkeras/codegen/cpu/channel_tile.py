"""Register tiles of a convolution of each channel by itself: channels are the vector lanes.

    y[row, c] = sum over taps of x[row's pixel of the tap, c] * w[tap, c]        `block_tile`
    w[tap, c] += sum over rows of x[row's pixel of the tap, c] * y[row, c]       `block_sums`
                                                                           and `line_sums`

Nothing is broadcast: one multiply-add takes a vector of x and one of w. What keeps the arithmetic
busy is that neighbouring rows share pixels, so a tile goes along the pixels of x, loads each one
once, and uses it for every (row, tap) that meets there. Lines share lines of x in the same way::

    pixel   0    1    2    3     3 taps, stride 1
    row 0   t0   t1   t2         5 loads of x for 9 multiply-adds; the accumulators, and mostly
    row 1        t0   t1   t2    the taps, are in registers
    row 2             t0   t1 ..

Which rows and taps, and which lines, meet is a constant of the tile. So a tile at the border of an
image has fewer taps, and no zeros are laid out around it. Where a window is large, its lines of
taps are a loop, and those that meet no line of x are left out by its count.
"""

from __future__ import annotations

from itertools import product as combinations
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


def block_tile(
    dtype: str,
    lanes: int,
    valid: int,
    rows: tuple[int, int],
    meets: tuple[Meets, Meets],
    x: tuple[int, int],
    w: tuple[int, int],
    c: tuple[int, int],
    padded: bool,
    down: tuple[int, int] | None = None,
) -> Intrinsic:
    """The tile `tile(x, x_offset, w, w_offset, c, c_offset)` for kernel text.

    Pointers, and offsets in elements. Writes `valid` channels of a block of lines and rows. With
    `down` the tile begins with an argument that says how often, none included, what meets is added
    up, each time that much further in x and w.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        valid: Channels; no more are read.
        rows: Lines of the block, and rows in each.
        meets: Which lines of the block and lines of taps meet at the lines of x, and which rows
            and taps at their pixels.
        x: Strides in x from line to line, and from pixel to pixel.
        w: Strides in w from line to line, and from tap to tap.
        c: Strides in c from line to line, and from row to row.
        padded: Whether whole vectors are written; else only the `valid` channels.
        down: Steps in x and w.
    """
    vectors = -(-valid // lanes)

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, vectors, (), valid)
        *counts, x_base, x_at, w_base, w_at, c_base, c_at = arguments
        a, b, result = tile.at(x_base, x_at), tile.at(w_base, w_at), tile.at(c_base, c_at)

        def step(a: Any, b: Any, values: list[Any]) -> list[Any]:
            return _add_block(tile, meets, (x, w), rows[1], a, b, values)

        sums = [tile.zero] * (rows[0] * rows[1] * vectors)
        if down is None:
            sums = step(a, b, sums)
        else:
            sums = tile.loop(counts[0], down, (a, b), sums, step, may_be_empty=True)
        for n, value in enumerate(sums):
            at, j = divmod(n, vectors)
            i, row = divmod(at, rows[1])
            place = tile.at(result, i * c[0] + row * c[1])
            tile.store_columns(value, place, j, padded=padded)

    kinds = (*["int64"] * (down is not None), *[f"{dtype}*", "int64"] * 3)
    return Intrinsic("tile", kinds, "void", emit)


def _add_block(
    tile: Tile,
    meets: tuple[Meets, Meets],
    strides: tuple[tuple[int, int], tuple[int, int]],
    rows: int,
    a: Any,
    b: Any,
    values: list[Any],
) -> list[Any]:
    """The sums [line][row][vector], and what meets at some lines of x."""
    x, w = strides
    vectors, sums = tile.vectors, list(values)
    taps: dict[int, _Loads] = {}
    for at, lines in meets[0]:
        pixels = _Loads(tile, tile.at(a, at * x[0]), x[1])
        for pixel, pairs in meets[1]:
            for (i, tap_line), (row, tap) in combinations(lines, pairs):
                if tap_line not in taps:
                    taps[tap_line] = _Loads(tile, tile.at(b, tap_line * w[0]), w[1])
                for j in range(vectors):
                    n = (i * rows + row) * vectors + j
                    factors = pixels[pixel][j], taps[tap_line][tap][j]
                    sums[n] = tile.multiply_add(*factors, sums[n])
    return sums


def block_sums(
    dtype: str,
    lanes: int,
    valid: int,
    meets: tuple[Meets, Meets],
    x: tuple[int, int],
    y: tuple[int, int],
    c: tuple[int, int],
) -> Intrinsic:
    """`sums(x, x_offset, y, y_offset, c, c_offset)` for kernel text: adds a block to all taps.

    Args:
        dtype: Of all operands.
        lanes: Of a vector.
        valid: Channels; no more are read.
        meets: Which lines of the block and lines of taps meet at the lines of x, and which rows
            and taps at their pixels.
        x: Strides in x from line to line, and from pixel to pixel.
        y: Strides in y from line to line, and from row to row.
        c: Strides in c from line to line of taps, and from tap to tap; whole vectors.
    """
    vectors = -(-valid // lanes)

    def emit(builder: Any, arguments: list[Any]) -> None:
        tile = Tile(builder, dtype, lanes, vectors, (), valid)
        a, b, result = (tile.at(*arguments[i : i + 2]) for i in (0, 2, 4))
        ys: dict[int, _Loads] = {}
        sums: dict[int, Any] = {}
        for at, lines in meets[0]:
            pixels = _Loads(tile, tile.at(a, at * x[0]), x[1])
            for pixel, pairs in meets[1]:
                for (i, tap_line), (row, tap) in combinations(lines, pairs):
                    if i not in ys:
                        ys[i] = _Loads(tile, tile.at(b, i * y[0]), y[1])
                    for j in range(vectors):
                        place = tap_line * c[0] + tap * c[1] + j * lanes
                        if place not in sums:
                            sums[place] = tile.load(result, place)
                        factors = pixels[pixel][j], ys[i][row][j]
                        sums[place] = tile.multiply_add(*factors, sums[place])
        for place, value in sums.items():
            tile.store(value, result, place)

    return Intrinsic("sums", (f"{dtype}*", "int64") * 3, "void", emit)


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
