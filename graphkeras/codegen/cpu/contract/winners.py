"""Which gradients of a convolution need only the winners of a maximum over windows, and how.

The gradient dy of the convolution's result is zero but for one element in each window. Multiplying
by all of it is a product with three zeros of four for windows of 2 x 2. For one winner at
position p of y, tap t of the kernel meets the pixel

    p * step + t * spread + origin          of x, whose gradient or value it is

so both gradients are sums over windows of patches of the image (`winner_tile.py`), where "image"
is x for the gradient of the kernel and dx for that of the input. The plan says how a patch is cut
in parts whose taps fit the registers, and how many windows are walked before the next part; its
cycles are compared with those of the product, and the cheaper of the two is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product as combinations
from math import prod

from graphkeras.codegen.cpu.contract.access import linear
from graphkeras.codegen.cpu.contract.source import find_source
from graphkeras.codegen.cpu.target import target
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Contraction, get_op
from graphkeras.ir.scalar import INDEX, Var

CACHE_BYTES = 24 << 10
"""Of an image that is walked together: about half of a first-level cache."""
IMAGE_ELEMENTS = 1 << 18
"""Most elements of a copy of an image: 1 MiB of float32, half a second-level cache."""
KERNEL_ELEMENTS = 1 << 20
"""Most elements of the kernel, of which every thread has a copy."""
MOST_WINDOWS = 62
"""Windows that are walked together: bits of an integer."""
WINNER_CYCLES = 2.0
"""Cycles of a winner besides its patch."""
LOAD_CYCLES, STORE_CYCLES = 0.75, 1.3
"""Cycles of a vector of a patch that is read; that is read and written."""
LATENCY = 4.0
"""Cycles until the next multiply-add on an accumulator."""
OTHER_REGISTERS = 4
"""Registers that hold neither taps nor sums."""
PRODUCT_SHARE = 0.8
"""Share of the multiply-adds' peak rate that the dense product reaches."""


@frozen
class Axis:
    """One spatial dim."""

    pixels: int
    """Of the image."""
    windows: int
    size: int
    """Positions of y in a window."""
    taps: int
    step: int
    """Pixels from a position of y to the next."""
    spread: int
    """Pixels from a tap to the next."""
    origin: int
    """Pixel of the first tap at position 0."""

    @property
    def first(self) -> int:
        """First pixel that exists or is met; what lies outside the image is a margin."""
        return min(0, self.origin)

    @property
    def extent(self) -> int:
        """Pixels with margins."""
        last = (self.windows * self.size - 1) * self.step + (self.taps - 1) * self.spread
        return max(self.pixels, last + self.origin + 1) - self.first


@frozen
class Part:
    """Taps and channels that are held in registers together."""

    line: int
    """First line of taps."""
    lines: int
    channel: int
    """First channel."""
    channels: int


@frozen
class Winners:
    """The plan of one gradient."""

    of_kernel: bool
    """The gradient of the kernel, not of the input."""
    axes: tuple[Axis, ...]
    channels: int
    filters: int
    dy: str
    """Memory of the windows' gradients, [image, *windows, filter]."""
    places: str
    """Memory of the winners' places, likewise."""
    image: str
    """Memory of x, where it is read in place; else images are copied, or dx is built in scratch."""
    lanes: int
    parts: tuple[Part, ...]
    images: int
    """Images that are walked together."""
    rows: int
    """Lines of windows that are walked together."""
    is_cheaper: bool = False
    """Whether it is estimated to take less time than the product with its zeros."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements of the image from pixel to pixel, margins included; the last is a whole image's.

        In the order of the axes.
        """
        extents = [axis.extent for axis in self.axes]
        inner = [number(product(extents[d + 1 :])) * self.channels for d in range(len(extents))]
        return (*inner, number(product(extents)) * self.channels)

    @property
    def taps(self) -> int:
        """Taps of the kernel."""
        return number(product([axis.taps for axis in self.axes]))

    def pieces(self, part: Part) -> tuple[tuple[int, int, int], ...]:
        """The registers of a part: offset in the image, in the kernel, and elements of each."""
        *outer, last = self.axes
        lines = [range(part.lines), *(range(axis.taps) for axis in outer[1:])] if outer else []
        taps = range(last.taps if outer else part.lines)
        run = part.channels
        if run == self.channels and last.spread == 1:
            # The channels of neighbouring taps are neighbours.
            run, taps = run * len(taps), range(1)
        found = []
        for tap in combinations(*lines, taps):
            at = sum(
                t * axis.spread * s
                for t, axis, s in zip(tap, self.axes, self.strides[:-1], strict=True)
            )
            flat = 0
            for t, axis in zip(tap, self.axes, strict=True):
                flat = flat * axis.taps + t
            for c in range(0, run, self.lanes):
                found.append((at + c, flat * self.channels + c, min(self.lanes, run - c)))
        return tuple(found)

    def shift(self, part: Part) -> tuple[int, int]:
        """Where a part begins in the image, and in the kernel."""
        axis, per_line = self.axes[0], self.taps // self.axes[0].taps
        in_image = part.line * axis.spread * self.strides[0] + part.channel
        return in_image, part.line * per_line * self.channels + part.channel

    @property
    def walk(self) -> tuple[tuple[int | None, int, int], ...]:
        """Loops over images, lines of windows and windows: extent, stride in the image, in dy."""
        extents = [axis.windows for axis in self.axes]
        loops: list[tuple[int | None, int, int]] = []
        for d, axis in enumerate(self.axes):
            in_dy = number(product(extents[d + 1 :])) * self.filters
            in_image = axis.size * axis.step * self.strides[d]
            loops.append((axis.windows if d else None, in_image, in_dy))
        return ((None, self.strides[-1], self.windows * self.filters), *loops)

    @property
    def together(self) -> int:
        """Most windows that are walked together."""
        return self.images * self.rows * (self.windows // self.axes[0].windows)

    @property
    def start(self) -> int:
        """Where the patch of place 0 in the first window begins, margins included."""
        steps = zip(self.axes, self.strides[:-1], strict=True)
        return sum((axis.origin - axis.first) * stride for axis, stride in steps)

    @property
    def places_of_window(self) -> int:
        """Elements of a window."""
        return prod(axis.size for axis in self.axes)

    @property
    def windows(self) -> int:
        """Windows of an image."""
        return number(product([axis.windows for axis in self.axes]))

    @property
    def window(self) -> tuple[tuple[int, int], ...]:
        """Size of a window, and the stride of its elements in the image."""
        return tuple(
            (axis.size, axis.step * stride)
            for axis, stride in zip(self.axes, self.strides[:-1], strict=True)
        )


def find_winners(hero: Node, rule: Contraction, buffers: Mapping[Value, str]) -> Winners | None:
    """The plan of a gradient by winners; None where there is none.

    Args:
        hero: The contraction.
        rule: Its rule.
        buffers: Name of the memory of every value of the kernel that lies in memory.
    """
    if rule.view is None or rule.batch or rule.together or len(rule.n) != 1:
        return None
    for which, value in enumerate(hero.inputs):
        found = _scattered(value, buffers)
        if found is None:
            continue
        axes = _axes(hero, rule, which, found[0])
        if axes is not None:
            return _plan(hero, rule, bool(which), axes, found[1:], buffers)
    return None


def _scattered(
    value: Value, buffers: Mapping[Value, str]
) -> tuple[tuple[int, ...], str, str] | None:
    """Spatial size of the windows of dy, and the memory of their gradients and of their places."""
    node = value.producer
    if node is None:
        return None
    rule = get_op(node.op).scattered
    found = rule(node) if rule is not None else None
    if found is None or found.window[0] != 1 or found.window[-1] != 1:
        return None
    dy, places = (_memory(operand, buffers) for operand in node.inputs)
    if dy is None or places is None or node.inputs[1].type.dtype != "uint8":
        return None
    return found.window[1:-1], dy, places


def _memory(value: Value, buffers: Mapping[Value, str]) -> str | None:
    """The memory in which a value lies whole, row-major and from the beginning."""
    shape = value.type.shape
    found = find_source(value, lambda place: place, [len(shape)], buffers)
    if found is None or found.strides.start or not all(isinstance(d, int) for d in shape[1:]):
        return None
    steps = tuple(number(product(shape[d + 1 :])) for d in range(len(shape)))
    known = zip(shape, found.strides.dims[0], steps, strict=True)
    return found.buffer if all(d == 1 or own == step for d, own, step in known) else None


def _axes(
    hero: Node, rule: Contraction, which: int, window: Sequence[int]
) -> tuple[Axis, ...] | None:
    """The spatial dims of the gradient whose operand `which` is dy; None for other contractions."""
    view = rule.view
    assert view is not None
    m, n, k = (
        [Var(INDEX, f"{group}{i}") for i in range(len(dims))]
        for group, dims in (("m", rule.m), ("n", rule.n), ("k", rule.k))
    )
    place = view.place([], m, k)
    shape = hero.inputs[which].type.shape
    # The kernel's gradient sums over positions of y, the input's has pixels as its rows.
    images, taps = (k, m) if which else (m, k)
    if place[0] != images[0] or place[-1] != taps[-1] or len(place) != len(images) + 1:
        return None
    if which and list(rule.rhs([], k, n)[0]) != [*k, *n]:
        return None
    extents = {str(v.name): d for v, d in zip((*m, *k), (*rule.m, *rule.k), strict=True)}
    axes = []
    for d, at in enumerate(place[1:-1]):
        form = linear(at)
        assert form is not None
        of_image, spread = form.get(images[d + 1].name, 0), form.get(taps[d].name, 0)
        gap, low, count = view.gaps[d], view.low[d], number(extents[taps[d].name])
        windows = number(shape[d + 1]) // window[d]
        if which and gap == 1:
            pixels = number(hero.inputs[0].type.shape[d + 1])
            axes.append(Axis(pixels, windows, window[d], count, of_image, spread, -low))
        elif not which and of_image == 1:
            # pixel + tap * spread = position * gap + low: taps from the last to the first.
            pixels = number(extents[images[d + 1].name])
            origin = low - (count - 1) * spread
            axes.append(Axis(pixels, windows, window[d], count, gap, spread, origin))
        else:
            return None
    return tuple(axes) if all(axis.windows for axis in axes) else None


def _plan(
    hero: Node,
    rule: Contraction,
    of_kernel: bool,
    axes: tuple[Axis, ...],
    memory: Sequence[str],
    buffers: Mapping[Value, str],
) -> Winners | None:
    kind, cpu = hero.types[0], target()
    lanes = max(1, cpu.lanes * 4 // kind.itemsize)
    channels, filters = (rule.m[-1], rule.n[0]) if of_kernel else (rule.n[0], rule.k[-1])
    in_place = of_kernel and all(axis.extent == axis.pixels for axis in axes)
    plan = Winners(
        of_kernel=of_kernel,
        axes=axes,
        channels=number(channels),
        filters=number(filters),
        dy=memory[0],
        places=memory[1],
        image=(in_place and _memory(hero.inputs[0], buffers)) or "",
        lanes=lanes,
        parts=(),
        images=1,
        rows=1,
    )
    line, whole = plan.walk[1][1], plan.strides[-1]
    per_line = plan.windows // axes[0].windows
    if per_line > MOST_WINDOWS:
        return None
    room = CACHE_BYTES // kind.itemsize
    bands = -(-axes[0].windows // max(1, min(room // line, MOST_WINDOWS // per_line)))
    fit = max(1, min(room // whole, MOST_WINDOWS // plan.windows)) if bands == 1 else 1
    plan = replace(plan, images=fit, rows=-(-axes[0].windows // bands))
    copies = not plan.image and plan.images * whole > IMAGE_ELEMENTS
    if copies or plan.taps * plan.channels * plan.filters > KERNEL_ELEMENTS:
        return None
    cut = min(_cuts(plan, cpu.registers), key=_cycles, default=None)
    by_image = [d for d in (*rule.m, *rule.n, *rule.k) if isinstance(d, int)]
    images = hero.inputs[0].type.shape[0]
    dense = number(product(by_image)) / (images if isinstance(images, int) else 1)
    if cut is None:
        return None
    return replace(cut, is_cheaper=_cycles(cut) < dense / (2 * lanes * PRODUCT_SHARE))


def _cuts(plan: Winners, registers: int) -> Iterator[Winners]:
    """The plan with its patches cut in every way whose parts fit the registers."""
    vectors, lines = -(-plan.channels // plan.lanes), plan.axes[0].taps
    for held in range(1, vectors + 1):
        for together in range(1, lines + 1):
            width = held * plan.lanes
            parts = tuple(
                Part(line, min(together, lines - line), c, min(width, plan.channels - c))
                for line in range(0, lines, together)
                for c in range(0, plan.channels, width)
            )
            if max(len(plan.pieces(part)) for part in parts) <= registers - OTHER_REGISTERS:
                yield replace(plan, parts=parts)


def _cycles(plan: Winners) -> float:
    """Cycles of an image in which every winner has a gradient."""
    total = 0.0
    for part in plan.parts:
        pieces = len(plan.pieces(part))
        patch = pieces * (LOAD_CYCLES if plan.of_kernel else STORE_CYCLES)
        ends = 2 * pieces * STORE_CYCLES / plan.together
        total += WINNER_CYCLES + max(patch, LATENCY) + ends
    return total * plan.windows * plan.filters
