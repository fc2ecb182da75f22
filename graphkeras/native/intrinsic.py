"""A function of kernel text that is written directly in LLVM.

Kernel text calls it like any function; the compiler puts what `emit` builds in the call's
place. It comes from an import, or from a factory that is called once, at module level, with
literals::

    from graphkeras.codegen.cpu.intrinsics import udiv          an `Intrinsic`
    tile = product_tile("float32", 16, 32, (0, 64), ((64, 1, 32),), 32, False)    a factory

Types are named as in kernel text: `"int64"`, `"float32"`, `"bool"`, `"void"`; with `*` behind it
the name means a pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from graphkeras.frozen import frozen

Emit = Callable[[Any, list[Any]], Any]
"""Builds the operation with an `ir.IRBuilder` and its operands; returns the result, if any."""


@frozen
class Intrinsic:
    """One function of kernel text."""

    name: str
    arguments: tuple[str, ...]
    """Types of the arguments, to which what a call gives is converted. `"T"` is any number type and
    `"F"` a float (float64 for integers), the same one wherever it stands."""
    result: str
    """Type of the result, `"T"` and `"F"` included; `"void"` where there is none."""
    emit: Emit

    def __call__(self, *arguments: Any) -> Any:
        """Kernel text is compiled; Python cannot run this.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{self.name} exists in compiled kernels only")


def declared(builder: Any, name: str, result: Any, arguments: Sequence[Any], **kind: bool) -> Any:
    """The external function or LLVM intrinsic `name`, declared once in the builder's module."""
    known = builder.module.globals.get(name)
    if known is not None:
        return known
    return ir.Function(builder.module, ir.FunctionType(result, arguments, **kind), name)


def stack_slot(builder: Any, kind: Any) -> Any:
    """Memory of one value on the stack, for as long as the function runs."""
    with builder.goto_entry_block():
        return builder.alloca(kind)
