"""Elementwise ops of one operand.

Each row below is the whole op: reference, gradient, scalar code and samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
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
    fail,
    filled_like,
    given,
    integers,
    normal,
    uniform,
)
from graphkeras.ir.types import SHORT, TensorType

Compute = Callable[[Array], Array]
Slope = Callable[[Builder, Value, Value, Value], Value]
"""(builder, operand x, result y, cotangent of y) -> cotangent of x."""


def _infer(name: str, group: str, result_dtype: str | None) -> Infer:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
        expect_count(name, types, 1)
        expect_dtype(name, types[0], group)
        return (types[0].with_dtype(result_dtype or types[0].dtype),)

    return infer


def _reference(compute: Compute) -> Reference:
    def reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(compute(arrays[0])),)

    return reference


def _unary(
    name: str,
    doc: str,
    compute: Compute,
    scalar: Scalar,
    slope: Slope | None = None,
    *,
    group: str = "float",
    result: str | None = None,
    make: Make | None = None,
    cost: int = 1,
    samples: tuple[Sample, ...] = (),
) -> None:
    """Registers a unary op; `make` gives elements inside its domain and away from kinks."""

    def gradient(
        b: Builder, node: Node, cotangents: Sequence[Value | None]
    ) -> Sequence[Value | None]:
        (dy,) = cotangents
        (x,) = node.inputs
        if dy is None or slope is None or not x.type.is_float:
            return (None,)
        return (slope(b, x, node.result, dy),)

    make = make or normal((3, 4))
    register(
        Op(
            name,
            Kind.ELEMENTWISE,
            doc,
            _infer(name, group, result),
            _reference(compute),
            gradient=gradient if slope else None,
            scalar=scalar,
            cost=cost,
            samples=(
                Sample(make, symbolic={0: {0: "N"}}, differentiable=slope is not None),
                *samples,
            ),
        )
    )


def _times(b: Builder, a: Value, number: float) -> Value:
    return b.emit("mul", a, filled_like(b, a, number))


def _plus(b: Builder, a: Value, number: float) -> Value:
    return b.emit("add", a, filled_like(b, a, number))


def _square(b: Builder, a: Value) -> Value:
    return b.emit("mul", a, a)


def _one_minus(b: Builder, a: Value) -> Value:
    return b.emit("sub", filled_like(b, a, 1), a)


def _chain(op: str) -> Slope:
    """The slope is the named op of x: d sin(x) = cos(x)."""
    return lambda b, x, y, dy: b.emit("mul", dy, b.emit(op, x))


def _abs_scalar(node: Node) -> str:
    dtype = node.inputs[0].type.dtype
    if dtype.startswith("float"):
        return "math.fabs({0})"
    return "{0}" if dtype.startswith("uint") else "abs({0})"


_SPECIAL = given([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 88.0, -104.0])
_EDGES = (Sample(_SPECIAL, differentiable=False, label="special values"),)
_INTS = (Sample(integers("int32", -9, 9, (2, 5)), differentiable=False, label="int32"),)

_unary(
    "neg",
    "-x; wraps around on integers.",
    np.negative,
    "(-{0})",
    lambda b, x, y, dy: b.emit("neg", dy),
    group="number",
    samples=(
        *_INTS,
        Sample(integers("uint8", 0, 255, (7,)), differentiable=False, label="uint8"),
        Sample(normal(()), label="scalar"),
    ),
)
_unary(
    "abs",
    "|x|; the gradient is sign(x), so 0 at 0.",
    np.abs,
    _abs_scalar,
    lambda b, x, y, dy: b.emit("mul", dy, b.emit("sign", x)),
    group="number",
    make=given([[-2.0, -0.5, 0.5], [3.0, -1.25, 0.25]]),
    samples=(
        *_EDGES,
        *_INTS,
        Sample(integers("uint32", 0, 9, (4,)), differentiable=False, label="uint32"),
    ),
)
_unary(
    "sign",
    "-1, 0 or 1; NaN stays NaN.",
    np.sign,
    "({T}(1) if {0} > {T}(0) else ({T}(-1) if {0} < {T}(0) else {0}))",
    group="number",
    samples=(*_EDGES, *_INTS),
)
_unary(
    "exp",
    "e to the power x.",
    np.exp,
    "math.exp({0})",
    lambda b, x, y, dy: b.emit("mul", dy, y),
    cost=16,
    samples=_EDGES,
)
_unary(
    "expm1",
    "exp(x) - 1, exact near 0.",
    np.expm1,
    "math.expm1({0})",
    lambda b, x, y, dy: b.emit("mul", dy, _plus(b, y, 1)),
    cost=20,
    samples=_EDGES,
)
_unary(
    "log",
    "Natural logarithm; -inf at 0, NaN below.",
    np.log,
    "math.log({0})",
    lambda b, x, y, dy: b.emit("div", dy, x),
    make=uniform(0.5, 4, (3, 4)),
    cost=16,
    samples=_EDGES,
)
_unary(
    "log1p",
    "log(1 + x), exact near 0.",
    np.log1p,
    "math.log1p({0})",
    lambda b, x, y, dy: b.emit("div", dy, _plus(b, x, 1)),
    make=uniform(-0.5, 4, (3, 4)),
    cost=20,
    samples=_EDGES,
)
_unary(
    "sqrt",
    "Square root; NaN below 0.",
    np.sqrt,
    "math.sqrt({0})",
    lambda b, x, y, dy: b.emit("div", _times(b, dy, 0.5), y),
    make=uniform(0.5, 4, (3, 4)),
    cost=6,
    samples=_EDGES,
)
_unary(
    "rsqrt",
    "1 / sqrt(x).",
    lambda x: np.asarray(1 / np.sqrt(x), x.dtype),
    "({T}(1) / math.sqrt({0}))",
    lambda b, x, y, dy: b.emit("mul", dy, _times(b, b.emit("div", y, x), -0.5)),
    make=uniform(0.5, 4, (3, 4)),
    cost=10,
    samples=_EDGES,
)
_unary("sin", "Sine.", np.sin, "math.sin({0})", _chain("cos"), cost=20)
_unary(
    "cos",
    "Cosine.",
    np.cos,
    "math.cos({0})",
    lambda b, x, y, dy: b.emit("neg", b.emit("mul", dy, b.emit("sin", x))),
    cost=20,
)
_unary(
    "tan",
    "Tangent.",
    np.tan,
    "math.tan({0})",
    lambda b, x, y, dy: b.emit("mul", dy, _plus(b, _square(b, y), 1)),
    make=uniform(-1, 1, (3, 4)),
    cost=24,
)


def _arc_slope(b: Builder, x: Value, y: Value, dy: Value) -> Value:
    return b.emit("mul", dy, b.emit("rsqrt", _one_minus(b, _square(b, x))))


_unary(
    "asin",
    "Inverse sine; NaN outside [-1, 1].",
    np.arcsin,
    "math.asin({0})",
    _arc_slope,
    make=uniform(-0.8, 0.8, (3, 4)),
    cost=24,
)
_unary(
    "acos",
    "Inverse cosine; NaN outside [-1, 1].",
    np.arccos,
    "math.acos({0})",
    lambda b, x, y, dy: b.emit("neg", _arc_slope(b, x, y, dy)),
    make=uniform(-0.8, 0.8, (3, 4)),
    cost=24,
)
_unary(
    "atan",
    "Inverse tangent.",
    np.arctan,
    "math.atan({0})",
    lambda b, x, y, dy: b.emit("div", dy, _plus(b, _square(b, x), 1)),
    cost=24,
)
_unary("sinh", "Hyperbolic sine.", np.sinh, "math.sinh({0})", _chain("cosh"), cost=24)
_unary("cosh", "Hyperbolic cosine.", np.cosh, "math.cosh({0})", _chain("sinh"), cost=24)
_unary(
    "asinh",
    "Inverse hyperbolic sine.",
    np.arcsinh,
    "math.asinh({0})",
    lambda b, x, y, dy: b.emit("mul", dy, b.emit("rsqrt", _plus(b, _square(b, x), 1))),
    cost=30,
)
_unary(
    "acosh",
    "Inverse hyperbolic cosine; NaN below 1.",
    np.arccosh,
    "math.acosh({0})",
    lambda b, x, y, dy: b.emit("mul", dy, b.emit("rsqrt", _plus(b, _square(b, x), -1))),
    make=uniform(1.5, 4, (3, 4)),
    cost=30,
)
_unary(
    "atanh",
    "Inverse hyperbolic tangent; NaN outside [-1, 1].",
    np.arctanh,
    "math.atanh({0})",
    lambda b, x, y, dy: b.emit("div", dy, _one_minus(b, _square(b, x))),
    make=uniform(-0.8, 0.8, (3, 4)),
    cost=30,
)
_unary(
    "tanh",
    "Hyperbolic tangent.",
    np.tanh,
    "math.tanh({0})",
    lambda b, x, y, dy: b.emit("mul", dy, _one_minus(b, _square(b, y))),
    cost=24,
    samples=_EDGES,
)
_unary(
    "logistic",
    "1 / (1 + exp(-x)); exp overflowing to infinity gives the right limit 0.",
    lambda x: np.asarray(1 / (1 + np.exp(-x)), x.dtype),
    "({T}(1) / ({T}(1) + math.exp(-{0})))",
    lambda b, x, y, dy: b.emit("mul", dy, b.emit("mul", y, _one_minus(b, y))),
    cost=20,
    samples=_EDGES,
)
_unary(
    "erf",
    "Gauss error function.",
    lambda x: np.asarray(np.frompyfunc(math.erf, 1, 1)(x), x.dtype),
    "math.erf({0})",
    lambda b, x, y, dy: b.emit(
        "mul", dy, _times(b, b.emit("exp", b.emit("neg", _square(b, x))), 2 / math.sqrt(math.pi))
    ),
    cost=24,
    samples=_EDGES,
)
_HALVES = (Sample(given([0.5, 1.5, 2.5, -0.5, -1.5, 3.7, -3.2, 1e10]), label="halves"),)
_unary("floor", "Largest whole number not above x.", np.floor, "np.floor({0})", samples=_HALVES)
_unary("ceil", "Smallest whole number not below x.", np.ceil, "np.ceil({0})", samples=_HALVES)
_unary("round", "Nearest whole number, halves to even.", np.rint, "np.rint({0})", samples=_HALVES)
_unary(
    "not",
    "Logical not of bools, bitwise not of integers.",
    np.invert,
    lambda node: "(not {0})" if node.result.type.dtype == "bool" else "(~{0})",
    group="integer or bool",
    make=booleans((3, 4)),
    samples=(*_INTS, Sample(integers("uint8", 0, 255, (7,)), label="uint8")),
)
_unary(
    "is_finite",
    "Neither infinite nor NaN.",
    np.isfinite,
    "math.isfinite({0})",
    result="bool",
    samples=_EDGES,
)
_unary("is_nan", "NaN.", np.isnan, "({0} != {0})", result="bool", samples=_EDGES)
_unary(
    "relu",
    "max(x, 0); NaN stays NaN. The gradient is 0 at 0, and read off the result, so that only "
    "the result is kept for the backward pass.",
    lambda x: np.maximum(x, 0),
    "({0} if not ({0} <= {T}(0)) else {T}(0))",
    lambda b, x, y, dy: b.emit(
        "select", b.emit("gt", y, filled_like(b, y, 0)), dy, filled_like(b, dy, 0)
    ),
    group="number",
    make=given([[-2.0, -0.5, 0.5], [3.0, -1.25, 0.25]]),
    samples=(*_EDGES, *_INTS),
)
_unary(
    "stop_gradient",
    "x, through which no gradient flows.",
    lambda x: x,
    "{0}",
    group="any",
    samples=(Sample(booleans((3,)), label="bool"),),
)


def _cast_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("cast", types, 1)
    if attrs["dtype"] not in SHORT:
        fail("cast", f"unknown dtype {attrs['dtype']!r}; expected one of {', '.join(SHORT)}")
    return (types[0].with_dtype(attrs["dtype"]),)


def _cast_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    with np.errstate(all="ignore"):
        return (np.asarray(arrays[0]).astype(attrs["dtype"]),)


def _cast_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    source = node.inputs[0].type
    if dy is None or not (source.is_float and node.result.type.is_float):
        return (None,)
    return (b.emit("cast", dy, dtype=source.dtype),)


def _cast_samples() -> tuple[Sample, ...]:
    floats = given([-2.7, -1.0, -0.4, 0.0, 0.4, 1.0, 2.7, 100.0])
    samples = [
        Sample(normal((3, 2)), {"dtype": "float64"}, {0: {0: "N"}}),
        Sample(booleans((6,)), {"dtype": "float32"}, differentiable=False, label="bool to float"),
        Sample(
            integers("int32", -300, 300, (9,)),
            {"dtype": "uint8"},
            differentiable=False,
            label="wrap",
        ),
        Sample(
            integers("uint8", 0, 255, (9,)),
            {"dtype": "float32"},
            differentiable=False,
            label="images",
        ),
    ]
    for dtype in ("int32", "int8", "int64", "bool"):
        samples.append(Sample(floats, {"dtype": dtype}, differentiable=False, label=f"to {dtype}"))
    return tuple(samples)


register(
    Op(
        "cast",
        Kind.ELEMENTWISE,
        "x as another dtype: floats are cut towards 0, integers wrap around, bool is x != 0.",
        _cast_infer,
        _cast_reference,
        attrs=(Attr("dtype", str),),
        gradient=_cast_gradient,
        scalar=lambda node: "({0} != 0)" if node.result.type.dtype == "bool" else "{T}({0})",
        samples=_cast_samples(),
    )
)
