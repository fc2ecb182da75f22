"""What the kernels of convolutions of single channels share: operands, places, panels, epilogue.

The batch dim of such a contraction is the channel, contiguous in all three tensors, and nothing
is left to multiply as matrices (n is one). Channels are the lanes of the tiles in
`cpu/channel_tile.py`, some vectors of them are a *panel*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from graphkeras.codegen.cpu.contract.access import linear
from graphkeras.codegen.cpu.contract.channel_plan import GRAIN, SUMS_GRAIN, Shape
from graphkeras.codegen.cpu.contract.meeting import ONE_LINE, Axis, Lines
from graphkeras.codegen.cpu.contract.source import Source, find_source
from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Share
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Expr, Load, Var, as_index, greatest, least

MOST_TAPS = 16
"""In a line; each is straight code for every row of a tile."""


@frozen
class Channels:
    """A convolution of single channels, or the gradient of its kernel."""

    lowering: Lowering
    hero: Node
    rule: Contraction
    images: str
    """The group of dims that begins with the image: m of a convolution, k of a kernel's gradient, b
    of those of each image."""
    height: Axis
    """Across lines."""
    line: Axis
    """Along a line."""
    x: Source
    other: Source | None
    """Where w lies, or dy; None: at no strides that are known here."""

    @property
    def dtype(self) -> str:
        """Of all operands."""
        return self.hero.types[0].dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.hero.types[0].itemsize

    @property
    def channels(self) -> int:
        """How many there are."""
        return number(self.rule.batch[-1])

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return max(1, target().lanes * 4 // self.itemsize)

    @property
    def vectors(self) -> int:
        """Vectors that hold all channels."""
        return -(-self.channels // self.lanes)

    @property
    def x_steps(self) -> tuple[int, int, int]:
        """Strides of images, lines and pixels in x."""
        image, *space, _ = self.x.strides.dims[0]
        return image, space[0] if len(space) == 2 else 0, space[-1]

    @property
    def shape(self) -> Shape:
        """What the choices depend on."""
        sums = self.images != "m"
        machine = self.lanes, target().registers
        return Shape(self.height, self.line, self.vectors, *machine, sums, self.bands)

    @property
    def bands(self) -> int:
        """Bands of lines in an image that have sums of their own."""
        return number(self.rule.batch[1]) if self.images == "b" else 1

    @property
    def share(self) -> Share:
        """The work, in multiply-adds."""
        rule = self.rule
        grain = SUMS_GRAIN if self.images == "b" else GRAIN
        return Share(product((*rule.batch, *rule.m, *rule.k)), grain)

    def panels(
        self, columns: tuple[Expr, Expr], width: int, write: Callable[[Expr, int], None]
    ) -> None:
        """Calls `write` with the first channel of each panel in `columns`, and how many it has.

        Args:
            columns: Their first channel, that of a panel, and the first behind them.
            width: Channels of a whole panel.
            write: Writes what is done for one.
        """
        writer, (begin, end) = self.lowering.writer, columns
        whole = self.channels // width * width
        if whole:
            stop = end if whole == self.channels else writer.let(least(end, as_index(whole)))
            with writer.loop(begin, stop, "p", width) as column:
                write(column, width)
        if whole < self.channels:
            with writer.when(as_index(whole) < end):
                write(as_index(whole), self.channels - whole)

    @contextmanager
    def chunks(self, columns: tuple[Expr, Expr], most: int) -> Iterator[tuple[Expr, Expr]]:
        """A loop over `columns` in runs of at most `most` channels."""
        if self.channels <= most:
            yield columns
            return
        writer, (begin, end) = self.lowering.writer, columns
        with writer.loop(begin, end, "chunk", most) as first:
            yield first, writer.let(least(first + most, end))

    def columns_of(
        self, unit: Expr, units: tuple[Expr, Expr], panels: int, width: int
    ) -> tuple[Expr, Expr]:
        """Which channels of `unit` a thread has that is given the panels `units` of all units."""
        let, (low, high) = self.lowering.writer.let, units
        first = unit * panels
        begin = let(greatest(low - first, as_index(0)) * width)
        return begin, let(least((high - first) * width, as_index(self.channels)))

    def finish(self, buffer: str, place: Expr, b: Sequence[Expr], m: Sequence[Expr]) -> None:
        """The epilogue of one element, which lies at `place`."""
        element = self.lowering.writer.pinned(Load(self.dtype, buffer, place), "acc")
        self.lowering.store_rows(self.hero, self.rule, [element], b, m, [as_index(0)])

    def lines(self, at: Expr, *, by_tap: bool) -> Lines:
        """Lines of x that meet the line `at` of y, by its taps; or of taps, by positions of y.

        With `n` for the one that is searched, n * step = low - off (mod gap) has every gap-th n
        as a solution, because step and gap have no common divisor.
        """
        axis, let = self.height, self.lowering.writer.let
        if by_tap:
            total, step, others, other_step = axis.taps, axis.spread, axis.positions, axis.stride
        else:
            total, step, others, other_step = axis.positions, axis.stride, axis.taps, axis.spread
        off = at * other_step
        first = let(greatest(as_index(axis.low + step - 1) - off, as_index(0)) // step)
        if axis.gap > 1:
            inverse = pow(step, -1, axis.gap)
            most = inverse * (others * other_step + abs(axis.low)) + abs(axis.low) + step
            positive = axis.low * inverse + axis.gap * most
            first = let(first + (as_index(positive) - off * inverse - first) % axis.gap)
        top = (axis.pixels - 1) * axis.gap + axis.low + step
        stop = least(greatest(as_index(top) - off, as_index(0)) // step, as_index(total))
        count = greatest(stop - first + (axis.gap - 1), as_index(0)) // axis.gap
        line = greatest(first * step + off - axis.low, as_index(0)) // axis.gap
        return Lines(let(count, "count"), first, let(line), axis.gap, step)


def find_channels(lowering: Lowering, hero: Node, rule: Contraction) -> Channels | None:
    """The contraction, if it is of this kind and x lies in memory, channels side by side."""
    axes = _axes(hero, rule)
    if axes is None:
        return None
    rank = len(hero.inputs[0].type.shape)
    x = find_source(hero.inputs[0], lambda place: place, [rank], lowering.operands)
    if x is None or x.strides.dims[0][-1] != 1:
        return None
    other = find_source(
        hero.inputs[1],
        lambda b, k, n: rule.rhs(b, k, n)[0],
        [len(rule.batch), len(rule.k), len(rule.n)],
        lowering.operands,
    )
    if other is not None and other.strides.dims[0][-1] != 1:
        other = None
    return Channels(lowering, hero, rule, _images(rule), *axes, x, other)


def _names(rule: Contraction) -> tuple[list[Var], list[Var], list[Var]]:
    b, m, k = (
        [Var(INDEX, f"{group}{i}") for i in range(len(dims))]
        for group, dims in (("b", rule.batch), ("m", rule.m), ("k", rule.k))
    )
    return b, m, k


def _images(rule: Contraction) -> str:
    """The group of dims that begins with the image."""
    assert rule.view is not None
    image = rule.view.place(*_names(rule))[0]
    return next(group for group in "bmk" if image == Var(INDEX, f"{group}0"))


def _axes(hero: Node, rule: Contraction) -> tuple[Axis, Axis] | None:
    """Across lines and along a line, or None where this is no convolution of single channels."""
    view, shape = rule.view, hero.inputs[0].type.shape
    if view is None or len(shape) > 4 or not rule.batch or product(rule.n) != 1:
        return None
    if rule.batch[-1] != shape[-1] or rule.together:
        return None
    images = _images(rule)
    if len(rule.batch) != (3 if images == "b" else 1):
        return None
    # The other group of dims ends with the one channel of a group.
    positions = {"m": rule.m[1:], "k": rule.k[1:], "b": rule.k}[images]
    if images == "b":
        positions = (positions[0] * rule.batch[1], *positions[1:])
    taps = rule.k[:-1] if images == "m" else rule.m[:-1]
    of_y, of_w = ("m", "k") if images == "m" else ("k", "m")
    skip = 0 if images == "b" else 1
    axes = []
    for d, at in enumerate(view.place(*_names(rule))[1:-1]):
        form = linear(at)
        assert form is not None
        stride, spread = form.get(f"{of_y}{d + skip}", 0), form.get(f"{of_w}{d}", 0)
        sizes = number(shape[d + 1]), number(positions[d]), number(taps[d])
        axes.append(Axis(*sizes, stride, spread, view.low[d], view.gaps[d]))
    if axes[-1].taps > MOST_TAPS:
        return None
    return (axes[0] if len(axes) == 2 else ONE_LINE), axes[-1]
