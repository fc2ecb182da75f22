"""How a tile reads an operand, and how rows and k are cut: the words that a plan is made of."""

from __future__ import annotations

from enum import Enum

from graphkeras.codegen.cpu.contract.access import Strides
from graphkeras.codegen.cpu.contract.clip import Clip
from graphkeras.codegen.cpu.contract.source import Source
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim


class Form(Enum):
    """How a tile reads an operand."""

    IN_PLACE = "in place"
    PADDED = "padded"
    PACKED = "packed"
    COPIED = "copied"
    PANELS = "panels"


@frozen
class Runs:
    """How the rows of the result are cut."""

    lead: int
    """Dims of m before the run; every position in them is a unit."""
    extent: Dim
    """Rows of a run."""
    rows: tuple[int, ...]
    """Offset in A of each row of a tile from the tile's first."""
    step: int
    """Offset in A from a tile to the next of the run."""

    @property
    def per_unit(self) -> int | None:
        """Tiles of a run; None where known at run time only."""
        return -(-self.extent // len(self.rows)) if isinstance(self.extent, int) else None


@frozen
class Cut:
    """How k is cut in chunks."""

    dim: int
    """The dim of k that is cut; those before it are walked one position at a time."""
    length: int
    """Positions of that dim in a chunk."""
    inner: int
    """Steps of k in each position."""


@frozen
class Layout:
    """The part of a view that is laid out together (PADDED)."""

    images: int | None
    """Positions of the first dim, where k is cut: in a dim of it, or it is the first of the batch;
    None: it is a dim of m."""
    lines: int
    """Most lines of the first spatial dim."""
    line_step: int
    """Lines of the view from one line of the result, or of k, to the next."""
    group: int
    """Lines of the result, or of k, that are laid out together."""
    of_batch: bool = False
    """Whether the first dim is the first of the batch."""


Loop = tuple[int | None, *tuple[int, ...]]
"""Extent (None: an argument of the tile), and strides."""


@frozen
class Stream:
    """Memory that tiles ask the cache for, because tiles after them read it first."""

    operand: int
    """0: A, 1: B."""
    pace: int
    """Elements for every step of k."""
    ahead: int
    """Elements from the tiles' own part of the operand to the one that is asked for."""
    pitch: int = 0
    """0: the parts that tiles ask for lie one behind the other. Else each is in a row of k, and
    rows lie as many elements apart."""
    calls: int = 0
    """Tiles that the rows are shared out among."""


@frozen
class Plan:
    """The choices for one contraction."""

    a: Form
    b: Form
    a_buffer: str
    """Memory that A is read from where it is read in place; of its image, where it is laid out."""
    b_source: Source | None
    """Where B lies, if it lies somewhere at strides: in place, or to be packed from there."""
    b_panels: str
    """Memory that holds the panels of B, where it lies in panels."""
    dtype: str
    itemsize: int
    lanes: int
    width: int
    """Columns of a tile, a multiple of lanes; threads that share columns get multiples of it."""
    wide: int
    """Columns of a tile where a thread has that many: `width`, or a multiple."""
    block: int
    """Columns that are finished together, a multiple of width."""
    runs: Runs
    a_strides: Strides
    """For (b, m, k); of the copy where there is one."""
    b_strides: Strides
    """For (b, k, n); of the copy where there is one."""
    a_pitch: int
    """Elements of a packed row of A."""
    a_by_k: bool
    """Whether A is packed with its rows side by side: element (k, row), not (row, k)."""
    a_tiles: int
    """Tiles of rows for which A is packed together."""
    cut: Cut | None
    """None: k is whole."""
    clips: tuple[Clip, ...]
    """Where a tile takes those positions of k that exist for its tap: every spatial dim."""
    k_elements: int
    """Steps of k in a chunk, or in all."""
    loops: tuple[Loop, ...]
    """The tile's nest over k: extent, stride in A, stride in B."""
    copy_loops: tuple[Loop, ...]
    """That of the first tile where it copies B: stride in A, in B's source, in the copy."""
    strip: int
    """Tiles of rows that are finished together."""
    sweep: int
    """Tiles of rows that a panel of B serves before the next one; 0: tiles meet all of a block."""
    asked: int
    """Rows of the next panel that a tile of a sweep asks for in a group of steps."""
    layout: Layout | None
    streamed: bool
    """Whether tiles ask for B, which is read in place, ahead."""
    shared: str
    """`"b"`, `"m"` or `"n"`."""
    streams: tuple[Stream, ...] = ()
    """What tiles of all rows ask for besides."""
