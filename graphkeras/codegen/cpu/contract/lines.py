"""Lines of an image that a Winograd convolution transforms, copied with zeros around them.

A line of tiles reads four lines of x (two of dy); the last two of them are also read by the next
line of tiles::

    line of tiles 0     x: 0 1 2 3
    line of tiles 1            2 3 4 5        `known` = 2 of its lines are in the copy already

What the image is, a place in memory or a tree of operations fused in front of the convolution, is
computed here, vector by vector of channels. What lies outside of the image is zero, not computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.lower import Lowering
from graphkeras.ir.dims import number
from graphkeras.ir.graph import Value
from graphkeras.ir.scalar import Apply, Const, Expr, as_index, conjunction, least

Span = tuple[Expr, Expr]


class LineCopy:
    """A copy of lines of an image `[N, height, width, channels]`, in scratch memory.

    Args:
        lowering: What computes an element of the image.
        image: The image.
        size: Its height and width.
        origin: Line and column where the first patch begins; below zero in the padding.
        cells: Pixels of a line of the copy.
        pixel: Elements from pixel to pixel of the copy, no fewer than the channels copied.
    """

    def __init__(
        self,
        lowering: Lowering,
        image: Value,
        size: tuple[int, int],
        origin: tuple[int, int],
        cells: int,
        pixel: int,
    ) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.image = image
        self.size = size
        self.left = origin[1]
        self.cells = cells
        self.pixel = pixel
        self.line = cells * pixel
        """Elements from line to line."""
        self.channels = number(image.type.shape[3])
        self.lanes = max(1, target().lanes * 4 // image.type.itemsize)
        self.zero = Const(image.type.dtype, 0.0)
        self.buffer = ""

    def allocate(self, lines: int) -> None:
        """Takes scratch memory for so many lines."""
        kind = self.image.type
        self.buffer = self.writer.add_scratch(kind.dtype, lines * self.line, kind.itemsize, "view")

    def write(
        self, image: Expr, top: Expr, known: Expr, lines: int, start: Expr, vectors: Span
    ) -> None:
        """Writes the lines of one image from `top + known` to `top + lines`.

        Args:
            image: Which one.
            top: Line of the image that belongs at `start`.
            known: Lines that are there already.
            lines: Lines there are to be.
            start: Where they begin in the copy.
            vectors: Vectors of channels to copy; the first is copied to the beginning of a pixel.
        """
        writer, height = self.writer, self.size[0]
        with writer.loop(known, as_index(lines), "i") as i:
            line, place = writer.let(top + i, "from"), writer.let(start + i * self.line, "to")
            inside = conjunction([line >= 0, line < height])
            assert inside is not None
            inside = writer.let(inside, "inside")
            with writer.when(inside):
                self._copy(image, line, place, vectors)
            with writer.when(Apply("bool", "(not {0})", (inside,))):
                self._zeros(place, 0, self.cells)

    def _copy(self, image: Expr, line: Expr, place: Expr, vectors: Span) -> None:
        """One line that exists: zeros, its pixels, zeros."""
        begin = max(0, -self.left)
        end = max(begin, min(self.cells, self.size[1] - self.left))
        self._zeros(place, 0, begin)
        with self.writer.loop(begin, as_index(end), "x") as x:
            column = x + self.left if self.left >= 0 else x - -self.left
            to = self.writer.let(place + x * self.pixel - vectors[0] * self.lanes, "to")
            self._pixel([image, line, column], to, vectors)
        self._zeros(place, end, self.cells)

    def _pixel(self, at: Sequence[Expr], place: Expr, vectors: Span) -> None:
        """Some vectors of one pixel; channel 0 belongs at `place`."""
        writer, lanes = self.writer, self.lanes
        whole, rest = divmod(self.channels, lanes)

        def copy(first: Expr, count: int) -> None:
            with writer.loop(0, as_index(count), "c") as c:
                element = self.lowering.factor(self.image, [*at, first + c], [])
                writer.store(self.buffer, place + first + c, element)

        if whole:
            with writer.loop(vectors[0], least(vectors[1], as_index(whole)), "v") as v:
                copy(writer.let(v * lanes, "first"), lanes)
        if rest:
            with writer.when(vectors[1] >= whole + 1):
                copy(as_index(whole * lanes), rest)

    def _zeros(self, place: Expr, first: int, stop: int) -> None:
        """Zeros for the pixels from `first` to `stop` of a line."""
        if stop > first:
            with self.writer.loop(first * self.pixel, as_index(stop * self.pixel), "z") as z:
                self.writer.store(self.buffer, place + z, self.zero)


__all__ = ["LineCopy"]
