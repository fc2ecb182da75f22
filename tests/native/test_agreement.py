"""One text means one thing: graphkeras's compiler against Numba, bit for bit."""

from __future__ import annotations

import textwrap
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from native_samples import kernel_text, run

from graphkeras.native.types import (
    NUMBERS,
    Type,
    TypeMismatchError,
    arithmetic_type,
    common_type,
    type_named,
)

LENGTH = 24
TYPES = ["bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float32", "float64"]


def column(dtype: str, seed: int) -> np.ndarray:
    """Numbers of a type: its edges, small ones and some at random."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, LENGTH).astype("uint8")
    if dtype.startswith("float"):
        edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 0.3, 1e30, -1e-30]
        return np.resize(rng.permuted([*edges, *rng.normal(0, 5, LENGTH)]), LENGTH).astype(dtype)
    info = np.iinfo(dtype)
    edges = [0, 1, 2, info.max, info.min, info.max - 1, 7]
    whole = [*edges, *rng.integers(max(info.min, -20), 20, LENGTH - len(edges))]
    return rng.permuted(np.array(whole, dtype))


def read(name: str, dtype: str) -> str:
    return f"({name}[i] != 0)" if dtype == "bool" else f"{name}[i]"


def same(a: np.ndarray, b: np.ndarray) -> None:
    # A NaN's sign and payload are not part of what an operation means.
    both_nan = (a != a) & (b != b)
    np.testing.assert_array_equal(a[~both_nan].view("uint8"), b[~both_nan].view("uint8"))


def check(cases: list[tuple[str, str, str, str]], folder: Path) -> None:
    """Cases are (expression of a and b, type of a, type of b, type of the result)."""
    lines, arrays = [], []
    for number, (expression, first, second, result) in enumerate(cases):
        for name, dtype in (("a", first), ("b", second), ("y", result)):
            lines.append(f"{name}{number} = {dtype}_at(argv[{len(arrays)}])")
            stored = "uint8" if dtype == "bool" else dtype
            seed = 2 * number + (name == "b")
            arrays.append(np.zeros(LENGTH, stored) if name == "y" else column(dtype, seed))
        a, b = read(f"a{number}", first), read(f"b{number}", second)
        value = expression.format(a=a, b=b)
        value = f"uint8({value})" if result == "bool" else value
        lines += [f"for i in range({LENGTH}):", f"    y{number}[i] = {value}"]
    text = kernel_text(*lines)
    ours, numbas = (run(text, arrays, compiler, folder) for compiler in ("llvm", "numba"))
    for number, case in enumerate(cases):
        try:
            same(ours[3 * number + 2], numbas[3 * number + 2])
        except AssertionError as error:
            raise AssertionError(f"{case}\n{error}") from None


def shared_type(a: Type, b: Type) -> Type:
    return type_named("bool") if a.name == b.name == "bool" else arithmetic_type(a, b)


def quotient_type(a: Type, b: Type) -> Type:
    kind = arithmetic_type(a, b)
    return kind if kind.kind == "float" else type_named("float64")


def shift_type(a: Type, b: Type) -> Type:
    return type_named("uint64" if a.kind == "unsigned" else "int64")


def truth_type(a: Type, b: Type) -> Type:
    common_type(a, b)
    return type_named("bool")


OPERATORS = {
    "({a} + {b})": arithmetic_type,
    "({a} - {b})": arithmetic_type,
    "({a} * {b})": arithmetic_type,
    "({a} / {b})": quotient_type,
    "({a} // {b})": arithmetic_type,
    "({a} % {b})": arithmetic_type,
    "({a} & {b})": shared_type,
    "({a} | {b})": shared_type,
    "({a} ^ {b})": shared_type,
    "({a} << ({b} & 7))": shift_type,
    "({a} >> ({b} & 7))": shift_type,
    "({a} < {b})": truth_type,
    "({a} >= {b})": truth_type,
    "({a} == {b})": truth_type,
    "({a} != {b})": truth_type,
    "min({a}, {b})": common_type,
    "max({a}, {b})": common_type,
    "({a} if {a} < {b} else {b})": common_type,
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_binary_operator(operator: str, tmp_path: Path) -> None:
    bits = any(sign in operator for sign in "&|^")
    cases = []
    for first, second in product(TYPES, TYPES):
        try:
            result = OPERATORS[operator](type_named(first), type_named(second)).name
        except TypeMismatchError:
            continue
        if bits and "float" in first + second:
            continue
        cases.append((operator, first, second, result))
    check(cases, tmp_path)


UNARY = ("(-{a})", "(~{a})", "(not {a})", "abs({a})", "({a} ** 3)", "(2 * {a})")


def test_unary_operators(tmp_path: Path) -> None:
    cases = []
    for operator, dtype in product(UNARY, TYPES):
        kind = type_named(dtype)
        result = "int64" if kind.kind == "signed" else "uint64"
        if operator == "(not {a})":
            result = "bool"
        elif operator in ("(-{a})", "(2 * {a})") and kind.kind == "float":
            result = dtype if "-" in operator else "float64"
        elif not kind.is_integer or (operator == "abs({a})" and kind.kind != "signed"):
            continue
        elif operator == "({a} ** 3)" and kind.kind == "unsigned":
            continue  # mixed: int64
        cases.append((operator, dtype, "int8", result))
    check(cases, tmp_path)


def test_powers_of_integers(tmp_path: Path) -> None:
    check([("({a} ** ({b} & 15))", t, "int64", "int64") for t in ("int8", "int64")], tmp_path)
    check([("({a} ** {b})", "int8", "int8", "int64")], tmp_path)


def test_conversions(tmp_path: Path) -> None:
    targets = sorted(NUMBERS - {"bool"})
    whole = [t for t in TYPES if not t.startswith("float")]
    cases = [(f"{to}({{a}})", dtype, "int8", to) for to, dtype in product(targets, whole)]
    floats = ("float32", "float64")
    cases += [(f"{to}({{a}})", dtype, "int8", to) for to, dtype in product(floats, floats)]
    # A float that an integer cannot hold has no meaning.
    cases += [(f"{to}(float64({{a}}) * 0.3)", "uint8", "int8", to) for to in targets]
    cases += [(f"{to}(float32({{a}}) * float32(0.3))", "uint8", "int8", to) for to in targets]
    check(cases, tmp_path)


EXACT = ("math.sqrt({a})", "math.fabs({a})", "np.floor({a})", "np.ceil({a})", "np.rint({a})")


def test_functions_that_are_exact(tmp_path: Path) -> None:
    cases = [(f, t, "int8", t) for f in EXACT for t in ("float32", "float64")]
    cases += [("math.isfinite({a})", t, "int8", "bool") for t in ("float32", "float64")]
    check(cases, tmp_path)


CONTROL = {
    "while": """
        while n < 20:
            n += 3
            if n == 9:
                continue
            if n > 14:
                break
            y[n] = x[n] * n
        y[0] = n
    """,
    "steps": """
        for i in range(3, 20, 5):
            for j in range(i):
                y[j] += x[i]
        for i in range(7, 3):
            y[i] = 99
    """,
    "short circuit": """
        for i in range(24):
            if i < 3 or (i < 10 and udiv(100, i - 2) > 20):
                y[i] = i
            else:
                y[i] = 1 / x[i] if x[i] != 0 else -1.0
    """,
    "functions": """
        for i in range(24):
            y[i] = first_above(x, x[i], 24)
    """,
    "accumulators": """
        total = float32(0.0)
        for i in range(24):
            total = total + x[i]
            if total > float32(3.0):
                total = float32(0.0)
        y[0] = total
    """,
}

FIRST_ABOVE = """
def first_above(x, limit, count):
    for i in range(count):
        if x[i] > limit:
            return i
    return -1
"""


@pytest.mark.parametrize("name", CONTROL)
def test_control_flow(name: str, tmp_path: Path) -> None:
    body = ["x = float32_at(argv[0])", "y = float32_at(argv[1])", "n = 0"]
    body += textwrap.dedent(CONTROL[name]).strip().splitlines()
    text = kernel_text(*body, head=FIRST_ABOVE.splitlines())
    x = np.linspace(-1, 2, 24, dtype=np.float32)
    arrays = [x, np.zeros(24, np.float32)]
    ours, numbas = (run(text, arrays, compiler, tmp_path) for compiler in ("llvm", "numba"))
    same(ours[1], numbas[1])
    assert ours[1].any()
