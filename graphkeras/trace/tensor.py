"""The tensor that flows through `call` while a graph is traced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.errors import NoValueError
from graphkeras.ir.dims import Dim, Shape
from graphkeras.ir.graph import Value
from graphkeras.ir.op import Array
from graphkeras.trace.operators import Operators

if TYPE_CHECKING:
    from graphkeras.trace.scope import Scope


def public_shape(dims: Shape) -> tuple[int | None, ...]:
    """A shape as the user sees it: None for each size known only at run time."""
    return tuple(d if isinstance(d, int) else None for d in dims)


class Tensor(Operators):
    """A value of the graph being traced (or of the eager computation that runs now).

    Attributes:
        value: the IR value.
        scope: the scope it belongs to; it means nothing in another one.
    """

    __slots__ = ("_keras_mask", "scope", "value")

    def __init__(self, value: Value, scope: Scope) -> None:
        self.value = value
        self.scope = scope
        self._keras_mask: Any = None

    @property
    def dims(self) -> Shape:
        """The shape with run-time sizes as symbols, such as `(N, 784)`."""
        return self.value.type.shape

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape with None for sizes known only at run time, such as `(None, 784)`."""
        return public_shape(self.dims)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.dims)

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return self.value.type.dtype

    def numpy(self) -> Array:
        """The numbers, where they are computed at once.

        Raises:
            NoValueError: while a graph is traced; there are no numbers yet.
        """
        from graphkeras.trace.scope import EagerScope

        if isinstance(self.scope, EagerScope):
            return self.scope.array(self)
        raise NoValueError(
            f"{self!r} has no value yet: the model is being traced into a graph, and runs later. "
            "Use functions of keras.ops instead of NumPy or Python conversions here "
            "(ops.where or ops.maximum in place of an `if` on a tensor)."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype)

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __index__(self) -> int:
        return int(self.numpy().__index__())

    def __len__(self) -> int:
        if not self.dims:
            raise TypeError("a scalar tensor has no length")
        return _static(self.dims[0], "len()")

    def __iter__(self) -> Iterator[Any]:
        if not self.dims:
            raise TypeError("cannot iterate over a scalar tensor")
        return (self[i] for i in range(_static(self.dims[0], "iteration")))

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape}, dtype={self.dtype}>"


def _static(dim: Dim, what: str) -> int:
    if isinstance(dim, int):
        return dim
    raise TypeError(
        f"{what} needs a first dimension known while tracing, but it is the run-time size {dim}. "
        "Use functions of keras.ops on the whole tensor instead."
    )
