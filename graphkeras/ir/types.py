"""Tensor types: a shape and a dtype, nothing else.

Strides, layouts and devices belong to kernels. The text form is `f32[N,28,28,1]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Shape, evaluate, extents, parse_dim, product

SHORT = {
    "float32": "f32",
    "float64": "f64",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "bool": "bool",
}
"""Every dtype the IR knows, with its short name in text."""

LONG = {short: name for name, short in SHORT.items()}


@frozen
class TensorType:
    """Shape (numbers or symbolic sizes) and dtype (a NumPy name) of a value."""

    shape: Shape
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in SHORT:
            raise ValueError(f"unknown dtype {self.dtype!r}; expected one of {', '.join(SHORT)}")

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def numel(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def is_float(self) -> bool:
        """Whether values are floating-point numbers (the only ones with a gradient)."""
        return self.dtype.startswith("float")

    def nbytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes of the tensor for the given run-time dimensions."""
        return evaluate(self.numel, sizes) * self.itemsize

    def concrete(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape as numbers for the given run-time dimensions; see `extents`."""
        return extents(self.shape, sizes)

    def with_shape(self, shape: Shape) -> TensorType:
        """The same dtype with another shape."""
        return TensorType(tuple(shape), self.dtype)

    def with_dtype(self, dtype: str) -> TensorType:
        """The same shape with another dtype."""
        return TensorType(self.shape, dtype)

    def __str__(self) -> str:
        return f"{SHORT[self.dtype]}[{','.join(str(d) for d in self.shape)}]"


_TYPE = re.compile(r"([a-z]+\d*)\[(.*)\]$")


def parse_type(text: str) -> TensorType:
    """Inverse of `str(type)`. Raises `ValueError` on bad text."""
    match = _TYPE.match(text.strip())
    if match is None or match[1] not in LONG:
        raise ValueError(f"not a tensor type: {text!r}; expected something like f32[N,10]")
    dims = [part for part in match[2].split(",") if part.strip()]
    return TensorType(tuple(parse_dim(part) for part in dims), LONG[match[1]])
