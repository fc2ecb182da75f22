"""A position in a tensor: an index expression a dimension, or one row-major offset.

Either form is derived from the other on demand. A reshape hands the offset on unchanged, so a
chain of elementwise ops and reshapes never divides; only an op that needs single dimensions
(transpose, slice, ...) pays for taking an offset apart. Behind a reshape that is what changed::

    [N, 4, 196, 3]   i0   i1   i2          i3
    [N, 784, 3]      i0   i1*196 + i2      i3        nothing is divided: a dim was cut
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.ir.dims import Shape, product
from graphkeras.ir.scalar import INDEX, Const, Expr, as_index


class Position:
    """A position in a tensor of `shape`.

    It is given by `indices`, by `flat`, or by `of`: where the element is in another shape.
    """

    def __init__(
        self,
        shape: Shape,
        indices: Sequence[Expr] | None = None,
        flat: Expr | None = None,
        of: Position | None = None,
    ) -> None:
        self.shape = tuple(shape)
        self._indices = None if indices is None else tuple(indices)
        self._flat = flat
        self._of = of
        if self._indices is None and flat is None and of is None:
            raise ValueError("a position needs indices or an offset")

    def reshaped(self, shape: Shape) -> Position:
        """The position of the same element in a tensor of another shape."""
        if self._indices is None:
            return Position(shape, flat=self.flat)
        return Position(shape, of=self)

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, dim: int) -> Expr:
        return self.indices[dim]

    @property
    def indices(self) -> tuple[Expr, ...]:
        """One expression a dimension."""
        if self._indices is None:
            of = self._of
            if of is not None:
                self._indices = _regrouped(of.indices, of.shape, self.shape)
            else:
                self._indices = split_offset(self.flat, self.shape)
        return self._indices

    @property
    def flat(self) -> Expr:
        """The row-major offset."""
        if self._flat is None:
            of = self._of
            self._flat = join_offset(self.indices, self.shape) if of is None else of.flat
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


def _regrouped(indices: Sequence[Expr], old: Shape, new: Shape) -> tuple[Expr, ...]:
    """Indices in the shape `new`, from those in `old`: only dims that differ are computed."""
    both = min(len(old), len(new))
    head = next((d for d in range(both) if old[d] != new[d]), both)
    tail = next((d for d in range(both - head) if old[-1 - d] != new[-1 - d]), both - head)
    inner = slice(head, len(old) - tail)
    offset = join_offset(indices[inner], old[inner])
    middle = split_offset(offset, new[head : len(new) - tail])
    return (*indices[:head], *middle, *indices[len(old) - tail :])
