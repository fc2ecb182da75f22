"""Prints kernel IR as kernel text for the CPU.

The text is a complete module that defines `kernel(tid, nthreads, argv)`. It reads like the
kernel IR; what the target adds is typed pointers, unsigned index division, casts (the language
widens `int32 + int32` to 64 bits) and how a parallel loop is shared out::

    parts = min(nthreads, 1 + work // grain)      small loops stay on one thread
    if tid < parts:
        for i in range(extent * tid // parts, extent * (tid + 1) // parts):
"""

from __future__ import annotations

import math
import re

from graphkeras.codegen.kernel_ir import (
    Call,
    For,
    If,
    KernelFunction,
    Let,
    ParallelFor,
    Statement,
    Store,
)
from graphkeras.ir.dims import Size
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Load, RuntimeSize, Var


def print_kernel(kernel: KernelFunction) -> str:
    """Source of the module that defines the kernel."""
    return _Printer(kernel).run()


class _Printer:
    def __init__(self, kernel: KernelFunction) -> None:
        self.kernel = kernel
        self.lines: list[str] = []

    def run(self) -> str:
        kernel = self.kernel
        position = 0
        for buffer in kernel.buffers:
            self._line(1, f"{buffer.name} = {buffer.dtype}_at(argv[{position}])")
            position += 1
        if kernel.scratch:
            self._line(1, f"thread = udiv(tid, argv[{position + 2}])")
            self._line(1, f"scratch = argv[{position}] + thread * argv[{position + 1}]")
            offset = 0
            for buffer, size in kernel.scratch:
                self._line(1, f"{buffer.name} = {buffer.dtype}_at(scratch + {offset})")
                offset += size
            position += 3
        for symbol in kernel.symbols:
            self._line(1, f"{symbol} = argv[{position}]")
            position += 1
        for statement in kernel.body:
            self._statement(1, statement)
        body = ["def kernel(tid, nthreads, argv):", *self.lines]
        helpers = list(dict.fromkeys(kernel.helpers))
        text = "\n".join([*helpers, *body])
        return "\n".join(
            [*_imports(text), "", "", *helpers, *([""] * 2 * bool(helpers)), *body, ""]
        )

    def _line(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def _block(self, level: int, body: list[Statement]) -> None:
        for statement in body:
            self._statement(level, statement)
        if not body:
            self._line(level, "pass")

    def _statement(self, level: int, s: Statement) -> None:
        if isinstance(s, Let):
            self._line(level, f"{s.variable.name} = {_typed(s.value)}")
        elif isinstance(s, Store):
            value = _typed(s.value)
            if s.value.dtype == "bool":
                value = f"uint8({value})"
            self._line(level, f"{s.buffer}[{_text(s.offset)}] = {value}")
        elif isinstance(s, Call):
            self._line(level, s.template.format(*map(_text, s.args)))
        elif isinstance(s, If):
            self._line(level, f"if {_text(s.condition)}:")
            self._block(level + 1, s.body)
        elif isinstance(s, For):
            bounds = f"{_text(s.start)}, {_text(s.stop)}"
            step = f", {s.step}" if s.step != 1 else ""
            self._line(level, f"for {s.variable.name} in range({bounds}{step}):")
            self._block(level + 1, s.body)
        else:
            self._parallel(level, s)

    def _parallel(self, level: int, s: ParallelFor) -> None:
        extent, name = _extent(s.extent), s.variable.name
        low, high = (name, s.as_range.name) if s.as_range else (f"{name}_low", f"{name}_high")
        self._line(level, f"parts = min(nthreads, 1 + udiv({_text(s.work)}, {s.grain}))")
        self._line(level, "if tid < parts:")
        if s.multiple == 1:
            self._line(level + 1, f"{low} = udiv({extent} * tid, parts)")
            self._line(level + 1, f"{high} = udiv({extent} * (tid + 1), parts)")
        else:
            units = f"udiv({extent} + {s.multiple - 1}, {s.multiple})"
            self._line(level + 1, f"{name}_units = {units}")
            for bound, part in ((low, "tid"), (high, "(tid + 1)")):
                share = f"udiv({name}_units * {part}, parts) * {s.multiple}"
                self._line(level + 1, f"{bound} = min({extent}, {share})")
        if s.as_range is None:
            self._line(level + 1, f"for {name} in range({low}, {high}):")
            self._block(level + 2, s.body)
        else:
            self._block(level + 1, s.body)


def _extent(expr: Expr) -> str:
    """An extent, none where it is the size of what is left of too little: `x[1:]` of no samples."""
    if isinstance(expr, RuntimeSize) and any(factor < 0 for _, factor in expr.size.terms):
        return f"max({_text(expr)}, 0)"
    return _text(expr)


def _typed(expr: Expr) -> str:
    """Source of an expression, cast to its dtype where the language would widen it: small integers.

    Templates keep floats as they are (the op table's tests say so), and each cast costs
    compile time.
    """
    text = _text(expr)
    if isinstance(expr, Apply) and "int" in expr.dtype and expr.dtype != INDEX:
        return f"{expr.dtype}({text})"
    return text


def _text(expr: Expr) -> str:
    if isinstance(expr, Var):
        return expr.name
    if isinstance(expr, Const):
        return _literal(expr)
    if isinstance(expr, RuntimeSize):
        return _size(expr.size)
    if isinstance(expr, Load):
        text = f"{expr.buffer}[{_text(expr.offset)}]"
        return f"({text} != 0)" if expr.dtype == "bool" else text
    if isinstance(expr, Apply):
        return expr.template.format(*map(_typed, expr.args), T=expr.dtype)
    raise TypeError(f"not a scalar expression: {expr!r}")


def _literal(constant: Const) -> str:
    value, dtype = constant.value, constant.dtype
    if dtype == "bool":
        return str(bool(value))
    if dtype == INDEX:
        return str(int(value))
    if not dtype.startswith("float"):
        return f"{dtype}({int(value)})"
    if math.isnan(value):
        return f"{dtype}(math.nan)"
    if math.isinf(value):
        return f"{dtype}({'-' if value < 0 else ''}math.inf)"
    return f"{dtype}({float(value)!r})"


def _size(size: Size) -> str:
    terms = []
    for monomial, coefficient in size.terms:
        factors = [name for name, power in monomial for _ in range(power)]
        if coefficient != 1 or not factors:
            factors.insert(0, str(coefficient))
        terms.append(" * ".join(factors))
    return f"({' + '.join(terms)})" if len(terms) > 1 or "*" in terms[0] else terms[0]


_FROM = {
    "numba": r"\b(float32|float64|u?int(?:8|16|32|64))\(",
    "graphkeras.codegen.cpu.intrinsics": r"\b(\w+_at|udiv|urem|add_any_order|maximum|minimum)\(",
    "graphkeras.codegen.cpu.channel_tile": r"\b(block_sums|block_tile|line_sums)\(",
    "graphkeras.codegen.cpu.winner_tile": r"\b(winner_sums|winner_patches)\(",
    "graphkeras.codegen.cpu.microkernel": r"\b(product_tile|transpose_tile)\(",
    "graphkeras.codegen.cpu.winograd_tile": r"\b((?:input|output|gradient|kernel)_tile)\(",
}


def _imports(text: str) -> list[str]:
    lines = []
    if "math." in text:
        lines.append("import math")
    if "np." in text:
        lines.append("import numpy as np")
    for module, pattern in _FROM.items():
        names = sorted(set(re.findall(pattern, text)))
        if names:
            lines.append(f"from {module} import {', '.join(names)}")
    return lines
