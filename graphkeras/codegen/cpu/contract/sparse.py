"""Gradients of a convolution behind a maximum over windows, from the windows' winners alone.

The dense gradients multiply by a dy that is zero but for one element in each window. Here the
zeros are left out; `winners.py` says which elements are left, and when this is the cheaper way::

    gradient of the kernel                       gradient of the input
    for filter:                  shared out      for image:                     shared out
        sums = 0                                     dx = 0, with margins, in cache
    for image:                                       for lines of windows, for part of the taps:
        copy x, where it needs margins                   for filter:
        for lines of windows, for part of the taps:          for window:            `winner_patches`
            for filter:                                          dx patch += taps * dy
                for window:         `winner_sums`        epilogue, pixel by pixel
                    sums += x patch * dy
    epilogue, tap by tap

Whoever owns an element of the result adds to it in one order, images or filters ascending, so
that any number of threads gives the same bits.

**What differs from the dense product.** A position of y that won no window has no part in the
sums, even where x or the kernel is infinite or NaN there (the product adds 0 * inf = NaN to all it
meets). What a winner meets is computed as it stands, its dy zero or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.codegen.cpu.contract.winners import Part, Winners, find_winners
from graphkeras.codegen.kernel_ir import Reach
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import split_offset
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Load, as_index, least

GRAIN = 1 << 16
"""Multiply-adds worth a thread of their own."""
PLACE = "uint8"
_MARK = "({4} if ({0} < {1}) & (({2} != 0) | (not {3})) else 0)"
"""The bit of a window if it counts; from its winner's place, the places there are, its gradient,
whether all that it may meet is finite, and the bit."""


def lower_sparse(lowering: Lowering, hero: Node, rule: Contraction, choices: Choices) -> bool:
    """Writes the kernel, if the contraction is of this kind and cheaper so, or chosen."""
    plan = find_winners(hero, rule, lowering.operands)
    if plan is None or not (choices.winners or plan.is_cheaper):
        return False
    writer = _Sparse(lowering, hero, rule, plan)
    if plan.of_kernel:
        writer.kernel_gradient()
    else:
        writer.input_gradient()
    return True


class _Sparse:
    def __init__(self, lowering: Lowering, hero: Node, rule: Contraction, plan: Winners) -> None:
        self.lowering = lowering
        self.writer = lowering.writer
        self.hero = hero
        self.rule = rule
        self.plan = plan
        self.dtype = hero.types[0].dtype
        self.itemsize = hero.types[0].itemsize
        self.all_images = hero.inputs[0].type.shape[0]
        self.per_filter = plan.taps * plan.channels
        self.at = self.writer.add_scratch("int32", plan.filters * plan.together, 4, "at")
        self.winners = self.writer.add_scratch(INDEX, plan.filters, 8, "winners")
        self.share = Share(
            product((self.all_images, plan.windows, plan.filters, self.per_filter)), GRAIN
        )

    def _scratch(self, elements: int, name: str) -> str:
        return self.writer.add_scratch(self.dtype, elements, self.itemsize, name)

    def _zero(self, buffer: str, first: Expr, stop: Expr) -> None:
        with self.writer.loop(first, stop, "z") as z:
            self.writer.store(buffer, z, Const(self.dtype, 0.0))

    # ---- gradients

    def kernel_gradient(self) -> None:
        """Filters are shared out; each has its sums in scratch memory, [filter][tap][channel]."""
        writer, plan = self.writer, self.plan
        sums = self._scratch(plan.filters * self.per_filter, "sums")
        image = plan.image or self._scratch(plan.images * plan.strides[-1], "image")
        with writer.parallel_range(plan.filters, 1, self.share, "o") as filters:
            self._zero(sums, filters[0] * self.per_filter, filters[1] * self.per_filter)
            if not plan.image:
                self._zero(image, as_index(0), as_index(plan.images * plan.strides[-1]))
            images = as_index(self.all_images)
            with writer.loop(0, images, "image", plan.images) as first:
                count = self._count(first, images)
                if not plan.image:
                    self._copy(image, first, count)
                begin = writer.let(first * plan.strides[-1]) if plan.image else as_index(0)
                finite = self._is_finite(image, begin, count * plan.strides[-1])
                self._walk("winner_sums", (image, begin), (first, count), filters, sums, finite)
            with writer.loop(0, product(self.rule.m), "tap") as tap:
                m = [writer.let(i) for i in split_offset(tap, self.rule.m)]
                with writer.loop(*filters, "j") as j:
                    element = Load(self.dtype, sums, j * self.per_filter + tap)
                    acc = writer.pinned(element, "acc")
                    self.lowering.store_rows(self.hero, self.rule, [acc], [], m, [j])

    def input_gradient(self) -> None:
        """Images are shared out; dx is built in scratch memory."""
        writer, plan = self.writer, self.plan
        taps = self._scratch(plan.filters * self.per_filter, "taps")
        dx = self._scratch(plan.images * plan.strides[-1], "dx")
        with writer.parallel_range(self.all_images, 1, self.share, "image") as (low, high):
            self._turn(taps)
            elements = as_index(plan.filters * self.per_filter)
            finite = self._is_finite(taps, as_index(0), elements)
            with writer.loop(low, high, "image", plan.images) as first:
                count = self._count(first, high)
                self._zero(dx, as_index(0), writer.let(count * plan.strides[-1]))
                filters = as_index(0), as_index(plan.filters)
                image = dx, as_index(0)
                self._walk("winner_patches", image, (first, count), filters, taps, finite)
                with writer.loop(0, count, "i") as i:
                    self._finish_image(dx, first, i)

    def _finish_image(self, dx: str, first: Expr, i: Expr) -> None:
        writer = self.writer
        with writer.loop(0, product(self.rule.m[1:]), "pixel") as pixel:
            space = [writer.let(at) for at in split_offset(pixel, self.rule.m[1:])]
            place = writer.let(i * self.plan.strides[-1] + self._pixel(space))
            m = [writer.let(first + i), *space]
            with writer.loop(0, self.plan.channels, "j") as j:
                acc = writer.pinned(Load(self.dtype, dx, place + j), "acc")
                self.lowering.store_rows(self.hero, self.rule, [acc], [], m, [j])

    def _count(self, first: Expr, stop: Expr) -> Expr:
        if self.plan.images == 1:
            return as_index(1)
        return self.writer.let(least(as_index(self.plan.images), stop - first), "count")

    # ---- operands

    def _pixel(self, space: Sequence[Expr]) -> Expr:
        """Where a pixel lies in an image with margins."""
        total: Expr = as_index(0)
        for at, axis, stride in zip(space, self.plan.axes, self.plan.strides[:-1], strict=True):
            total = total + (at + -axis.first) * stride
        return total

    def _copy(self, image: str, first: Expr, count: Expr) -> None:
        """Copies images of x between their margins, which stay zero."""
        writer, plan = self.writer, self.plan
        space = tuple(axis.pixels for axis in plan.axes)
        with writer.loop(0, count, "i") as i, writer.loop(0, product(space), "pixel") as pixel:
            at = [writer.let(index) for index in split_offset(pixel, space)]
            place = writer.let(i * plan.strides[-1] + self._pixel(at))
            source = writer.let(first + i)
            with writer.loop(0, plan.channels, "c") as c:
                element = self.lowering.factor(self.hero.inputs[0], [source, *at, c], [])
                writer.store(image, place + c, element)

    def _turn(self, taps: str) -> None:
        """Copies the kernel as [filter][tap][channel], the last tap first."""
        writer, plan = self.writer, self.plan
        sizes = tuple(axis.taps for axis in plan.axes)
        with writer.loop(0, plan.taps, "tap") as tap:
            k = [writer.let(i) for i in split_offset(as_index(plan.taps - 1) - tap, sizes)]
            with (
                writer.loop(0, plan.filters, "o") as o,
                writer.loop(0, plan.channels, "c") as c,
            ):
                index, conditions = self.rule.rhs([], [*k, o], [c])
                element = self.lowering.factor(self.hero.inputs[1], index, conditions)
                writer.store(taps, o * self.per_filter + tap * plan.channels + c, element)

    # ---- winners

    def _is_finite(self, buffer: str, begin: Expr, count: Expr) -> Expr:
        """Whether all elements of some memory are finite."""
        writer = self.writer
        total = writer.mutable(Const(self.dtype, 0.0), "sum")
        with writer.loop(0, writer.let(count), "i") as i:
            element = writer.pinned(Load(self.dtype, buffer, begin + i), "x")
            # Zero, or NaN.
            zero = Apply(self.dtype, "({0} * {T}(0))", (element,))
            writer.assign(total, Apply(self.dtype, "add_any_order({0}, {1})", (total, zero)))
        return writer.pinned(Apply("bool", "({0} == {0})", (total,)), "finite")

    def _walk(
        self,
        tile: str,
        image: tuple[str, Expr],
        images: tuple[Expr, Expr],
        filters: tuple[Expr, Expr],
        kernel: str,
        finite: Expr,
    ) -> None:
        """All windows of some images, for some filters.

        Args:
            tile: What is done with the winners.
            image: Memory of the images, and where the first begins.
            images: The first image, and how many.
            filters: The first filter, and the one behind the last.
            kernel: Memory of the kernel.
            finite: Whether all that winners may meet is finite; then those of zero gradient are
                left out.
        """
        writer, plan = self.writer, self.plan
        lines = plan.axes[0].windows
        with writer.loop(0, lines, "line", plan.rows) as line:
            rows = as_index(plan.rows)
            if lines % plan.rows:
                rows = writer.let(least(rows, as_index(lines) - line), "rows")
            dy = images[0] * plan.walk[0][2] + line * plan.walk[1][2]
            self._mark(images[1], line, rows, dy, filters, finite)
            for part in plan.parts:
                in_part, in_kernel = plan.shift(part)
                name = self._tile(tile, part)
                with writer.loop(*filters, "o") as o:
                    writer.call(
                        f"{name}({{0}}, {image[0]}, {{1}}, {plan.dy}, {{2}}, {self.at}, {{3}}, "
                        f"{kernel}, {{4}})",
                        writer.pinned(Load(INDEX, self.winners, o), "winners"),
                        image[1] + in_part,
                        dy + o,
                        o,
                        o * self.per_filter + in_kernel,
                        reads=self._reads(images),
                    )

    def _mark(
        self,
        images: Expr,
        line: Expr,
        rows: Expr,
        dy: Expr,
        filters: tuple[Expr, Expr],
        finite: Expr,
    ) -> None:
        """Writes down where the patches of some windows begin, and which count: a bit a window."""
        writer, plan = self.writer, self.plan
        with writer.loop(*filters, "o") as o:
            writer.store(self.winners, o, as_index(0))
        loops = [(images, plan.walk[0][1]), (rows, plan.walk[1][1])]
        loops += [(as_index(extent or 0), step) for extent, step, _ in plan.walk[2:]]
        at: Expr = as_index(plan.start) + line * plan.walk[1][1]
        window: Expr = as_index(0)
        with ExitStack() as opened:
            for extent, step in loops:
                i = opened.enter_context(writer.loop(0, extent, "w"))
                at, window = at + i * step, window * extent + i
            window = writer.let(window, "window")
            bit = writer.let(Apply(INDEX, "(1 << {0})", (window,)), "bit")
            o = opened.enter_context(writer.loop(*filters, "o"))
            place = writer.let(Load(PLACE, plan.places, dy + window * plan.filters + o))
            begin = Apply("int32", "{0}", (at + self._within(place),))
            writer.store(self.at, window * plan.filters + o, begin)
            element = Load(self.dtype, plan.dy, dy + window * plan.filters + o)
            known = writer.pinned(Load(INDEX, self.winners, o), "winners")
            places = as_index(plan.places_of_window)
            counts = (place, places, writer.let(element), finite, bit)
            marked = Apply(INDEX, "({0} | {1})", (known, Apply(INDEX, _MARK, counts)))
            writer.store(self.winners, o, marked)

    def _within(self, place: Expr) -> Expr:
        """The offset in an image of a place of a window."""
        sizes = tuple(size for size, _ in self.plan.window)
        total: Expr = as_index(0)
        for at, (_, stride) in zip(split_offset(place, sizes), self.plan.window, strict=True):
            total = total + at * stride
        return total

    def _tile(self, factory: str, part: Part) -> str:
        """Name of the tile of a part, defined in the helpers."""
        name = f"{factory}_{part.lines}x{part.channels}"
        pieces = self.plan.pieces(part)
        self.writer.helpers.append(
            f"{name} = {factory}({self.dtype!r}, {self.plan.lanes}, {pieces}, {self.plan.filters})"
        )
        return name

    def _reads(self, images: tuple[Expr, Expr]) -> tuple[Reach, ...]:
        """What the windows of some images are read from."""
        plan, (first, count) = self.plan, images
        sizes = {plan.dy: plan.walk[0][2]}
        if plan.image:
            sizes[plan.image] = plan.strides[-1]
        return tuple(
            Reach(buffer, first * size, (first + count) * size - 1)
            for buffer, size in sizes.items()
        )


__all__ = ["lower_sparse"]
