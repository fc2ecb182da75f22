"""Checks, small graph idioms and sample makers that several op files share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Shape, Size
from graphkeras.ir.graph import Value
from graphkeras.ir.op import Array, Elements, Loops, OpTypeError
from graphkeras.ir.scalar import CLIPPED, INDEX, Apply, Expr
from graphkeras.ir.types import TensorType

DTYPE_GROUPS: dict[str, Callable[[TensorType], bool]] = {
    "any": lambda t: True,
    "float": lambda t: t.is_float,
    "number": lambda t: t.dtype != "bool",
    "integer": lambda t: "int" in t.dtype,
    "unsigned": lambda t: t.dtype.startswith("uint"),
    "integer or bool": lambda t: not t.is_float,
    "bool": lambda t: t.dtype == "bool",
}
"""Names of the sets of dtypes an op may accept, as its error messages call them."""


def fail(op: str, message: str) -> NoReturn:
    """Raises the `OpTypeError` of an op."""
    raise OpTypeError(f"{op}: {message}")


def shown(types: Sequence[TensorType]) -> str:
    """Types as error messages list them."""
    return " and ".join(str(t) for t in types)


def expect_count(op: str, types: Sequence[TensorType], count: int) -> None:
    """Checks the number of operands."""
    if len(types) != count:
        fail(op, f"expected {count} operand(s), received {len(types)}")


def expect_dtype(op: str, type: TensorType, group: str, which: str = "operand") -> None:
    """Checks that a dtype is in a group of `DTYPE_GROUPS`."""
    if not DTYPE_GROUPS[group](type):
        fail(op, f"expected {which} of dtype {group}, received {type}")


def expect_same_dtype(op: str, types: Sequence[TensorType]) -> None:
    """Checks that all dtypes are equal."""
    if len({t.dtype for t in types}) > 1:
        fail(op, f"operands must have the same dtype, received {shown(types)}; insert a cast")


def expect_same_shape(op: str, types: Sequence[TensorType]) -> None:
    """Checks that all shapes are equal."""
    if len({t.shape for t in types}) > 1:
        fail(op, f"operands must have the same shape, received {shown(types)}; insert a broadcast")


def expect_axis(op: str, axis: int, rank: int, what: str = "axis") -> None:
    """Checks `0 <= axis < rank`."""
    if not 0 <= axis < rank:
        fail(op, f"{what} {axis} is out of range for {rank} dimension(s); expected 0 to {rank - 1}")


def expect_axes(op: str, axes: Sequence[int], rank: int, what: str = "axis") -> None:
    """Checks distinct axes, each `0 <= axis < rank`."""
    for axis in axes:
        expect_axis(op, axis, rank, what)
    if len(set(axes)) != len(axes):
        fail(op, f"each {what} may be given once, received {tuple(axes)}")


def expect_length(op: str, attr: str, values: Sequence[object], length: int) -> None:
    """Checks that an attribute has one entry a dimension."""
    if len(values) != length:
        fail(op, f"{attr} must have {length} entries, received {tuple(values)}")


def expect_positive(op: str, attr: str, values: Sequence[int]) -> None:
    """Checks that every entry is at least 1."""
    if any(v < 1 for v in values):
        fail(op, f"{attr} must be at least 1, received {tuple(values)}")


def static(op: str, dim: Dim, what: str) -> int:
    """A dimension that has to be a number."""
    if isinstance(dim, Size):
        fail(op, f"{what} must be a number, received the run-time size {dim}")
    return dim


def filled(b: Builder, shape: Shape, dtype: str, number: float) -> Value:
    """A tensor of one repeated number."""
    scalar = b.constant(number, dtype)
    return b.emit("broadcast", scalar, shape=shape, dims=()) if shape else scalar


def filled_like(b: Builder, value: Value, number: float) -> Value:
    """A tensor of one repeated number with the type of `value`."""
    return filled(b, value.type.shape, value.type.dtype, number)


def spread(b: Builder, value: Value, shape: Shape, removed: Sequence[int]) -> Value:
    """Undoes the removal of dimensions: repeats `value` along the dims `removed` of `shape`."""
    dims = tuple(d for d in range(len(shape)) if d not in removed)
    return b.emit("broadcast", value, shape=shape, dims=dims)


def transposed(b: Builder, value: Value, perm: Sequence[int]) -> Value:
    """`transpose` that emits nothing where nothing moves."""
    if list(perm) == list(range(value.type.rank)):
        return value
    return b.emit("transpose", value, perm=tuple(perm))


def equal_index(a: Expr, b: Expr) -> Expr:
    """`a == b` for index expressions."""
    return Apply("bool", "({0} == {1})", (a, b))


def clipped(k: Elements | Loops, index: Expr, extent: Expr) -> Expr:
    """An integer element as an int64 index held inside `0 .. extent - 1`."""
    wide = k.apply("{T}({0})", index, dtype=INDEX)
    return k.apply(CLIPPED, wide, extent - 1, dtype=INDEX)


Number = float | int | bool


def larger(is_float: bool) -> str:
    """Template of the larger of `{0}` and `{1}`; NaN wins."""
    return "maximum({0}, {1})" if is_float else "({0} if {0} > {1} else {1})"


def smaller(is_float: bool) -> str:
    """Template of the smaller of `{0}` and `{1}`; NaN wins."""
    return "minimum({0}, {1})" if is_float else "({0} if {0} < {1} else {1})"


def lowest(dtype: str) -> Number:
    """The identity of max."""
    return float("-inf") if dtype.startswith("float") else int(np.iinfo(dtype).min)


def highest(dtype: str) -> Number:
    """The identity of min."""
    return float("inf") if dtype.startswith("float") else int(np.iinfo(dtype).max)


Make: TypeAlias = "Callable[[np.random.Generator], Sequence[Array]]"


def normal(*shapes: tuple[int, ...]) -> Make:
    """Sample maker: float32 operands with standard normal elements."""
    return lambda rng: [np.asarray(rng.standard_normal(s), "float32") for s in shapes]


def distinct(*shapes: tuple[int, ...]) -> Make:
    """Sample maker: float32 operands whose elements differ by at least 0.1, in random order."""

    def make(rng: np.random.Generator) -> list[Array]:
        operands = []
        for shape in shapes:
            count = int(np.prod(shape))
            values = (rng.permutation(count) - count / 2 + 0.25) / 8
            operands.append(np.asarray(values.reshape(shape), "float32"))
        return operands

    return make


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Make:
    """Sample maker: float32 operands with elements between `low` and `high`."""
    return lambda rng: [np.asarray(rng.uniform(low, high, s), "float32") for s in shapes]


def integers(dtype: str, low: int, high: int, *shapes: tuple[int, ...]) -> Make:
    """Sample maker: integer operands with elements in `low .. high - 1`."""
    return lambda rng: [np.asarray(rng.integers(low, high, s), dtype) for s in shapes]


def booleans(*shapes: tuple[int, ...]) -> Make:
    """Sample maker: bool operands."""
    return lambda rng: [np.asarray(rng.integers(0, 2, s), "bool") for s in shapes]


def together(*makers: Make) -> Make:
    """Sample maker: the operands of several makers in order."""
    return lambda rng: [array for make in makers for array in make(rng)]


def given(*arrays: object, dtype: str = "float32") -> Make:
    """Sample maker: literal operands."""
    return lambda rng: [np.asarray(a, dtype) for a in arrays]
