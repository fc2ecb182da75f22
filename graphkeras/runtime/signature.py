"""What a program accepts: checks of the arrays given to it, and the run-time sizes they imply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphkeras.errors import DataTypeError, ShapeError, StructureError
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array
from graphkeras.ir.types import SHORT

Shapes = tuple[tuple[int, ...], ...]


class Signature:
    """The inputs of a graph, as a caller sees them.

    Args:
        graph: The graph. Every run-time size must follow from the shape of some input.

    Raises:
        ValueError: A run-time size does not follow from the inputs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.types = tuple(value.type for value in graph.inputs)
        self.names = tuple(v.name or f"input_{i}" for i, v in enumerate(graph.inputs))
        self.dtypes = tuple(np.dtype(t.dtype) for t in self.types)
        self.updated = frozenset(graph.aliases.values())
        """Positions of inputs that are written in place."""
        self.dynamic = tuple(
            i for i, t in enumerate(self.types) if any(isinstance(d, Size) for d in t.shape)
        )
        """Positions of inputs whose shape has a run-time size."""
        self._fixed = [
            [(axis, dim) for axis, dim in enumerate(t.shape) if not isinstance(dim, Size)]
            for t in self.types
        ]
        places = [(i, a) for i in self.dynamic for a in range(self.types[i].rank)]
        sized = [(i, a, d) for i, a in places if isinstance(d := self.types[i].shape[a], Size)]
        # A dimension that is a bare name settles it; the others are checked against it.
        self._sized = sorted(sized, key=lambda place: _linear(place[2]) != (1, 0))
        solvable = {min(d.symbols) for _, _, d in sized if _linear(d)}
        for symbol in graph.symbols:
            if symbol not in solvable:
                raise ValueError(
                    f"graph {graph.name!r}: the run-time size {symbol} does not follow from the "
                    f"shape of any input"
                )

    def check_count(self, count: int) -> None:
        """Raises `StructureError` where `count` is not the number of inputs."""
        if count != len(self.types):
            raise StructureError(
                f"graph {self.graph.name!r} takes {len(self.types)} inputs "
                f"({', '.join(self.names)}), received {count}"
            )

    def check(self, position: int, value: Any) -> Array:
        """The array to hand to kernels for one input.

        Args:
            position: Which input.
            value: An array, or a number where the input is a scalar.

        Returns:
            `value` itself, or a C-contiguous copy where it is not laid out so.

        Raises:
            DataTypeError: Another dtype is expected; nothing is converted silently.
            ShapeError: The rank or a fixed dimension differs.
            ValueError: The input is updated in place, and `value` cannot be.
        """
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
        if array.dtype != self.dtypes[position]:
            wanted = self.types[position].dtype
            raise DataTypeError(
                f"{self._mismatch(position, array)}; convert it with .astype({wanted!r})"
            )
        self._check_shape(position, array)
        flags = array.flags
        if position in self.updated:
            if array is not value or not (flags.c_contiguous and flags.writeable and flags.aligned):
                raise ValueError(
                    f"{self._where(position)} is updated in place: expected a C-contiguous, "
                    f"writable NumPy array, received {_kind(value)}"
                )
        elif not (flags.c_contiguous and flags.aligned):
            return array.copy(order="C")
        return array

    def _check_shape(self, position: int, array: Array) -> None:
        shape = array.shape
        if len(shape) != self.types[position].rank:
            raise ShapeError(self._mismatch(position, array))
        for axis, size in self._fixed[position]:
            if shape[axis] != size:
                raise ShapeError(self._mismatch(position, array))

    def sizes(self, shapes: Shapes) -> dict[str, int]:
        """The run-time sizes.

        Args:
            shapes: The shape of each input in `dynamic`.

        Raises:
            ShapeError: Two inputs disagree, or no size fits.
        """
        by_input = dict(zip(self.dynamic, shapes, strict=True))
        found: dict[str, int] = {}
        origin: dict[str, tuple[int, int]] = {}
        for position, axis, dim in self._sized:
            received = by_input[position][axis]
            linear = _linear(dim)
            (symbol, *others) = sorted(dim.symbols)
            if symbol not in found and linear and not others:
                scale, offset = linear
                value, rest = divmod(received - offset, scale)
                if rest or value < 0:
                    raise ShapeError(
                        f"{self._where(position)}: axis {axis} must be {dim}, received {received}"
                    )
                found[symbol], origin[symbol] = value, (position, axis)
            elif dim.symbols <= found.keys() and dim.evaluate(found) != received:
                first, first_axis = origin[symbol]
                raise ShapeError(
                    f"inputs of graph {self.graph.name!r} disagree on {symbol}: "
                    f"{symbol} = {found[symbol]} from axis {first_axis} of "
                    f"{self._given(first, by_input[first])}, which does not fit axis {axis} of "
                    f"{self._given(position, by_input[position])}"
                )
        return found

    def _given(self, position: int, shape: Sequence[int]) -> str:
        return f"{self.names[position]!r} ({self.types[position]}, received shape {tuple(shape)})"

    def _where(self, position: int) -> str:
        return f"input {self.names[position]!r} of graph {self.graph.name!r}"

    def _mismatch(self, position: int, array: Array) -> str:
        dims = ",".join(str(d) for d in array.shape)
        dtype = str(array.dtype)
        return (
            f"{self._where(position)}: expected {self.types[position]}, "
            f"received {SHORT.get(dtype, dtype)}[{dims}]"
        )


def _linear(size: Size) -> tuple[int, int] | None:
    """`(a, b)` where the size is `a * symbol + b` with positive `a`, else None."""
    terms = dict(size.terms)
    offset = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((monomial, scale),) = terms.items()
    return (scale, offset) if len(monomial) == 1 and monomial[0][1] == 1 and scale > 0 else None


def _kind(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return f"a {type(value).__name__}"
    if not value.flags.writeable:
        return "a read-only array"
    return "an array that is not contiguous"
