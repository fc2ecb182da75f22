"""Turns whatever a user passes into tensors of the current scope."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras.ir.dims import Size
from graphkeras.ir.op import Array
from graphkeras.trace.dtypes import WEAK_FLOAT, WEAK_INT, kind_of, result_type, standardize_dtype
from graphkeras.trace.scope import Scope, current_scope
from graphkeras.trace.symbolic_tensor import KerasTensor
from graphkeras.trace.tensor import Tensor
from graphkeras.tree import leaves


def open_scope() -> Scope:
    """The current scope. Raises `RuntimeError` outside all scopes."""
    scope = current_scope()
    if scope is None:
        raise RuntimeError("tensors exist only inside a scope: a Trace or run_eagerly")
    return scope


def emit(op: str, *inputs: Tensor, **attrs: Any) -> Tensor:
    """Adds a primitive with one result to the current scope."""
    scope = open_scope()
    return scope.tensor(scope.builder.emit(op, *(t.value for t in inputs), **attrs))


def as_tensor(x: Any, dtype: str | None = None) -> Tensor:
    """`x` as a tensor of the current scope.

    Args:
        x: a Tensor, Variable, NumPy array or scalar, Python number, run-time size, or nested
            lists of these.
        dtype: the result's dtype; by default that of `x`, where Python floats are floatx and
            Python integers are int32.

    Raises:
        TypeError: where `x` is nothing numeric, a symbolic tensor, or a tensor of another graph.
    """
    scope = open_scope()
    if isinstance(x, Tensor):
        if x.scope is not scope:
            raise TypeError(
                f"{x!r} belongs to another graph: it was kept from an earlier call of the model. "
                "Values that live from step to step must be Variables (self.add_weight)."
            )
        return cast_to(x, dtype)
    if isinstance(x, KerasTensor):
        raise TypeError(
            f"{x!r} is a symbolic tensor of a functional model and has no value inside `call`. "
            "Use the tensors passed to `call`."
        )
    value = getattr(x, "value", None)
    if isinstance(value, Tensor):
        return cast_to(value, dtype)
    if isinstance(x, Size):
        return emit("dim", size=x, dtype=dtype or "int32")
    if isinstance(x, (list, tuple)) and any(
        isinstance(leaf, (Tensor, Size)) or hasattr(leaf, "assign") for leaf in leaves(x)
    ):
        return _stack(x, dtype)
    return scope.constant(as_array(x, dtype))


def cast_to(x: Tensor, dtype: str | None) -> Tensor:
    """The tensor in another dtype; itself where the dtype is None or its own."""
    return x if dtype is None or x.dtype == dtype else emit("cast", x, dtype=dtype)


def as_array(x: Any, dtype: str | None = None) -> Array:
    """Concrete data as a NumPy array of a dtype the compiler knows. Raises `TypeError`."""
    if dtype is None:
        dtype = _dtype_of(x)
    try:
        array = np.asarray(x)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"its dtype is {array.dtype}")
        return array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"cannot convert a value of type {type(x).__name__} to a tensor: {error}"
        ) from error


def _dtype_of(x: Any) -> str | None:
    if isinstance(x, (list, tuple)):
        kinds = {_leaf_kind(leaf) for leaf in leaves(x)}
        return result_type(*kinds) if kinds else result_type(WEAK_FLOAT)
    kind = kind_of(x) if hasattr(x, "dtype") or isinstance(x, (bool, int, float)) else None
    if kind is None:
        return None
    return result_type(kind) if kind in (WEAK_INT, WEAK_FLOAT) else kind


def _leaf_kind(leaf: Any) -> str:
    try:
        return kind_of(leaf)
    except (TypeError, ValueError):
        return WEAK_FLOAT


def _stack(items: Any, dtype: str | None) -> Tensor:
    dtype = dtype or result_type(*leaves(items))
    parts = [as_tensor(item, dtype) for item in items]
    rows = [emit("reshape", part, shape=(1, *part.dims)) for part in parts]
    return emit("concat", *rows, axis=0)


def is_tensor_like(x: Any) -> bool:
    """Whether `x` is a tensor, symbolic tensor, array or variable."""
    return isinstance(x, (Tensor, KerasTensor, np.ndarray)) or hasattr(x, "assign")


def dtype_or_none(dtype: Any) -> str | None:
    """The standard name of a dtype argument whose None means "as the operand"."""
    return None if dtype is None else standardize_dtype(dtype)
