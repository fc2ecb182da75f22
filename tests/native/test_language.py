"""What kernel text may hold, and what a mistake in it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from native_samples import kernel_text, run

from graphkeras.native.compiler import Unit, compile_unit
from graphkeras.native.errors import KernelCompileError
from graphkeras.native.functions import FUNCTIONS
from graphkeras.native.language import parse
from graphkeras.native.lower import lower
from graphkeras.native.target import cpu

KERNEL = ("int64", "int64", "int64*")


def lowered(*body: str, head: Sequence[str] = ()) -> str:
    module = parse(kernel_text(*body, head=head), "text.py")
    return lower(module, "kernel", "symbol", KERNEL, "void")


MISTAKES = {
    "x = unknown": "the name 'unknown' has no value here",
    "unknown(1)": "kernel text has no function 'unknown'",
    "math.gamma(1.0)": "kernel text has no math.gamma",
    "x = [1]": "kernel text has no `List`",
    "x = 'a'": "'a' is no number",
    "x = y = 1": "an assignment has one target and a value",
    "x: int": "an assignment has one target and a value",
    "tid.x = 1": "the target is a name or p[i]",
    "assert tid": "kernel text has no `Assert`",
    "x = 1 < tid < 3": "a comparison has two sides and one of < <= > >= == !=",
    "x = tid[0]": "tid is a int64",
    "x = argv[1.0]": "an index is an integer, not a float64",
    "x = argv + 1": "types do not fit: no arithmetic with int64*",
    "argv[0] = argv": "types do not fit: int64* is not a int64",
    "x = int32(1) + float32(1)": "types do not fit: int32 with float32; convert one of them",
    "x = int64(1) < uint64(1)": "types do not fit: int64 with uint64; convert one of them",
    "x = 1.5 ** tid": "`**` is for integers; math.pow is for floats",
    "x = 1.5 & tid": "bits of a float",
    "x = 1.5 << tid": "bits of a float",
    "x = ~1.5": "kernel text has no ~1.5",
    "x = abs(1.5)": "abs takes a signed integer; math.fabs is for floats",
    "x = udiv(1)": "udiv takes 2 arguments, not 1",
    "x = min(1)": "min takes 2 arguments, not 1",
    "x = float32(1, 2)": "float32 takes 1 arguments, not 2",
    "x = float32(x=1)": "calls take no keywords",
    "x = again(tid)": "again calls itself",
    "x = nothing()": "'x' is given no value",
    "x = nothing(1)": "nothing takes 0 arguments, not 1",
    "for i in argv: pass": "a loop is `for name in range(..)` or `while`",
    "for i in range(0, 9, tid): pass": "the step of a range is a literal above zero",
    "for i in range(9, 0, -1): pass": "the step of a range is a literal above zero",
    "for tid in range(9): pass": "the loop variable 'tid' is assigned elsewhere",
    "while tid: pass\nelse: pass": "a loop has no else",
    "if tid: x = 1\nargv[0] = x": "the name 'x' has no value here",
    "x = 1\nx = 1.5": "the name 'x' is a int64 before and a float64 here",
}

FUNCTIONS_OF_THE_TEXT = ("def again(x):", "    return again(x)", "def nothing():", "    pass")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_a_kernel(mistake: str) -> None:
    with pytest.raises(KernelCompileError) as caught:
        lowered(*mistake.splitlines(), head=FUNCTIONS_OF_THE_TEXT)
    problem, place = str(caught.value).split("\n")
    assert problem == MISTAKES[mistake]
    assert place.startswith("  text.py, line ")


MODULES = {
    "import os": "kernel text cannot import os\n  text.py, line 1: import os",
    "from os import path": (
        "kernel text cannot import path from os\n  text.py, line 1: from os import path"
    ),
    "from numba import njit": (
        "kernel text cannot import njit from numba\n  text.py, line 1: from numba import njit"
    ),
    "from graphkeras.nowhere import x": (
        "No module named 'graphkeras.nowhere'\n  text.py, line 1: from graphkeras.nowhere import x"
    ),
    "class A: pass": "a module cannot hold `ClassDef`\n  text.py, line 1: class A: pass",
    "A = B": "NameError: name 'B' is not defined\n  text.py, line 1: A = B",
    "A = 'x'": "a constant is a number or an intrinsic, not a str\n  text.py, line 1: A = 'x'",
    "A = (": "'(' was never closed\n  text.py, line 1",
}


@pytest.mark.parametrize("text", MODULES)
def test_mistake_in_a_module(text: str) -> None:
    with pytest.raises(KernelCompileError) as caught:
        parse(text, "text.py")
    assert str(caught.value) == MODULES[text]


def test_a_module_without_the_function() -> None:
    with pytest.raises(KernelCompileError, match="there is no function 'kernel'"):
        lower(parse("A = 1", "text.py"), "kernel", "symbol", KERNEL, "void")


def test_a_function_that_owes_a_result() -> None:
    module = parse("def f(x):\n    pass\n", "text.py")
    with pytest.raises(KernelCompileError, match="f returns no value"):
        lower(module, "f", "symbol", ("int64",), "int64")


@pytest.mark.parametrize("compiler", ["llvm", "numba"])
def test_an_error_names_the_source_file(compiler: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def kernel(tid, nthreads, argv):\n    argv[0] = unknown\n")
    with pytest.raises(KernelCompileError) as caught:
        compile_unit(Unit(path, "kernel", "symbol", KERNEL, "void"), compiler, cpu())
    assert str(caught.value).startswith("generated function 'kernel' does not compile: ")
    assert str(caught.value).endswith(f"\n  generated source: {path}")


def test_constants_of_a_module(tmp_path: Path) -> None:
    text = kernel_text(
        "argv[0] = LIMIT + SHIFTED", head=["LIMIT = 4 * 16", "SHIFTED = 1 << LIMIT - 4"]
    )
    module = parse(text, "text.py")
    assert module.names["SHIFTED"] == 1 << 60


def test_every_function_computes_in_both_precisions(tmp_path: Path) -> None:
    for dtype in ("float32", "float64"):
        body = [f"x = {dtype}_at(argv[0])", f"y = {dtype}_at(argv[1])"]
        rows = [row for row in FUNCTIONS.values() if row.result == "F"]
        for at, row in enumerate(rows):
            arguments = ", ".join(["x[0]"] * len(row.arguments))
            body.append(f"y[{at}] = {row.name}({arguments})")
        x, y = np.full(1, 0.7, dtype), np.zeros(len(rows), dtype)
        _, found = run(kernel_text(*body), [x, y], "llvm", tmp_path)
        assert np.isnan(found).sum() == 1  # acosh
        for row, value in zip(rows, found, strict=True):
            name = row.name.partition(".")[2]
            special = {"acosh": np.nan, "erf": 0.6778011938374185}
            numpys = {"pow": np.power, "atan2": np.arctan2, "asin": np.arcsin, "acos": np.arccos}
            numpys |= {"atan": np.arctan, "asinh": np.arcsinh, "atanh": np.arctanh}
            want = special.get(name)
            if want is None:
                want = numpys.get(name, getattr(np, name, None))(*[x[0]] * len(row.arguments))
            np.testing.assert_allclose(value, want, rtol=1e-6, err_msg=row.name)


def test_names_are_marked_as_memory_of_their_own() -> None:
    text = lowered(
        "x = float32_at(argv[0])",
        "y = float32_at(argv[1])",
        "for i in range(9):",
        "    y[i] = x[i]",
        "    float32_at(argv[2])[i] = x[i]",
    )
    stores = [line for line in text.splitlines() if "store float" in line]
    assert [("noalias" in line, "alias.scope" in line) for line in stores] == [
        (True, True),
        (False, False),
    ]
    assert sum("load float" in line and "noalias" in line for line in text.splitlines()) == 2


def test_loads_from_a_table_have_nothing_to_do_with_buffers() -> None:
    text = lowered(
        "x = float32_at(argv[0])",
        "y = float32_at(argv[1])",
        "for i in range(9):",
        "    y[i] = math.sin(x[i])",
        head=("import math",),
    )
    tables = [line for line in text.splitlines() if "load double" in line]
    assert len(tables) == 2
    assert all("noalias" in line and "alias.scope" not in line for line in tables)


def test_loops_over_many_buffers_need_no_overlap_checks(tmp_path: Path) -> None:
    buffers = range(12)
    body = [f"x{i} = float32_at(argv[{i}])" for i in buffers]
    body += [
        "for i in range(1000):",
        *(f"    x{i}[i] = x{i - 1}[i] * float32(2)" for i in buffers[1:]),
    ]
    path = tmp_path / "many.py"
    path.write_text(kernel_text(*body))
    module = compile_unit(Unit(path, "kernel", "symbol", KERNEL, "void"), "llvm", cpu())
    assert "vector.memcheck" not in str(module)
    assert "vector.body" in str(module)
