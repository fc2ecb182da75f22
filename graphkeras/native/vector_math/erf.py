"""The error function.

    |x| < 1      x + x P(x**2)
    |x| >= 1     1 - erfc(|x|), where erfc has the form exp(-Q(|x|)) in float32, and
                 exp(-x**2) R(t) with t = (|x| - 3) / (|x| + 3) in float64

What the second form subtracts is at most 0.2, so that its own error counts a fifth. How errors
are measured and where coefficients come from: see `exponential.py`.
"""

from __future__ import annotations

from graphkeras.native.vector_math.exponential import exp_inside
from graphkeras.native.vector_math.number import (
    SINGLE,
    Number,
    at_most,
    fma,
    magnitude,
    polynomial,
    where,
    with_sign,
)

# P, up to 0.9 in float32 (2**-26.1) and up to 1 in float64 (2**-54.7)
_SMALL_SINGLE = (
    *(0.12837915, -0.37612504, 0.11281922, -0.026770493),
    *(0.004998959, -0.00060207985),
)
_SMALL_DOUBLE = (
    *(0.12837916709551256, -0.37612638903183343, 0.11283791670936932, -0.02686617064194774),
    *(0.005223977596545325, -0.0008548325476972572, 0.00012055280507462579),
    *(-1.492447420103869e-05, 1.644438989293738e-06, -1.6186989196499468e-07),
    *(1.363499658673879e-08, -7.652014419103758e-10),
)
# Q on [0.9, 4], 2**-28.9
_LARGE_SINGLE = (
    *(0.00017751257, 1.1277494, 0.63706005, 0.10403702),
    *(-0.02227688, 0.00305554, -0.00019716994),
)
# R for |x| in [1, 6], 2**-57.0
_LARGE_DOUBLE = (
    *(0.17900115118135376, -0.32623356004590237, 0.24560380166429124, -0.1501159363438093),
    *(0.07166585012968524, -0.024392327882296644, 0.004270353774585479),
    *(0.0007131751945168791, -0.0005810924156414506, 7.639370517205803e-05),
    *(0.00010295157673982549, 1.5203204863071816e-05),
)


def erf(x: Number) -> Number:
    """Gauss error function.

    float32: 1.13 ulp. float64: 1.1 ulp. Without fma an x below eight times the smallest normal
    number is its own result: x P is no normal number there, and zero.
    """
    size = magnitude(x)
    square = size * size
    if x.format is SINGLE:
        small = fma(polynomial(square, _SMALL_SINGLE), size, size)
        large = 1.0 - exp_inside(-polynomial(at_most(size, 4.0), _LARGE_SINGLE))
        return with_sign(where(size < 0.9, small, large), x)
    small = fma(polynomial(square, _SMALL_DOUBLE), size, size)
    limited = at_most(size, 6.0)
    t = (limited - 3.0) / (limited + 3.0)
    large = 1.0 - exp_inside(-(limited * limited)) * polynomial(t, _LARGE_DOUBLE)
    return with_sign(where(size < 1.0, small, large), x)
