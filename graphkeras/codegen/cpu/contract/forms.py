"""How a tile reads an operand, and how rows and k are cut: the words that a plan is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from graphkeras.ir.dims import Dim


class Form(Enum):
    """How a tile reads an operand."""

    IN_PLACE = "in place"
    PADDED = "padded"
    PACKED = "packed"
    PANELS = "panels"


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Cut:
    """How k is cut in chunks."""

    dim: int
    """The dim of k that is cut; those before it are walked one position at a time."""
    length: int
    """Positions of that dim in a chunk."""
    inner: int
    """Steps of k in each position."""


@dataclass(frozen=True)
class Layout:
    """The part of a view that is laid out together (PADDED)."""

    images: int | None
    """Positions of the first dim, where that is cut as a dim of k; None: it is a dim of m."""
    lines: int
    """Most lines of the first spatial dim."""
    line_step: int
    """Lines of the view from one line of the result, or of k, to the next."""
    group: int
    """Lines of the result, or of k, that are laid out together."""
