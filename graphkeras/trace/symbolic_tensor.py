"""The placeholder that functional models are built from.

Three things make a functional graph: an *operation* (a layer or a `keras.ops` function, which
may be called many times), a *node* (one call of it), and a *tensor* (what flows along an edge).
A shared layer is one operation with several nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkeras import tree
from graphkeras.errors import NoValueError
from graphkeras.ir.dims import Shape, Size
from graphkeras.names import auto_name
from graphkeras.trace.dtypes import standardize_dtype
from graphkeras.trace.operators import Operators
from graphkeras.trace.tensor import public_shape

BATCH = "N"
"""Name of the run-time batch size."""


def symbolic_dims(shape: Sequence[int | Size | None]) -> Shape:
    """A shape with run-time sizes in the place of None: `(None, 5, None)` -> `(N, 5, L2)`.

    Unknown sizes on the same axis count as equal, so that tensors from several inputs can meet.
    """
    return tuple(
        (Size.symbol(BATCH if axis == 0 else f"L{axis}") if dim is None else dim)
        for axis, dim in enumerate(shape)
    )


class KerasTensor(Operators):
    """A tensor without a value: shape, dtype and name, and the call that makes it.

    Args:
        shape: the shape, None for unknown sizes.
        dtype: dtype name; floatx by default.
        name: name; made up by default.
    """

    __slots__ = ("__weakref__", "_keras_mask", "dims", "dtype", "index", "name", "node")

    def __init__(
        self,
        shape: Sequence[int | Size | None],
        dtype: Any = None,
        name: str | None = None,
        node: CallNode | None = None,
        index: int = 0,
    ) -> None:
        self.dims: Shape = symbolic_dims(shape)
        self.dtype = standardize_dtype(dtype)
        self.name = name or auto_name("keras_tensor")
        self.node = node
        self.index = index
        self._keras_mask: KerasTensor | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, None for unknown sizes."""
        return public_shape(self.dims)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.dims)

    def _refuse(self, what: str) -> NoValueError:
        return NoValueError(
            f"A symbolic tensor of a functional model cannot be {what}: it has no value while "
            f"the model is built. Received: {self!r}. Use functions of keras.ops or a layer "
            "instead, or do the computation in the `call` of your own Layer."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise self._refuse("converted to a NumPy array")

    def __bool__(self) -> bool:
        raise self._refuse("used as a Python bool")

    def __float__(self) -> float:
        raise self._refuse("converted to a number")

    def __int__(self) -> int:
        raise self._refuse("converted to a number")

    def __iter__(self) -> Iterator[Any]:
        raise self._refuse("iterated over")

    def __len__(self) -> int:
        raise self._refuse("measured with len()")

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


@dataclass(eq=False)
class CallNode:
    """One call of an operation while a functional model is built."""

    operation: Any
    """A layer, or a `FunctionCall`."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: tuple[str, int] | None = None
    """File and line of the user's call."""
    outputs: Any = None
    """Nested structure of symbolic tensors that the call made."""
    inputs: list[KerasTensor] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = symbolic_leaves((self.args, self.kwargs))


@dataclass(eq=False)
class FunctionCall:
    """The operation behind a `keras.ops` function called on symbolic tensors."""

    function: Callable[..., Any]
    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return self.function(*args, **kwargs)


def symbolic_leaves(structure: Any) -> list[KerasTensor]:
    """The symbolic tensors in a nested structure, in order, each once."""
    found = {id(leaf): leaf for leaf in tree.leaves(structure) if isinstance(leaf, KerasTensor)}
    return list(found.values())


def any_symbolic(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call has a symbolic tensor among its arguments, lists and dicts included."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, (list, tuple, dict)) and symbolic_leaves(value):
            return True
    return False
