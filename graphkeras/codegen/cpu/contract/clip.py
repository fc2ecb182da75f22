"""The gradient of a convolution's kernel, without a padded copy: what of k exists for a tap.

    dw[tap, c, o] = sum over images and positions of x[position * stride + tap * spread - low, c]
                                                     * dy[position, o]

For one tap the positions that meet a pixel are neighbours, so x is read where it lies, from the
first such position to the last, and no zero is multiplied::

    5 pixels, 3 taps, low = 1      tap 0: positions 1 to 4    tap 1: 0 to 4    tap 2: 0 to 3

A tile then has channels of one tap only. The copy took a tenth of the kernel's time on one thread,
and was made by each thread anew, since threads share taps and channels, not images.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.contract.access import linear
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Expr, Var, as_index, greatest, least

LEAST_CHANNELS = 8
"""Channels of one tap that are enough rows for a tile."""


@frozen
class Clip:
    """One spatial dim."""

    pixels: int
    positions: int
    stride: int
    spread: int
    low: int
    """Zeros in front of x; negative where x is cropped."""

    def first(self, tap: Expr) -> Expr:
        """The first position that meets a pixel."""
        zeros = greatest(as_index(self.low) - tap * self.spread, as_index(0))
        return (zeros + (self.stride - 1)) // self.stride

    def stop(self, tap: Expr) -> Expr:
        """Behind the last such position."""
        end = as_index(self.pixels + self.low + self.stride - 1) - tap * self.spread
        return least(as_index(self.positions), greatest(end, as_index(0)) // self.stride)


def find_clips(rule: Contraction, shape: Sequence[Dim]) -> tuple[Clip, ...]:
    """The spatial dims of the gradient of a kernel; empty where a rule is none that can be clipped.

    Args:
        rule: A contraction.
        shape: Shape of its left operand.
    """
    view = rule.view
    if view is None or rule.together or max(view.gaps) > 1:
        return ()
    b, m, k = ([Var(INDEX, f"{g}{i}") for i in range(len(rule.m))] for g in "bmk")
    image, *lines, _ = (linear(index) for index in view.place(b, m, k))
    before = len(rule.k) - len(lines)
    if image is None or before < 0 or len(rule.m) != len(lines) + 1:
        return ()
    own, rows = (k if before else b)[0].name, rule.m[-1]
    if own not in image or not isinstance(rows, int) or rows < LEAST_CHANNELS:
        return ()
    clips = []
    for d, line in enumerate(lines, before):
        pixels, positions = shape[d + 1 - before], rule.k[d]
        assert line is not None
        assert isinstance(pixels, int)
        assert isinstance(positions, int)
        stride, spread = line[k[d].name], line[m[d - before].name]
        clips.append(Clip(pixels, positions, stride, spread, view.low[d - before]))
    return tuple(clips)
