"""From a file of kernel text to an optimised LLVM module, by either compiler.

    "llvm"     parse -> lower -> LLVM's passes       the default: milliseconds before LLVM
    "numba"    Numba's front end -> LLVM's passes    what the first one is held against

Both read the same text and mean the same by it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import llvmlite

from graphkeras.frozen import frozen
from graphkeras.native.errors import KernelCompileError
from graphkeras.native.target import Cpu, target_machine


@frozen
class Unit:
    """One function to compile."""

    path: Path
    """File with the kernel text."""
    entry: str
    """Name of the function in the text."""
    symbol: str
    """C name of the compiled function."""
    arguments: tuple[str, ...]
    """Their types, as in kernel text: `"int64"`, `"int64*"`."""
    result: str
    """`"void"` or a type."""


@cache
def compiler_version(compiler: str) -> str:
    """Versions of the packages that a compiler is made of."""
    version = f"llvmlite {llvmlite.__version__}"
    if compiler == "numba":
        # Importing Numba takes half a second, and cached kernels do without.
        from importlib.metadata import version as installed

        version += f", numba {installed('numba')}"
    return version


def compile_unit(unit: Unit, compiler: str, target: Cpu) -> Any:
    """Compiles one function.

    Args:
        unit: What to compile.
        compiler: `"llvm"` or `"numba"`.
        target: The CPU.

    Returns:
        An optimised llvmlite module whose only visible definition is `unit.symbol`.

    Raises:
        KernelCompileError: The text does not compile, or calls something unavailable at run time.
    """
    try:
        if compiler == "numba":
            from graphkeras.native.numba_compiler import compile_with_numba

            return compile_with_numba(unit, target)
        return _compile_with_llvm(unit, target)
    except Exception as error:
        kind = "" if isinstance(error, KernelCompileError) else f"{type(error).__name__}: "
        raise KernelCompileError(
            f"generated function {unit.entry!r} does not compile: {kind}{error}\n"
            f"  generated source: {unit.path}"
        ) from error


def compile_object(unit: Unit, compiler: str, target: Cpu) -> bytes:
    """As `compile_unit`, down to an object file."""
    code: bytes = target_machine(target).emit_object(compile_unit(unit, compiler, target))
    return code


def _compile_with_llvm(unit: Unit, target: Cpu) -> Any:
    import llvmlite.binding as llvm

    from graphkeras.native.language import parse
    from graphkeras.native.lower import lower
    from graphkeras.native.optimise import optimise

    text = unit.path.read_text(encoding="utf-8")
    module = parse(text, str(unit.path))
    compiled = llvm.parse_assembly(
        lower(module, unit.entry, unit.symbol, unit.arguments, unit.result)
    )
    optimise(compiled, target)
    return compiled
