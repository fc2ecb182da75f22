"""Trigonometric and hyperbolic functions and their inverses, for float32, through float64.

The argument of sin, cos and tan is divided by a quarter turn. Only the quotient's last two whole
bits (the quadrant) and its fraction count, so what is a multiple of four quarter turns is left
out before it is computed, with a table of 2/pi times powers of two::

    |x| = M 2**i,  M < 2**24, i >= 0          |x| 2/pi = M * (2**i 2/pi mod 4)  (mod 4)

    2**i 2/pi mod 4  =  HIGH[i] + LOW[i]      HIGH has 29 bits: M * HIGH is exact in 53

The fraction is known to 2**-55. The float32 nearest to a multiple of a quarter turn is 2**-30 off,
so all operands up to the largest float32 are treated alike, and none is worse than the others.
How errors are measured and where coefficients come from: see `exponential.py`.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from graphkeras.native.vector_math.exponential import exp, expm1, log1p
from graphkeras.native.vector_math.number import (
    F64,
    I64,
    INFINITY,
    NAN,
    Number,
    at_most,
    bits_of,
    float_of,
    fma,
    magnitude,
    narrowed,
    polynomial,
    square_root,
    where,
    widened,
    with_sign,
)

# 2/pi * 2**224
_TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163AB
_POWERS = 106
"""Powers 0 to 104 serve all finite float32; 105 is that of infinity and NaN."""

# (sin(r) / r - 1) / r**2 in r**2 and (cos(r) - 1) / r**2, up to pi/4: 2**-37.6 and 2**-43.9
_SIN = (-0.1666666664152718, 0.008333329374151339, -0.00019839331004168576, 2.7182745244056617e-06)
_COS = (
    *(-0.4999999999954286, 0.0416666665616667, -0.0013888881055692578),
    *(2.479903603414048e-05, -2.717973052092e-07),
)
# (atan(r) / r - 1) / r**2 up to 1: 2**-31.4
_ATAN = (
    *(-0.33333327435478205, 0.19999692659458684, -0.14280131134442298, 0.1106024626264711),
    *(-0.08818853130481685, 0.06759581558759181, -0.04494657413397787, 0.022760454923549098),
    *(-0.007422696057362369, 0.001134891219060043),
)


def _turns() -> tuple[list[float], list[float]]:
    """HIGH and LOW of the table above."""
    high, low = [], []
    for power in range(_POWERS - 1):
        rest = (_TWO_OVER_PI << power) % (4 << 224)
        head = rest >> (224 - 27) << (224 - 27)
        high.append(head / 2**224)
        low.append((rest - head) / 2**224)
    return [*high, NAN], [*low, NAN]


def _table(builder: Any, name: str, values: list[float]) -> Any:
    """A constant array of the module."""
    known = builder.module.globals.get(name)
    if known is None:
        kind = ir.ArrayType(F64, len(values))
        known = ir.GlobalVariable(builder.module, kind, name)
        known.initializer = ir.Constant(kind, values)
        known.global_constant = True
        known.linkage = "internal"
    return known


def _element(index: Number, name: str, values: list[float]) -> Number:
    builder = index.builder
    place = builder.gep(_table(builder, name, values), [ir.Constant(I64, 0), index.value])
    return Number(builder, builder.load(place))


def _quadrant(x: Number) -> tuple[Number, Number]:
    """(q, r) with `|x| = q pi/2 + r`, |r| <= pi/4: q an integer modulo 4, r a float64."""
    wide = widened(magnitude(x))
    exponent = bits_of(wide) >> 52
    above = exponent - (1023 + 23)
    power = where(above > 0, above, 0)
    power = where(power < _POWERS - 1, power, _POWERS - 1)
    whole = float_of(bits_of(wide) - (power << 52))
    high, low = _turns()
    rounder = wide.format.rounder
    turns = whole * _element(power, "graphkeras.turns.high", high)
    shifted = turns + rounder
    fraction = fma(whole, _element(power, "graphkeras.turns.low", low), turns - (shifted - rounder))
    return bits_of(shifted), fraction * (math.pi / 2)


def _sin_cos(r: Number) -> tuple[Number, Number]:
    square = r * r
    return fma(polynomial(square, _SIN), square * r, r), fma(polynomial(square, _COS), square, 1.0)


def _flipped(x: Number, quadrant: Number) -> Number:
    """`-x` in the quadrants 2 and 3."""
    return float_of(bits_of(x) ^ ((quadrant & 2) << 62))


def sin(x: Number) -> Number:
    """Sine; NaN at infinity. 0.54 ulp."""
    quadrant, r = _quadrant(x)
    sine, cosine = _sin_cos(r)
    result = narrowed(_flipped(where((quadrant & 1) == 0, sine, cosine), quadrant))
    return where(x < 0.0, -result, where(x == 0.0, x, result))


def cos(x: Number) -> Number:
    """Cosine; NaN at infinity. 0.54 ulp."""
    quadrant, r = _quadrant(x)
    sine, cosine = _sin_cos(r)
    return narrowed(_flipped(where((quadrant & 1) == 0, cosine, sine), quadrant + 1))


def tan(x: Number) -> Number:
    """Tangent; NaN at infinity. 0.54 ulp."""
    quadrant, r = _quadrant(x)
    sine, cosine = _sin_cos(r)
    even = (quadrant & 1) == 0
    result = narrowed(where(even, sine, -cosine) / where(even, cosine, sine))
    return where(x < 0.0, -result, where(x == 0.0, x, result))


def atan2(y: Number, x: Number) -> Number:
    """Angle of the point (x, y), with C's special cases. 0.51 ulp."""
    return _angle(widened(y), widened(x))


def atan(x: Number) -> Number:
    """Inverse tangent. 0.51 ulp."""
    wide = widened(x)
    return _angle(wide, wide.constant(1.0))


def asin(x: Number) -> Number:
    """Inverse sine; NaN outside [-1, 1]. 0.51 ulp."""
    wide = widened(x)
    return _angle(wide, square_root((1.0 - wide) * (1.0 + wide)))


def acos(x: Number) -> Number:
    """Inverse cosine; NaN outside [-1, 1]. 0.51 ulp."""
    wide = widened(x)
    return _angle(square_root((1.0 - wide) * (1.0 + wide)), wide)


def _angle(y: Number, x: Number) -> Number:
    """atan2 of float64 to the accuracy of float32, as float32."""
    up, along = magnitude(y), magnitude(x)
    steep = up > along
    short, long = where(steep, along, up), where(steep, up, along)
    ratio = where(short == long, 1.0, short / long)
    ratio = where(long == 0.0, 0.0, ratio)
    square = ratio * ratio
    angle = fma(polynomial(square, _ATAN), square * ratio, ratio)
    angle = where(steep, math.pi / 2 - angle, angle)
    # The sign bit, so that -0 counts as negative.
    angle = where(bits_of(x) < 0, math.pi - angle, angle)
    angle = where((x != x) | (y != y), x + y, with_sign(angle, y))
    return narrowed(angle)


def sinh(x: Number) -> Number:
    """Hyperbolic sine. 0.51 ulp."""
    t = expm1(at_most(widened(magnitude(x)), 100.0))
    return with_sign(narrowed(0.5 * (t + t / (t + 1.0))), x)


def cosh(x: Number) -> Number:
    """Hyperbolic cosine. 0.51 ulp."""
    t = exp(at_most(widened(magnitude(x)), 100.0))
    return narrowed(0.5 * (t + 1.0 / t))


def asinh(x: Number) -> Number:
    """Inverse hyperbolic sine. 0.51 ulp."""
    size = widened(magnitude(x))
    square = size * size
    result = log1p(size + square / (1.0 + square_root(square + 1.0)))
    return with_sign(narrowed(where(size < INFINITY, result, size)), x)


def acosh(x: Number) -> Number:
    """Inverse hyperbolic cosine; NaN below 1. 0.51 ulp."""
    t = widened(x) - 1.0
    result = log1p(t + square_root(t * (t + 2.0)))
    return narrowed(where(t >= 0.0, result, NAN))


def atanh(x: Number) -> Number:
    """Inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond. 0.51 ulp."""
    size = widened(magnitude(x))
    return with_sign(narrowed(0.5 * log1p((size + size) / (1.0 - size))), x)
