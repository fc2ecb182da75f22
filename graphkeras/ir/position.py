"""A position in a tensor: an index expression a dimension, or one row-major offset.

Either form is derived from the other on demand. A reshape hands the offset on unchanged, so a
chain of elementwise ops and reshapes never divides; only an op that needs single dimensions
(transpose, slice, ...) pays for taking an offset apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.ir.dims import Shape, product
from graphkeras.ir.scalar import INDEX, Const, Expr, as_index


class Position:
    """A position in a tensor of `shape`, given by `indices` or by `flat`."""

    def __init__(
        self, shape: Shape, indices: Sequence[Expr] | None = None, flat: Expr | None = None
    ) -> None:
        self.shape = tuple(shape)
        self._indices = None if indices is None else tuple(indices)
        self._flat = flat
        if self._indices is None and flat is None:
            raise ValueError("a position needs indices or an offset")

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, dim: int) -> Expr:
        return self.indices[dim]

    @property
    def indices(self) -> tuple[Expr, ...]:
        """One expression a dimension."""
        if self._indices is None:
            assert self._flat is not None
            self._indices = split_offset(self._flat, self.shape)
        return self._indices

    @property
    def flat(self) -> Expr:
        """The row-major offset."""
        if self._flat is None:
            assert self._indices is not None
            self._flat = join_offset(self._indices, self.shape)
        return self._flat


def join_offset(indices: Sequence[Expr], shape: Shape) -> Expr:
    """Row-major offset of `indices` in a tensor of `shape`."""
    offset: Expr = Const(INDEX, 0)
    for axis, index in enumerate(indices):
        offset = offset + index * as_index(product(shape[axis + 1 :]))
    return offset


def split_offset(offset: Expr, shape: Shape) -> tuple[Expr, ...]:
    """Indices of a row-major offset. The first needs no remainder: offsets are in range."""
    indices: list[Expr] = []
    for axis, dim in enumerate(shape):
        if dim == 1:
            indices.append(Const(INDEX, 0))
            continue
        index = offset // as_index(product(shape[axis + 1 :]))
        if any(d != 1 for d in shape[:axis]):
            index = index % as_index(dim)
        indices.append(index)
    return tuple(indices)
