"""How k is walked: whole, or one of its dims cut in chunks, each adding to a strip of the result.

    k = (n, y, x)       known: 32 x 28 x 28 steps          cut at y: chunks of 4 lines
    k = (n,)            known at run time only              cut at n: chunks of 128 images

The dims before the cut one are walked position by position, those behind it inside a tile.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.contract.access import merged
from graphkeras.codegen.cpu.contract.forms import Cut, Loop
from graphkeras.ir.dims import Dim, product
from graphkeras.ir.op import Contraction

K_WHOLE = 8192
"""Longest k that a tile walks in one go: a panel of 32 columns is then 1 MiB, half of L2."""
PRODUCT_WHOLE = 2048
"""As K_WHOLE, for a matrix product: rows of A are as long as k, and a tile's are to stay near."""
POSITIONS_WHOLE = 1024
"""As PRODUCT_WHOLE, where k is the positions of an image: both operands are read line by line. The
gradient of a 1x1 kernel of 56x56x64, one image, took 9 % less time in chunks (lower quartile)."""
K_INNER = 256
"""Most steps of k inside one position of the dim that is cut."""
K_CHUNK = 128
"""Steps of k in a chunk: all tiles of a strip walk over it, so both operands' parts are to stay
in the first-level cache, or near."""
K_CHUNK_IN_MEMORY = 256
"""As K_CHUNK, where chunks add to the result itself and B is too wide to be read in place: half as
often. 64 rows and columns are 2-5 % slower so: 128 steps of them stay in the first-level cache."""

NEAR_ELEMENTS = 7 << 11
"""Elements of both operands in a chunk, for the gradient of a 1x1 kernel that is small: 56 KiB, of
which a tile walks over a part. 28x28 pixels, 128 channels and filters took 7-10 % less than with
chunks twice as long, on one thread and on two; with 84 steps instead of 56 no less."""
SMALL_RESULT = 1 << 14
"""Elements of a result that the second-level cache gives and takes, chunk by chunk."""


def cut_in_chunks(rule: Contraction, whole: int, chunk: int) -> Cut | None:
    """How k is cut in chunks of one length, as far as possible; None where it stays whole.

    Args:
        rule: What is contracted.
        whole: Steps up to which a k that is known stays whole.
        chunk: Steps of a chunk, about.
    """
    k = rule.k
    total = product(k)
    if isinstance(total, int) and total <= whole:
        return None
    for dim in range(len(k)):
        inner = product(k[dim + 1 :])
        if isinstance(inner, int) and inner <= K_INNER:
            length = max(1, chunk // max(1, inner))
            extent = k[dim]
            if isinstance(extent, int):
                length = -(-extent // -(-extent // length))
            return Cut(dim, length, inner)
    raise AssertionError("a single dim has one step inside it")


def steps_in_tile(rule: Contraction, cut: Cut | None) -> int:
    """Steps of k in a chunk, or in all."""
    if cut is not None:
        return cut.length * cut.inner
    total = product(rule.k)
    assert isinstance(total, int)
    return total


def packed_steps(rule: Contraction, cut: Cut | None, unit: int) -> tuple[int, ...]:
    """Strides along k in a packed block, whose steps lie `unit` elements apart."""
    result = [0] * len(rule.k)
    step: Dim = unit
    for dim in reversed(range(0 if cut is None else cut.dim, len(rule.k))):
        assert isinstance(step, int)
        result[dim] = step
        step = product((step, rule.k[dim]))
    return tuple(result)


def nest(
    rule: Contraction, cut: Cut | None, clipped: bool, *steps: Sequence[int]
) -> tuple[Loop, ...]:
    """The loops of a tile over k, for the strides along k in each operand.

    Args:
        rule: What is contracted.
        cut: How k is cut; the tile is told how many positions of the cut dim it has.
        clipped: Whether it is told that of all dims behind, too.
        steps: Strides along all of k, an operand each.
    """
    if clipped and cut is not None:
        return tuple((None, *along) for along in zip(*(s[cut.dim :] for s in steps), strict=True))
    loops: list[Loop] = []
    first = 0
    if cut is not None:
        first = cut.dim + 1
        loops.append((None, *(s[cut.dim] for s in steps)))
    for axis in merged(rule.k[first:], *(s[first:] for s in steps)):
        assert isinstance(axis.extent, int)
        loops.append((axis.extent, *axis.strides))
    return tuple(loops)


__all__ = ["cut_in_chunks", "nest", "packed_steps", "steps_in_tile"]
