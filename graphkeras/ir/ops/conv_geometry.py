"""Where the windows of a convolution lie.

x, dilated by `lhs_dilation` and padded      0 0 x . x . x 0      low = 2, gap = 2, high = 1
window o, kernel position k                      ^ o * stride + k * rhs_dilation

Where x is dilated, window o meets elements of x with every few kernel positions only, the same
ones for every few windows: a *phase* is those windows and those kernel positions, and is a
convolution of x as it is. The gradient of a 3x3 convolution with stride 2 has four, which
compute a quarter of the products:

    dy dilated    . 0 . 0 . 0 .        even windows    w[1]           of dy[o]
    3 positions   w w w                odd windows     w[0], w[2]     of dy[o], dy[o + 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product as combinations
from math import gcd
from typing import Any

from graphkeras.frozen import frozen
from graphkeras.ir.op import Attrs
from graphkeras.ir.ops.common import (
    equal_index,
    expect_count,
    expect_dtype,
    expect_length,
    expect_positive,
    expect_same_dtype,
    fail,
    static,
)
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import TensorType


@frozen
class Geometry:
    """Where windows lie: sizes of x, kernel and y, and the attributes, one entry a spatial dim."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    y: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]
    groups: int
    channels: int
    filters: int

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes of a `conv` with this geometry."""
        names = ("strides", "padding", "lhs_dilation", "rhs_dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def result(self, x: TensorType) -> TensorType:
        """Type of y for a batch of images x."""
        return x.with_shape((x.shape[0], *self.y, self.filters))

    def position(self, y: Sequence[Expr], kernel: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
        """Spatial position in x that meets kernel position `kernel` for y position `y`.

        Conditions are given only where the position can fall outside x.
        """
        return self.source(self.place(y, kernel))

    def place(self, y: Sequence[Expr], kernel: Sequence[Expr]) -> list[Expr]:
        """Spatial position in x dilated and padded."""
        return [
            y[d] * self.strides[d] + kernel[d] * self.rhs_dilation[d] for d in range(len(self.x))
        ]

    @property
    def extents(self) -> tuple[int, ...]:
        """Spatial sizes of the part of x dilated and padded that some window covers."""
        return tuple(
            (self.y[d] - 1) * self.strides[d] + (self.kernel[d] - 1) * self.rhs_dilation[d] + 1
            for d in range(len(self.x))
        )

    @property
    def inside(self) -> tuple[tuple[int, int] | None, ...]:
        """Where x begins and ends in each spatial dim; None where it is dilated."""
        return tuple(
            None if gap > 1 else (max(0, low), min(extent, low + size))
            for extent, size, (low, _), gap in zip(
                self.extents, self.x, self.padding, self.lhs_dilation, strict=True
            )
        )

    def source(self, place: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
        """Spatial position in x of a position in x dilated and padded, and conditions.

        Conditions are given only where the position can fall outside x.
        """
        where: list[Expr] = []
        conditions: list[Expr] = []
        for d, extent in enumerate(self.extents):
            low, gap = self.padding[d][0], self.lhs_dilation[d]
            at = place[d] - low if low >= 0 else place[d] + -low
            if low > 0:
                conditions.append(at >= 0)
            if extent - 1 - low > (self.x[d] - 1) * gap:
                conditions.append(at < (self.x[d] - 1) * gap + 1)
            if gap > 1:
                conditions.append(equal_index(at % gap, as_index(0)))
            where.append(at // gap)
        return where, conditions

    def phases(self) -> list[Phase]:
        """The phases that the windows fall into: one where x is not dilated."""
        axes = [self._phases_along(d) for d in range(len(self.x))]
        return [self._phase(each) for each in combinations(*axes)]

    def _phases_along(self, d: int) -> list[_Along]:
        gap, stride, spread = self.lhs_dilation[d], self.strides[d], self.rhs_dilation[d]
        apart, tap_step = gap // gcd(gap, stride), gap // gcd(gap, spread)
        found = []
        for first in range(min(apart, self.y[d])):
            low = self.padding[d][0] - first * stride
            meeting = (t for t in range(tap_step) if (t * spread - low) % gap == 0)
            tap = next(meeting, self.kernel[d])
            found.append(
                _Along(
                    first,
                    apart,
                    -(-(self.y[d] - first) // apart),
                    tap,
                    tap_step,
                    max(0, -(-(self.kernel[d] - tap) // tap_step)),
                    (low - tap * spread) // gap,
                )
            )
        return found

    def _phase(self, axes: Sequence[_Along]) -> Phase:
        def quotient(steps: Sequence[int], by: Sequence[int]) -> tuple[int, ...]:
            return tuple(
                s * each // gap for s, each, gap in zip(steps, by, self.lhs_dilation, strict=True)
            )

        return Phase(
            replace(
                self,
                kernel=tuple(a.taps for a in axes),
                y=tuple(a.windows for a in axes),
                strides=quotient(self.strides, [a.apart for a in axes]),
                padding=tuple((a.low, 0) for a in axes),
                lhs_dilation=(1,) * len(axes),
                rhs_dilation=quotient(self.rhs_dilation, [a.tap_step for a in axes]),
            ),
            tuple((a.first, a.apart) for a in axes),
            tuple((a.tap, a.tap_step) for a in axes),
        )


@frozen
class _Along:
    """A phase in one spatial dim."""

    first: int
    apart: int
    windows: int
    tap: int
    tap_step: int
    taps: int
    low: int
    """Zeros in front of x."""


@frozen
class Phase:
    """Every few windows, and the kernel positions with which they meet elements of x."""

    geometry: Geometry
    """Of the convolution that the phase is; there may be no kernel positions."""
    windows: tuple[tuple[int, int], ...]
    """First window and distance to the next, in each spatial dim."""
    taps: tuple[tuple[int, int], ...]
    """First kernel position and distance to the next, in each spatial dim."""

    def window(self, y: Sequence[Expr]) -> list[Expr]:
        """A window of the phase among all."""
        return [i * step + first for i, (first, step) in zip(y, self.windows, strict=True)]

    def tap(self, kernel: Sequence[Expr]) -> list[Expr]:
        """A kernel position of the phase among all."""
        return [i * step + first for i, (first, step) in zip(kernel, self.taps, strict=True)]


def _spatial(op: str, type: TensorType, which: str) -> tuple[int, ...]:
    dims = type.shape[1:-1]
    return tuple(static(op, d, f"spatial dim {i} of {which}") for i, d in enumerate(dims))


def _window_count(
    op: str, d: int, extent: int, window: int, stride: int, low: int, high: int
) -> int:
    """Number of windows along one spatial dim."""
    room = extent + low + high - window
    if room < 0:
        fail(
            op,
            f"the kernel spans {window} in spatial dim {d}, more than the {extent + low + high} "
            f"of the input ({extent} padded by {low} and {high})",
        )
    return room // stride + 1


def float_pair(op: str, types: Sequence[TensorType]) -> Sequence[TensorType]:
    """Checks the operands: two of one float dtype."""
    expect_count(op, types, 2)
    expect_dtype(op, types[0], "float")
    expect_same_dtype(op, types)
    return types


def plain_attrs(rank: int, padding: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """The attributes of a `conv` without strides, dilation and groups, of `rank` spatial dims."""
    ones = (1,) * rank
    steps = dict.fromkeys(("strides", "lhs_dilation", "rhs_dilation"), ones)
    return {**steps, "groups": 1, "padding": padding}


def geometry(op: str, x: TensorType, kernel: Sequence[int], filters: int, attrs: Attrs) -> Geometry:
    """Checks the input and the attributes, and sizes the result."""
    if not 3 <= x.rank <= 5:
        fail(
            op, f"the input must have 1 to 3 spatial dims between batch and channels, received {x}"
        )
    spatial = _spatial(op, x, "the input")
    names = ("strides", "padding", "lhs_dilation", "rhs_dilation")
    for name in names:
        expect_length(op, name, attrs[name], len(spatial))
        if name != "padding":
            expect_positive(op, name, attrs[name])
    expect_length(op, "kernel size", kernel, len(spatial))
    channels = static(op, x.shape[-1], "the number of channels")
    groups = attrs["groups"]
    if groups < 1 or channels % groups or filters % groups:
        fail(op, f"{channels} channels and {filters} filters do not split into {groups} groups")
    sizes = [
        _window_count(op, d, (n - 1) * gap + 1, (k - 1) * r + 1, s, low, high)
        for d, (n, k, s, (low, high), gap, r) in enumerate(
            zip(spatial, kernel, *(attrs[name] for name in names), strict=True)
        )
    ]
    return Geometry(
        spatial,
        tuple(kernel),
        tuple(sizes),
        attrs["strides"],
        attrs["padding"],
        attrs["lhs_dilation"],
        attrs["rhs_dilation"],
        groups,
        channels,
        filters,
    )
