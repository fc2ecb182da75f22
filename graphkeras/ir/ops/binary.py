"""Elementwise arithmetic of two operands of equal shape and dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Affine,
    Array,
    Attrs,
    Infer,
    Kind,
    Op,
    Reference,
    Sample,
    Scalar,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    Make,
    booleans,
    expect_count,
    expect_dtype,
    expect_same_dtype,
    expect_same_shape,
    filled_like,
    given,
    integers,
    larger,
    normal,
    smaller,
    together,
    uniform,
)
from graphkeras.ir.types import TensorType

Compute = Callable[[Array, Array], Array]
Slopes = Callable[[Builder, Node, Value], tuple[Value | None, Value | None]]
"""(builder, node, cotangent of the result) -> cotangents of the operands."""


def binary_infer(name: str, group: str, result_dtype: str | None = None) -> Infer:
    """The type rule of an elementwise op of two like operands."""

    def infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        expect_count(name, types, 2)
        for which, type in zip(("left operand", "right operand"), types, strict=True):
            expect_dtype(name, type, group, which)
        expect_same_dtype(name, types)
        expect_same_shape(name, types)
        return (types[0].with_dtype(result_dtype or types[0].dtype),)

    return infer


def binary_reference(compute: Compute) -> Reference:
    """The reference of an elementwise op of two like operands."""

    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(compute(arrays[0], arrays[1])),)

    return reference


def _binary(
    name: str,
    doc: str,
    compute: Compute,
    scalar: Scalar,
    slopes: Slopes | None = None,
    *,
    group: str = "number",
    make: Make | None = None,
    cost: int = 1,
    commutative: bool = False,
    affine: Affine | None = None,
    samples: tuple[Sample, ...] = (),
) -> None:
    """Registers a binary op; `make` gives elements inside its domain and away from kinks."""

    def gradient(
        b: Builder, node: Node, cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (dy,) = cotangents
        if dy is None or slopes is None or not node.result.type.is_float:
            return (None, None)
        return slopes(b, node, dy)

    symbolic = {0: {0: "N"}, 1: {0: "N"}}
    register(
        Op(
            name,
            Kind.ELEMENTWISE,
            doc,
            binary_infer(name, group),
            binary_reference(compute),
            gradient=gradient if slopes else None,
            scalar=scalar,
            cost=cost,
            commutative=commutative,
            affine=affine,
            samples=(
                Sample(
                    make or normal((3, 4), (3, 4)),
                    symbolic=symbolic,
                    differentiable=slopes is not None,
                ),
                *samples,
            ),
        )
    )


def _mul_slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
    x, y = node.inputs
    return b.emit("mul", dy, y), b.emit("mul", dy, x)


def _div_slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
    divisor = node.inputs[1]
    dx = b.emit("div", dy, divisor)
    return dx, b.emit("neg", b.emit("mul", dx, node.result))


def _mod_slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
    whole = b.emit("floor_div", *node.inputs)
    return dy, b.emit("neg", b.emit("mul", dy, whole))


def _pow_slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
    """Finite at the edges: slope 0 for exponent 0, and for the exponent where the base is 0."""
    base, exponent = node.inputs
    zero, one = filled_like(b, base, 0), filled_like(b, base, 1)
    lower = b.emit("pow", base, b.emit("sub", exponent, one))
    slope = b.emit("select", b.emit("eq", exponent, zero), zero, b.emit("mul", exponent, lower))
    safe = b.emit("select", b.emit("eq", base, zero), one, base)
    growth = b.emit("mul", b.emit("log", safe), node.result)
    return b.emit("mul", dy, slope), b.emit("mul", dy, growth)


def _atan2_slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
    y, x = node.inputs
    scaled = b.emit("div", dy, b.emit("add", b.emit("mul", x, x), b.emit("mul", y, y)))
    return b.emit("mul", scaled, x), b.emit("neg", b.emit("mul", scaled, y))


def _choice_slopes(wins: str) -> Slopes:
    """Max and min: the winner takes the cotangent, equal operands half each."""

    def slopes(b: Builder, node: Node, dy: Value) -> tuple[Value, Value]:
        x, y = node.inputs
        zero = filled_like(b, dy, 0)
        half = b.emit("mul", dy, filled_like(b, dy, 0.5))
        tie = b.emit("eq", x, y)

        def share(a: Value, other: Value) -> Value:
            won = b.emit("select", b.emit(wins, a, other), dy, zero)
            return b.emit("select", tie, half, won)

        return share(x, y), share(y, x)

    return slopes


def _shift_right_scalar(node: Node) -> str:
    unsigned = f"uint{8 * node.result.type.itemsize}"
    return f"({unsigned}({{0}}) >> {unsigned}({{1}}))"


def _shift_right(a: Array, amount: Array) -> Array:
    unsigned = f"uint{8 * a.itemsize}"
    return np.asarray((a.astype(unsigned) >> amount.astype(unsigned)).astype(a.dtype))


_INTS = Sample(
    together(integers("int32", -9, 9, (4, 5)), integers("int32", 1, 5, (4, 5))),
    differentiable=False,
    label="int32",
)
_BYTES = Sample(integers("uint8", 0, 255, (9,), (9,)), differentiable=False, label="uint8 wraps")
_SCALARS = Sample(normal((), ()), label="scalars")
_NANS = Sample(
    given([np.nan, 1, np.nan, np.inf, 0, -np.inf, 1], [1, np.nan, np.nan, 1, -0.0, -1, 1]),
    differentiable=False,
    label="special values",
)
_SIGNED = given(
    [7.5, -7.5, 7.5, -7.5, 6.0, -6.0, 0.3, 0.0],
    [2.0, 2.0, -2.0, -2.0, 3.0, 3.0, 0.7, 1.0],
)
_REMAINDERS = (
    _INTS,
    Sample(_SIGNED, differentiable=False, label="signs"),
    Sample(integers("uint8", 1, 255, (9,), (9,)), differentiable=False, label="uint8"),
    Sample(given([-7, 7, 0], [0, 0, 0], dtype="int32"), differentiable=False, label="int by zero"),
    Sample(given([-7.0, 7.0], [0, 0]), differentiable=False, label="float by zero"),
)
_SHIFTS = (
    Sample(
        together(integers("int32", -99, 99, (9,)), integers("int32", 0, 31, (9,))), label="int32"
    ),
    Sample(together(integers("uint8", 0, 255, (9,)), integers("uint8", 0, 8, (9,))), label="uint8"),
)

_binary(
    "add",
    "x + y; wraps around on integers.",
    np.add,
    "({0} + {1})",
    lambda b, node, dy: (dy, dy),
    commutative=True,
    affine=Affine.SHIFT,
    samples=(_INTS, _BYTES, _SCALARS),
)
_binary(
    "sub",
    "x - y; wraps around on integers.",
    np.subtract,
    "({0} - {1})",
    lambda b, node, dy: (dy, b.emit("neg", dy)),
    affine=Affine.SHIFT,
    samples=(_INTS, _BYTES, _SCALARS),
)
_binary(
    "mul",
    "x * y; wraps around on integers.",
    np.multiply,
    "({0} * {1})",
    _mul_slopes,
    commutative=True,
    affine=Affine.SCALE,
    samples=(_INTS, _BYTES, _SCALARS),
)
_binary(
    "div",
    "x / y of floats; infinite or NaN at y = 0.",
    np.true_divide,
    "({0} / {1})",
    _div_slopes,
    group="float",
    make=together(normal((3, 4)), uniform(0.5, 3, (3, 4))),
    cost=6,
    affine=Affine.SCALE,
    samples=(_NANS, Sample(given([1.0, -1.0, 0.0], [0, 0, 0]), differentiable=False, label="by 0")),
)
_binary(
    "floor_div",
    "floor(x / y) as NumPy computes it; integers divided by 0 give 0.",
    np.floor_divide,
    "({0} // {1})",
    cost=12,
    samples=_REMAINDERS,
)
_binary(
    "mod",
    "x - floor(x / y) * y: the sign of y, as np.mod; integers modulo 0 give 0.",
    np.mod,
    "({0} % {1})",
    _mod_slopes,
    make=given([7.5, -7.5, 7.5, -7.5, 0.3], [2.0, 2.0, -2.0, -2.0, 0.7]),
    cost=12,
    samples=_REMAINDERS,
)
_binary(
    "pow",
    "x to the power y; integer exponents must not be negative.",
    np.power,
    lambda node: "math.pow({0}, {1})" if node.result.type.is_float else "({0} ** {1})",
    _pow_slopes,
    make=together(uniform(0.5, 3, (3, 4)), normal((3, 4))),
    cost=40,
    samples=(
        _INTS,
        Sample(given([0, 0, -2, -2, 2], [0, 2, 2, 3, -1]), differentiable=False, label="signs"),
    ),
)
_binary(
    "max",
    "The larger of x and y; NaN where either is. Ties share the gradient equally.",
    np.maximum,
    lambda node: larger(node.result.type.is_float),
    _choice_slopes("gt"),
    commutative=True,
    samples=(_INTS, _BYTES, _NANS),
)
_binary(
    "min",
    "The smaller of x and y; NaN where either is. Ties share the gradient equally.",
    np.minimum,
    lambda node: smaller(node.result.type.is_float),
    _choice_slopes("lt"),
    commutative=True,
    samples=(_INTS, _BYTES, _NANS),
)
_binary(
    "atan2",
    "Angle of the point (y, x), operands in that order.",
    np.arctan2,
    "math.atan2({0}, {1})",
    _atan2_slopes,
    group="float",
    cost=40,
)
_BITS = (
    Sample(integers("int32", -99, 99, (9,), (9,)), label="int32"),
    Sample(integers("uint32", 0, 2**32, (9,), (9,)), label="uint32"),
)
for _name, _doc, _compute, _sign in (
    ("and", "Logical and of bools, bitwise and of integers.", np.bitwise_and, "&"),
    ("or", "Logical or of bools, bitwise or of integers.", np.bitwise_or, "|"),
    ("xor", "Exclusive or of bools or of the bits of integers.", np.bitwise_xor, "^"),
):
    _binary(
        _name,
        _doc,
        _compute,
        f"({{0}} {_sign} {{1}})",
        group="integer or bool",
        make=booleans((3, 4), (3, 4)),
        commutative=True,
        samples=_BITS,
    )
_binary(
    "shift_left",
    "Bits of x moved up by y, 0 <= y < the number of bits.",
    np.left_shift,
    "({0} << {1})",
    group="integer",
    make=together(integers("uint32", 0, 2**32, (3, 4)), integers("uint32", 0, 32, (3, 4))),
    samples=_SHIFTS,
)
_binary(
    "shift_right",
    "Bits of x moved down by y with zeros from above, 0 <= y < the number of bits.",
    _shift_right,
    _shift_right_scalar,
    group="integer",
    make=together(integers("uint32", 0, 2**32, (3, 4)), integers("uint32", 0, 32, (3, 4))),
    samples=_SHIFTS,
)
