"""exp, expm1, log, log1p, tanh and pow.

exp(x) splits off a power of two whose exponent is rounded *down*::

    x = n ln2 + r,  0 <= r < ln2          exp(x) = 2**n * p(r),  1 <= p < 2

    results      0  | 2**-126 ...  2**127 ...| infinity       float32
    exponent n -127 | -126    ...     127    | 128
    bits of 2**n  0 | normal numbers         | infinity

so that 2**n, made by shifting n + bias into the exponent, is the zero, the normal number or the
infinity that the result needs: no case is told apart after the multiplication. n itself comes
from adding 1.5 * 2**23, which leaves the whole number in the lowest bits.

log(x) splits off a power of two so that the rest lies around 1::

    x = 2**k m,  sqrt(1/2) <= m < sqrt(2)     log(x) = k ln2 + log(1 + f),  f = m - 1

Coefficients are minimax fits (Remez exchange in 40 digits, weighted for the relative error of the
result) with the error named beside them, rounded to the format.

Errors are in units in the last place of the result (ulp), the largest ones found; numbers below
the normal range count as zero, as operand and as result. float32: all 2**32 operands, against
float64 functions. float64: 4 * 10**5 random operands over the whole range and around the places
where a formula changes, against the C library's 80-bit functions. "No fma": on a CPU without
fused multiply-add.
"""

from __future__ import annotations

from graphkeras.frozen import frozen
from graphkeras.native.vector_math.number import (
    INFINITY,
    NAN,
    SINGLE,
    Number,
    at_least,
    at_most,
    bits_of,
    float_of,
    fma,
    from_integer,
    magnitude,
    narrowed,
    nearest,
    polynomial,
    where,
    widened,
    with_sign,
)

LOG2_E = 1.4426950408889634


@frozen
class _Constants:
    """What the formulas take from the format."""

    ln2_high: float
    """ln 2 in so few bits that its product with any exponent is exact."""
    ln2_low: float
    exp: tuple[float, ...]
    """(exp(r) - 1) / r on [0, ln2]."""
    exp_low: float
    """exp of it and of anything below is under the normal range."""
    exp_high: float
    """exp of it and of anything above overflows."""
    expm1: tuple[float, ...]
    """(expm1(r) - r) / r**2 on [-ln2 / 2, ln2 / 2]."""
    expm1_low: float
    """expm1 of it and of anything below is -1."""
    tanh: tuple[float, ...]
    """(tanh(x) / x - 1) / z with z = x**2, up to `TANH_SMALL`."""
    tanh_high: float
    """tanh of it and of anything above is 1."""
    linear: float
    """Below it, expm1(x) and log1p(x) are x."""


TANH_SMALL = 0.625

_SINGLE = _Constants(
    ln2_high=0.693359375,
    ln2_low=-2.12194440e-4,
    # 2**-28.8
    exp=(0.9999998, 0.50000554, 0.1666117, 0.04191104, 0.0077969013, 0.0019467137),
    exp_low=-88.0,
    exp_high=89.0,
    # 2**-26.1
    expm1=(0.49999997, 0.16666539, 0.041667756, 0.008367118, 0.00138355),
    expm1_low=-18.0,
    # 2**-27.8
    tanh=(-0.33333284, 0.13331483, -0.053742774, 0.020648062, -0.0057140635),
    tanh_high=10.0,
    linear=2.0**-25,
)

_DOUBLE = _Constants(
    ln2_high=0.693147180369123816490,
    ln2_low=1.90821492927058770002e-10,
    # 2**-58.0
    exp=(
        *(1.0000000000000009, 0.4999999999999224, 0.1666666666690056, 0.0416666666317289),
        *(0.008333333634942297, 0.0013888872597021577, 0.0001984184348905414),
        *(2.478823164841228e-05, 2.776067193444007e-06, 2.5622565083498306e-07),
        3.529623937629793e-08,
    ),
    exp_low=-709.0,
    exp_high=710.0,
    # 2**-59.9
    expm1=(
        *(0.5, 0.16666666666666677, 0.04166666666666651, 0.008333333333321691),
        *(0.0013888888888962383, 0.00019841269885966236, 2.480158717251588e-05),
        *(2.7557244373810235e-06, 2.7557402660061107e-07, 2.5108979033673004e-08),
        2.087532539497715e-09,
    ),
    expm1_low=-40.0,
    # 2**-55.6
    tanh=(
        *(-0.33333333333332876, 0.1333333333326492, -0.05396825393248387),
        *(0.021869487601993715, -0.008863221319579171, 0.003591991572934382),
        *(-0.0014549704864932722, 0.0005863525161542703, -0.0002286333027537399),
        *(7.721924616932522e-05, -1.610757736863611e-05),
    ),
    tanh_high=20.0,
    linear=2.0**-54,
)


def _constants(x: Number) -> _Constants:
    return _SINGLE if x.format is SINGLE else _DOUBLE


def exp(x: Number) -> Number:
    """Exponential function. A result within a rounding error of the smallest normal may be 0.

    float32: 1.49 ulp (no fma: 1.8, a sample). float64: 1.7 ulp.
    """
    c = _constants(x)
    return exp_inside(at_least(at_most(x, c.exp_high), c.exp_low))


def exp_inside(x: Number) -> Number:
    """The exponential of an x between `exp_low` and `exp_high`, or NaN."""
    rounder = x.format.rounder + x.format.bias
    shifted = fma(x, LOG2_E, -0.5) + rounder
    r = _minus_ln2(shifted - rounder, x)
    power = float_of(bits_of(shifted) << x.format.mantissa)
    return power * fma(polynomial(r, _constants(x).exp), r, 1.0)


def _minus_ln2(n: Number, x: Number) -> Number:
    """`x - n ln2`."""
    c = _constants(x)
    return fma(n, -c.ln2_low, fma(n, -c.ln2_high, x))


def expm1(x: Number) -> Number:
    """exp(x) - 1, exact near 0; -0 stays -0.

    float32: 1.55 ulp. float64: 1.8 ulp.
    """
    c = _constants(x)
    limited = at_least(at_most(x, c.exp_high), c.expm1_low)
    # One less in the exponent: 2**128 is needed and is no float32.
    rounder = x.format.rounder + x.format.bias - 1
    shifted = fma(limited, LOG2_E, rounder)
    r = _minus_ln2(shifted - rounder, limited)
    half_power = float_of(bits_of(shifted) << x.format.mantissa)
    p = fma(polynomial(r, c.expm1), r * r, r)
    result = 2.0 * fma(half_power, p, half_power - 0.5)
    return where(magnitude(x) < c.linear, x, result)


def tanh(x: Number) -> Number:
    """Hyperbolic tangent: a polynomial near 0, else 1 - 2 / (exp(2 x) + 1).

    float32: 1.45 ulp. float64: 1.6 ulp.
    """
    c = _constants(x)
    size = magnitude(x)
    z = size * size
    small = fma(polynomial(z, c.tanh), z * size, size)
    limited = at_most(size, c.tanh_high)
    large = 1.0 - 2.0 / (exp_inside(limited + limited) + 1.0)
    return with_sign(where(size < TANH_SMALL, small, large), x)


# log(1 + f) = f - f**2 / 2 + f**3 P(f): P, 2**-27.3
_LOG_SINGLE = (
    *(0.3333333, -0.2500082, 0.20001227, -0.16623358),
    *(0.1420176, -0.13160181, 0.12761565, -0.07634486),
)

# With s = f / (2 + f): log(1 + f) = 2 s + s**3 R(s**2): R, 2**-59.5
_LOG_DOUBLE = (
    *(0.6666666666666735, 0.39999999999409347, 0.28571428743689004, 0.22222198428611656),
    *(0.1818357237861384, 0.15313831458284893, 0.14798266727903112),
)


def _split(x: Number) -> tuple[Number, Number]:
    """(k, m) with `x = 2**k m` and sqrt(1/2) <= m < sqrt(2), for a positive normal number.

    k is an integer.
    """
    format = x.format
    k = (bits_of(x) - format.bits(0.5**0.5)) >> format.mantissa
    return k, float_of(bits_of(x) - (k << format.mantissa))


def _log_of(f: Number, k: Number) -> Number:
    """`log(1 + f) + k ln2`, sqrt(1/2) <= 1 + f < sqrt(2), k a whole float."""
    c = _constants(f)
    square = f * f
    if f.format is SINGLE:
        rest = polynomial(f, _LOG_SINGLE) * f * square
        rest = fma(square, -0.5, fma(k, c.ln2_low, rest))
        return fma(k, c.ln2_high, f + rest)
    # 2 s = f - s f, and s f = f**2 / 2 - s f**2 / 2: the largest part of the sum, f, is exact.
    s = f / (2.0 + f)
    half = 0.5 * square
    rest = fma(polynomial(s * s, _LOG_DOUBLE) * s, s, half)
    rest = half - fma(s, rest, k * c.ln2_low)
    return fma(k, c.ln2_high, f - rest)


def _log_edges(x: Number, result: Number) -> Number:
    """The result, or -inf at 0, NaN below, infinity and NaN themselves."""
    edge = where(x <= -x.format.tiny, NAN, where(x < x.format.tiny, -INFINITY, x))
    inside = (x >= x.format.tiny) & (x < INFINITY)
    return where(inside, result, edge)


def log(x: Number) -> Number:
    """Natural logarithm; -inf at 0, NaN below.

    float32: 0.87 ulp. float64: 0.8 ulp.
    """
    k, m = _split(x)
    return _log_edges(x, _log_of(m - 1.0, from_integer(k)))


def log1p(x: Number) -> Number:
    """log(1 + x), exact near 0; -inf at -1, NaN below; -0 stays -0.

    float32: 1.43 ulp. float64: 1.1 ulp.
    """
    u = 1.0 + x
    lost = x - (u - 1.0)
    k, m = _split(u)
    # What rounding 1 + x lost, scaled as m is; nothing is lost where 1 / 2**k would not be normal.
    limit = k.constant(x.format.bias - 2)
    scale = float_of((limit - where(k < limit, k, limit) + 2) << x.format.mantissa)
    result = _log_edges(u, _log_of(fma(lost, scale, m - 1.0), from_integer(k)))
    return where(magnitude(x) < _constants(x).linear, x, result)


def pow(x: Number, y: Number) -> Number:
    """Power, with C's special cases. float32 only, through float64: 0.51 ulp."""
    size = magnitude(x)
    result = exp(log(widened(size)) * widened(y))
    # Where the logarithm times y is 0 times infinity, or y alone is NaN.
    result = where((size == 1.0) | (y == 0.0), 1.0, narrowed(result))
    whole = nearest(y) == y
    half = 0.5 * y
    odd = whole & (nearest(half) != half)
    result = where(odd, with_sign(result, x), result)
    undefined = ((x <= -x.format.tiny) & (x > -INFINITY) & (whole ^ True)) | ((x != x) & (y != 0.0))
    undefined = undefined | ((y != y) & (x != 1.0))
    return where(undefined, NAN, result)
