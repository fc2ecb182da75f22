"""The formulas of `native.vector_math` against wider arithmetic, within the bounds they state.

Numbers below the normal range count as zero, as operand and as result.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from llvmlite import ir

from graphkeras.native.vector_math import EMITTERS, SINGLE_ONLY
from tests.native.loops import Array, compiled, cpus, loop_module, optimised

SINGLE_BOUNDS = {
    "exp": 1.9,
    "expm1": 1.6,
    "log": 1.0,
    "log1p": 1.6,
    "tanh": 1.6,
    "erf": 1.6,
    **{name[5:]: 0.6 for name in sorted(SINGLE_ONLY)},
}
DOUBLE_BOUNDS = {"exp": 1.9, "expm1": 2.0, "log": 1.0, "log1p": 1.6, "tanh": 1.8, "erf": 1.6}
NUMPY = {name: name.replace("a", "arc", 1) for name in ("asin", "acos", "atan", "atan2")}
NUMPY |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "pow": "power"}
TWO_OPERANDS = ("pow", "atan2")
SPECIAL = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, -2.5, np.inf, -np.inf, np.nan),
        *(88.72283, 88.72284, -87.33654, -87.33655, -103.0, 104.0, 3e38, -3e38, 1e-30, -1e-30),
        *(2.0**-126, -(2.0**-126), 1e-40, -1e-40, 16777215.0, 16777216.0, 0.625, 0.9, 3.92, 9.01),
    ],
    np.float32,
)


def wider(name: str, arrays: list[Array], dtype: Any) -> Array:
    """The function in the wider type, denormal operands counted as zeros."""
    tiny = np.finfo(arrays[0].dtype).tiny
    with np.errstate(all="ignore"):
        flushed = [np.where(np.abs(a) < tiny, np.copysign(0, a), a).astype(dtype) for a in arrays]
        if name == "erf":
            return np.array([math.erf(x) for x in flushed[0]], dtype)
        result: Array = getattr(np, NUMPY.get(name, name))(*flushed)
    return result


def errors(got: Array, expected: Array) -> Array:
    """Distances in units in the last place; infinite where only one is NaN or infinite."""
    limits = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        size = np.clip(np.abs(expected), limits.tiny, limits.max).astype(got.dtype)
        result = np.abs(got.astype(expected.dtype) - expected) / np.spacing(size)
        rounded = expected.astype(got.dtype)
    # exp may flush what is larger than the smallest normal number by a rounding error.
    flushed = np.abs(expected) < limits.tiny * (1 + 1024 * limits.eps)
    result[flushed & (np.abs(got) < limits.tiny)] = 0
    result[(got == rounded) | (np.isnan(got) & np.isnan(rounded))] = 0
    result[np.isnan(result)] = np.inf
    result[(got == 0) & (expected == 0) & (np.signbit(got) != np.signbit(expected))] = np.inf
    return np.asarray(result)


def operands(name: str) -> list[Array]:
    """Random bits, numbers of ordinary size, and special values in all pairs."""
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2**32, 60_000, np.uint32).view(np.float32)
    rest = [rng.normal(0, 4, 40_000), rng.uniform(-1, 1, 20_000), rng.uniform(0.5, 2, 20_000)]
    some = np.concatenate([bits, np.concatenate(rest).astype(np.float32)])
    if name not in TWO_OPERANDS:
        return [np.concatenate([some, SPECIAL])]
    left, right = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    other = rng.permutation(some)
    if name == "pow":
        other[::2] = np.round(rng.normal(0, 4, len(other)))[::2]
    return [np.concatenate([some, left]), np.concatenate([other, right])]


def run(name: str, arrays: list[Array], cpu: str) -> Array:
    dtype = str(arrays[0].dtype)
    module = loop_module(EMITTERS[f"math.{name}"], [dtype] * len(arrays), dtype)
    result = np.empty_like(arrays[0])
    compiled(module, cpu)(*arrays, result)
    return result


@pytest.mark.parametrize("cpu", cpus())
@pytest.mark.parametrize("name", SINGLE_BOUNDS)
def test_float32_is_within_its_bound(name: str, cpu: str) -> None:
    arrays = operands(name)
    error = errors(run(name, arrays, cpu), wider(name, arrays, np.float64))
    if name == "erf" and cpu == "x86-64":
        error[np.abs(arrays[0]) < 2.0**-123] = 0  # see its docstring
    worst = int(error.argmax())
    at = [float(a[worst]) for a in arrays]
    assert error[worst] <= SINGLE_BOUNDS[name], f"{name}{tuple(at)}: {error[worst]} ulp"


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no type wider than float64")
@pytest.mark.parametrize("cpu", cpus())
@pytest.mark.parametrize("name", [name for name in DOUBLE_BOUNDS if name != "erf"])
def test_float64_is_within_its_bound(name: str, cpu: str) -> None:
    rng = np.random.default_rng(7)
    sizes = 10 ** rng.uniform(-300, 300, 20_000)
    spread = [sizes, -sizes, rng.normal(0, 300, 20_000), rng.uniform(-2, 2, 40_000), SPECIAL]
    edges = [709.782712893384, 709.7827128933841, -708.3964185322641, 1e308, -1e308, 1e-320]
    x = np.concatenate([*spread, edges]).astype(np.float64)
    error = errors(run(name, [x], cpu), wider(name, [x], np.longdouble))
    worst = int(error.argmax())
    assert error[worst] <= DOUBLE_BOUNDS[name], f"{name}({x[worst]!r}): {error[worst]} ulp"


def square_root(builder: Any, x: Any) -> Any:
    return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [x.type]), [x])


def reciprocal_root(builder: Any, x: Any) -> Any:
    return builder.fdiv(ir.Constant(x.type, 1), square_root(builder, x))


def logistic(builder: Any, x: Any) -> Any:
    one = ir.Constant(x.type, 1)
    return builder.fdiv(one, builder.fadd(one, EMITTERS["math.exp"](builder, [builder.fneg(x)])))


COMPOSED = {
    "sqrt": (square_root, np.sqrt, 0.5),
    "rsqrt": (reciprocal_root, lambda x: 1 / np.sqrt(x), 1.5),
    "logistic": (logistic, lambda x: 1 / (1 + np.exp(-x)), 2.5),
}
"""As the templates of ops in `ir/ops/unary.py`; in float64; and the bound."""


@pytest.mark.parametrize("cpu", cpus())
@pytest.mark.parametrize("name", COMPOSED)
def test_ops_made_of_formulas_are_within_their_bounds(name: str, cpu: str) -> None:
    emit, exact, bound = COMPOSED[name]
    (x,) = operands("exp")
    result = np.empty_like(x)
    module = loop_module(lambda builder, values: emit(builder, *values), ["float32"], "float32")
    compiled(module, cpu)(x, result)
    with np.errstate(all="ignore"):
        flushed = np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(0, x), x)
        error = errors(result, exact(flushed.astype(np.float64)))
    worst = int(error.argmax())
    assert error[worst] <= bound, f"{name}({x[worst]!r}): {error[worst]} ulp"


@pytest.mark.parametrize("cpu", cpus())
def test_float64_erf_agrees_with_the_c_library(cpu: str) -> None:
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(0, 2, 20_000), rng.uniform(-1.2, 1.2, 20_000), SPECIAL])
    error = errors(run("erf", [x], cpu), wider("erf", [x], np.float64))
    # The C library's own error comes on top.
    assert error.max() <= DOUBLE_BOUNDS["erf"] + 1


@pytest.mark.parametrize("cpu", cpus())
@pytest.mark.parametrize("name", SINGLE_BOUNDS)
def test_place_in_the_loop_does_not_change_bits(name: str, cpu: str) -> None:
    arrays = [a[:331] for a in operands(name)]
    whole = run(name, arrays, cpu)
    for start, stop in ((0, 1), (3, 8), (5, 36), (17, 64), (100, 331)):
        part = run(name, [np.ascontiguousarray(a[start:stop]) for a in arrays], cpu)
        np.testing.assert_array_equal(part.view(np.uint32), whole[start:stop].view(np.uint32))


@pytest.mark.parametrize("name", EMITTERS)
def test_loops_become_vector_code_without_calls(name: str) -> None:
    count = 2 if name[5:] in TWO_OPERANDS else 1
    for dtype in ("float32",) if name in SINGLE_ONLY else ("float32", "float64"):
        text = str(optimised(loop_module(EMITTERS[name], [dtype] * count, dtype), cpus()[0]))
        called = set(re.findall(r"call .*@([\w.]+)\(", text))
        assert all(symbol.startswith("llvm.") for symbol in called), called
        kind = {"float32": "float", "float64": "double"}[dtype]
        assert re.search(rf"store <\d+ x {kind}>", text), f"{name} of {dtype} is not vectorised"


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "erf", "pow", "sinh"])
def test_vectors_are_operands_too(name: str) -> None:
    count = 2 if name in TWO_OPERANDS else 1

    def emit(builder: Any, values: list[Any]) -> Any:
        kind = ir.VectorType(values[0].type, 4)
        lane = ir.Constant(ir.IntType(32), 2)
        vectors = [builder.insert_element(ir.Constant(kind, None), v, lane) for v in values]
        return builder.extract_element(EMITTERS[f"math.{name}"](builder, vectors), lane)

    arrays = [a[:500] for a in operands(name)]
    result = np.empty_like(arrays[0])
    compiled(loop_module(emit, ["float32"] * count, "float32"), cpus()[0])(*arrays, result)
    expected = run(name, arrays, cpus()[0])
    np.testing.assert_array_equal(result.view(np.uint32), expected.view(np.uint32))
