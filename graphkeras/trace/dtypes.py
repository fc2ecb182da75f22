"""Which dtype an operation computes in, by the rules of Keras 3.

Arrays and tensors have strong dtypes. A Python number is weak: it takes the dtype of what it
meets, and only decides between bool, integer and float. Precision never depends on the width
of an integer: `int64 + float32` is `float32`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras.config import floatx
from graphkeras.ir.dims import Size
from graphkeras.ir.types import SHORT

WEAK_INT = "int"
"""Kind of a Python integer."""
WEAK_FLOAT = "float"
"""Kind of a Python float."""


def standardize_dtype(dtype: Any) -> str:
    """The IR's name of a dtype.

    Args:
        dtype: a name, a NumPy dtype or scalar type, `float`, `int`, `bool`, or None for floatx.

    Raises:
        ValueError: where the compiler does not know the dtype.
    """
    if dtype is None:
        return floatx()
    if isinstance(dtype, str) and dtype in SHORT:
        return dtype
    if dtype in (float, "float"):
        return floatx()
    if dtype in (int, "int"):
        return "int32"
    if dtype is bool:
        return "bool"
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in SHORT:
        raise ValueError(
            f"unknown dtype: {dtype!r}. Expected one of {', '.join(SHORT)}; "
            "float16 and bfloat16 are not supported."
        )
    return name


def kind_of(x: Any) -> str:
    """The strong dtype of a tensor or array, or the weak kind of a Python number.

    Half precision exists only in data from outside, which is widened to floatx.
    """
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, (int, Size)):
        return WEAK_INT
    if isinstance(x, float):
        return WEAK_FLOAT
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype == np.float16:
        return floatx()
    if dtype is not None:
        return standardize_dtype(dtype)
    if isinstance(x, (list, tuple)):
        return result_type(*(kind_of(item) for item in x)) if x else floatx()
    raise TypeError(f"cannot use a value of type {type(x).__name__} as a tensor: {x!r}")


def result_type(*operands: Any) -> str:
    """The dtype in which operands meet: strong dtypes and weak Python numbers together.

    Args:
        *operands: dtype names, tensors, arrays, numbers, or nested lists of them.
    """
    kinds = {o if isinstance(o, str) else kind_of(o) for o in operands}
    floats = [k for k in kinds if k.startswith("float") and k != WEAK_FLOAT]
    if floats:
        return max(floats, key=lambda k: np.dtype(k).itemsize)
    if WEAK_FLOAT in kinds:
        return floatx()
    integers = [k for k in kinds if k not in ("bool", WEAK_INT)]
    if not integers:
        return "int32" if WEAK_INT in kinds else "bool"
    return _meet_integers(integers)


def _meet_integers(kinds: list[str]) -> str:
    signed = [_bits(k) for k in kinds if k.startswith("int")]
    unsigned = [_bits(k) for k in kinds if k.startswith("uint")]
    if not signed:
        return f"uint{max(unsigned)}"
    if not unsigned:
        return f"int{max(signed)}"
    bits = max(max(signed), 2 * max(unsigned))
    return f"int{bits}" if bits <= 64 else floatx()


def _bits(dtype: str) -> int:
    return np.dtype(dtype).itemsize * 8


def float_type(*operands: Any) -> str:
    """`result_type`, with floatx where that is no float: for `exp`, `mean`, `softmax`, ..."""
    dtype = result_type(*operands)
    return dtype if dtype.startswith("float") else floatx()
