"""`keras.backend`: settings of the numerics, and the names of layers."""

from __future__ import annotations

from graphkeras import names
from graphkeras.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from graphkeras.trace.convert import is_tensor_like
from graphkeras.trace.dtypes import result_type, standardize_dtype
from graphkeras.trace.symbolic_tensor import KerasTensor
from graphkeras.variables import Variable


def clear_session(free_memory: bool = True) -> None:
    """Starts automatic names afresh: the next Dense layer is `dense`.

    Args:
        free_memory: accepted for compatibility; there is no global graph to free.
    """
    names.reset()


def get_uid(prefix: str = "") -> int:
    """A number that grows with each call for the same prefix, from 1."""
    return names.uid(prefix)


def is_keras_tensor(x: object) -> bool:
    """Whether `x` is a symbolic tensor of a functional model."""
    return isinstance(x, KerasTensor)


def is_tensor(x: object) -> bool:
    """Whether `x` is a tensor, symbolic tensor, variable or array."""
    return is_tensor_like(x)


__all__ = [
    "KerasTensor",
    "Variable",
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_keras_tensor",
    "is_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]
