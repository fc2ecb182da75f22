"""Where the windows of a convolution lie.

x, dilated by `lhs_dilation` and padded      0 0 x . x . x 0      low = 2, gap = 2, high = 1
window o, kernel position k                      ^ o * stride + k * rhs_dilation
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphkeras.ir.op import Attrs
from graphkeras.ir.ops.common import equal_index, expect_length, expect_positive, fail, static
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import TensorType


@dataclass(frozen=True)
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
