"""Kernel texts compiled and run by hand."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from graphkeras.native.compiler import Unit, compile_unit
from graphkeras.native.objects import load_objects
from graphkeras.native.target import cpu, target_machine

_number = count()


def run(text: str, arrays: Sequence[np.ndarray], compiler: str, folder: Path) -> list[np.ndarray]:
    """The arrays after `kernel(0, 1, addresses of the arrays)`; those given stay as they are."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / f"t{digest}.py"
    path.write_text(text)
    symbol = f"graphkeras_test_{digest}_{compiler}_{next(_number)}"
    unit = Unit(path, "kernel", symbol, ("int64", "int64", "int64*"), "void")
    machine = target_machine(cpu())
    code = machine.emit_object(compile_unit(unit, compiler, cpu()))
    (address,) = load_objects([(symbol, code)])
    copies = [array.copy() for array in arrays]
    argv = np.array([array.ctypes.data for array in copies], np.int64)
    kernel = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(address)
    kernel(0, 1, argv.ctypes.data)
    return copies


def kernel_text(*body: str, head: Sequence[str] = ()) -> str:
    """A module with these lines at the top and this body."""
    lines = [*head, "", "", "def kernel(tid, nthreads, argv):", *(f"    {line}" for line in body)]
    return "\n".join([*_IMPORTS, *lines, ""])


_TYPES = ["float32", "float64", *(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64))]
_IMPORTS = (
    "import math",
    "import numpy as np",
    f"from numba import {', '.join(_TYPES)}",
    "from graphkeras.codegen.cpu.intrinsics import add_any_order, bool_at, udiv, urem",
    f"from graphkeras.codegen.cpu.intrinsics import {', '.join(f'{t}_at' for t in _TYPES)}",
)
