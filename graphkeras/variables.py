"""Variables: the state of layers, optimizers and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphkeras.changes import Change, mark
from graphkeras.ir.op import Array
from graphkeras.names import auto_name, current_path
from graphkeras.trace.convert import as_array, as_tensor
from graphkeras.trace.dtypes import standardize_dtype
from graphkeras.trace.operators import Operators
from graphkeras.trace.scope import current_scope, outside
from graphkeras.trace.tensor import Tensor

ALIGNMENT = 64
"""Bytes; buffers start on a cache line."""

Initializer = Callable[..., Any]


class Variable(Operators):
    """A tensor that keeps its value from step to step, in a buffer that never moves.

    Outside a trace `value` is a read-only NumPy view of the buffer and `assign` writes into it.
    Inside a trace `value` is the tensor that holds the variable's value at that point, and
    `assign` gives it another one, which reaches the buffer when the graph runs.

    Args:
        initializer: the first value (array or number), or a function `(shape, dtype=...)` that
            makes it; a string names one of `keras.initializers`.
        shape: shape; required with an initializer function.
        dtype: dtype name; by default that of the value, or floatx.
        trainable: whether optimizers change it.
        autocast: accepted for compatibility; variables are never cast.
        aggregation: accepted for compatibility; there is one device.
        name: name; made up by default.

    Raises:
        ValueError: where the shape is missing, not fully known, or not the initial value's.
    """

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = None,
        synchronization: str | None = None,
        name: str | None = None,
    ) -> None:
        name = name or auto_name("variable")
        if "/" in name:
            raise ValueError(f"a variable's name cannot contain '/': {name!r}")
        self.name = name
        scope = current_path()
        self.path = f"{scope}/{name}" if scope else name
        self.trainable = bool(trainable)
        self.trainable_from_start = self.trainable
        """Whether it was made to be trained; freezing does not change it."""
        self.autocast = autocast
        self.aggregation = aggregation or "none"
        self.synchronization = synchronization or "auto"
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False
        self.buffer: Array = _aligned(self._initial(initializer, shape, dtype))
        """The writable memory; its address never changes. Who writes marks `change` behind it."""
        self.change = Change()

    def _initial(self, initializer: Any, shape: Sequence[int] | None, dtype: Any) -> Array:
        if isinstance(initializer, str):
            from graphkeras import initializers

            initializer = initializers.get(initializer)
        if not callable(initializer):
            array = as_array(initializer, None if dtype is None else standardize_dtype(dtype))
            if shape is not None and tuple(shape) != array.shape:
                raise ValueError(
                    f"variable {self.name!r}: the initial value has shape {array.shape}, "
                    f"but shape={tuple(shape)} was asked for"
                )
            return array
        if shape is None:
            raise ValueError(f"variable {self.name!r}: give a shape with an initializer function")
        sizes = tuple(shape)
        if any(d is None or int(d) < 0 for d in sizes):
            raise ValueError(
                f"variable {self.name!r}: the shape must be fully known, received {sizes}. "
                "Give the input's last dimension a size instead of None."
            )
        dtype = standardize_dtype(dtype)
        with outside():
            value = initializer(sizes, dtype=dtype)
        array = as_array(value, dtype)
        if array.shape != sizes:
            raise ValueError(
                f"variable {self.name!r}: the initializer returned shape {array.shape}, "
                f"expected {sizes}"
            )
        return array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, always fully known."""
        return self.buffer.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.buffer.ndim

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return str(self.buffer.dtype)

    @property
    def value(self) -> Any:
        """The value now: a tensor inside a trace, a read-only view of the buffer outside."""
        scope = current_scope()
        if scope is not None:
            return scope.read(self)
        view = self.buffer.view()
        view.flags.writeable = False
        return view

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The buffer of a copied or unpickled variable starts on a cache line too."""
        self.__dict__.update(state, buffer=_aligned(state["buffer"]), change=Change())

    def numpy(self) -> Array:
        """A copy of the value as a NumPy array."""
        return self.buffer.copy()

    def assign(self, value: Any) -> Any:
        """Gives the variable another value of the same shape.

        Raises:
            ValueError: where the shape differs.
        """
        scope = current_scope()
        if scope is None:
            if isinstance(value, Tensor):
                raise TypeError(f"variable {self.path!r}: {value!r} belongs to a closed graph")
            array = as_array(value, self.dtype)
            self._check_shape(array.shape)
            np.copyto(self.buffer, array)
            mark([self.change])
            return self.value
        tensor = as_tensor(value, self.dtype)
        self._check_shape(tensor.dims)
        scope.assign(self, tensor)
        return tensor

    def _check_shape(self, shape: Any) -> None:
        if tuple(shape) != self.shape:
            raise ValueError(
                f"assign() to the variable {self.path!r} of shape {self.shape} needs a value of "
                f"that shape, received shape {tuple(shape)}"
            )

    def assign_add(self, value: Any) -> Any:
        """Adds to the variable."""
        return self.assign(self + value)

    def assign_sub(self, value: Any) -> Any:
        """Subtracts from the variable."""
        return self.assign(self - value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy functions see the variable's value, except in a trace, where it has none."""
        if current_scope() is not None:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        arrays = [item.value if isinstance(item, Variable) else item for item in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype=dtype)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __len__(self) -> int:
        return len(self.buffer)

    def __repr__(self) -> str:
        text = f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}"
        return f"{text}, value={self.buffer}>" if self.buffer.size <= 16 else f"{text}>"


def _aligned(array: Array) -> Array:
    """A copy of the array that starts on a cache line."""
    memory = np.empty(array.nbytes + ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    buffer: Array = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    np.copyto(buffer, array)
    return buffer
