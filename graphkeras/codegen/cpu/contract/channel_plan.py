"""The choices of a convolution of single channels: the block of a tile, and the order of channels.

    tile       lines x rows of y, and a panel of channels; its sums stay in registers
    order      blocks of lines, runs of channels, tiles along the lines, panels: the lines of x
               that a block meets are read side by side, each from its beginning to its end

A tall block reads a line of x seldom: one of 7 lines with 3 x 3 taps reads 9 lines for 7, seven of
one line read 21, and three lines fill the first-level cache. Tiles of one row read and write memory
as it lies, which its prefetching likes. On two cores, in one process, for 32 images (64 channels of
56 x 56; 128 of 28 x 28; 256 of 14 x 14), milliseconds:

    blocks of 1 line, tiles of 8 rows, 2 vectors    4.1   1.3 to 1.8   0.54
    blocks of 7 lines, tiles of 1 row               2.0   0.98         0.37
    the same, 2 vectors                             2.2   0.91         0.40
    blocks of 7 lines, tiles of 2 rows              2.3   1.10         0.42
    blocks of 4 lines, tiles of 2 rows, 2 vectors   2.5   1.05         0.41

Prefetching 64 or 128 channels ahead changed nothing that could be told from noise. The gradients of
kernels, one for each image, take the same blocks: 2.4, 0.88 and 0.47 ms, within 15 % of other ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.codegen.cpu.contract.meeting import Axis
from graphkeras.frozen import frozen

if TYPE_CHECKING:
    from graphkeras.codegen.cpu.contract.meeting import Parts

MOST_LINES = 8
"""Of a block."""
MOST_STEPS = 1200
"""Multiply-adds that become straight code, all tiles together: half a second of compiling. Blocks
for larger windows have fewer lines; from 7 x 7 taps on they are walked line of taps by line."""
LINE_ROWS = 14
"""Rows of a tile that walks over the lines of taps."""
GRAIN = 1 << 18
"""Multiply-adds worth a thread of their own: some 5 us. A second thread costs 2 to 3."""
SUMS_GRAIN = 1 << 19
"""The same for the gradients of kernels, behind which a second kernel adds up the threads' parts:
14x14x256 took two threads 19 to 23 us, and one 15 to 16."""
TOGETHER = 256
"""Channels in a run: three pixels of 9 lines, and a block of y, take 34 KiB then, of a first-level
cache of 48."""


@frozen
class ChannelPlan:
    """How a convolution is cut."""

    groups: Parts
    """Lines of y in blocks."""
    tiles: Parts
    """A line of a block in tiles."""
    by_line: bool
    """Whether a block is one line, and its tiles loop over the lines of taps."""
    width: int
    """Channels of a panel."""
    together: int
    """Channels in a run, a multiple of `width`."""

    @property
    def block(self) -> tuple[int, int]:
        """Most lines and rows of a tile."""
        return max(size for size, _ in self.groups), max(size for size, _ in self.tiles)


@frozen
class Shape:
    """What the choices depend on."""

    height: Axis
    """Across lines."""
    line: Axis
    """Along a line."""
    vectors: int
    """Vectors that hold all channels."""
    lanes: int
    """Elements of a vector."""
    registers: int
    """Vector registers."""
    sums: bool
    """Whether taps are summed up, for the gradients of kernels."""
    bands: int = 1
    """Bands of lines that have sums of their own: blocks of y do not cross from one to the next."""


def make_channel_plan(shape: Shape, choices: Choices) -> ChannelPlan:
    """The plan of a convolution of single channels, or of the gradients of its kernel.

    Args:
        shape: Sizes of the convolution and of the machine.
        choices: What is not left to the constants of this file.
    """
    height, line, lanes = shape.height, shape.line, shape.lanes
    band = height.positions // shape.bands
    most = min(choices.lines or MOST_LINES, band)
    tiles = line.tiles(line.tile_rows(choices.rows or MOST_LINES // height.tile_rows(most) or 1))
    width = min(choices.vectors or 1, shape.vectors) * lanes
    for lines in range(most, 0, -1):
        if shape.bands > 1 and band % lines:
            continue
        groups = height.tiles(lines if shape.bands > 1 else height.tile_rows(lines))
        steps = _steps(groups) * _steps(tiles) * (width // lanes)
        if steps <= MOST_STEPS or (shape.sums and lines == 1):
            return ChannelPlan(groups, tiles, False, width, max(TOGETHER, width))
    vectors = 2 if shape.registers >= 32 and shape.vectors > 1 else 1
    held = 2 * vectors + min(line.taps * vectors, shape.registers // 4)
    rows = line.tile_rows(min(LINE_ROWS, (shape.registers - held) // vectors))
    single: Parts = [(1, (height.positions, 0, 0, 0, 1, ((0, ((0, 0),)),)))]
    return ChannelPlan(single, line.tiles(rows), True, vectors * lanes, TOGETHER)


def channel_choices(shape: Shape, plan: ChannelPlan) -> Iterator[Choices]:
    """Choices to time for a convolution of single channels, besides the plan's."""
    if plan.by_line:
        return
    lines, rows = plan.block
    heights = (n for n in (1, 2, 4, 7, 14) if n <= shape.height.positions)
    yield from (Choices(lines=n) for n in heights if n != lines)
    lengths = (n for n in (1, 2, 4, 14) if n <= shape.line.positions)
    yield from (Choices(rows=n) for n in lengths if n != rows)
    if shape.vectors > 1:
        yield from (Choices(vectors=2), Choices(vectors=2, lines=4), Choices(vectors=2, lines=2))
    yield Choices(rows=4, lines=4)


def _steps(parts: Parts) -> int:
    """Meetings of the distinct tiles."""
    return sum(len(pairs) for _, part in parts for _, pairs in part[-1])
