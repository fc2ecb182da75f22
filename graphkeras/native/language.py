"""Reads the text of a kernel module: its functions, constants and what it imports.

Kernel text is a small part of Python that Numba accepts too::

    import math                                     math, numpy as np
    from numba import float32                       types, which are conversions when called
    from graphkeras.codegen.cpu.intrinsics import float32_at, udiv

    LIMIT = 4 * 16                                  constants
    tile = product_tile('float32', 16, 32, ...)     a factory of an intrinsic, given literals

    def kernel(tid, nthreads, argv):                functions; one that is called is inlined

Statements are assignments, `for .. in range(..)` with a constant step above zero, `while`, `if`,
`break`, `continue`, `return` and calls. Expressions are numbers, names, arithmetic, comparisons
of two, `and`, `or`, `not`, `a if c else b`, `p[i]` and calls. Types written beside names are for
readers.

A name has one type wherever it is assigned. **A name is its own memory:** what is read and
written through one pointer name is never touched through another, so loops need no check for
overlap. A kernel that writes a result over an operand uses one name for both.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphkeras.native.errors import KernelCompileError
from graphkeras.native.functions import CONSTANTS, FUNCTIONS
from graphkeras.native.intrinsic import Intrinsic
from graphkeras.native.types import NUMBERS, Type, type_named

Global = Intrinsic | Type | ast.FunctionDef | int | float | bool | Callable[..., Any] | str
"""What a name at module level stands for; a string is one of `LIBRARIES`."""

LIBRARIES = {"math": "math", "numpy": "np"}
"""Modules whose functions are rows of `FUNCTIONS`, and how the rows call them."""


@dataclass
class Module:
    """Kernel text, parsed."""

    name: str
    """Where the text is from, for errors."""
    lines: list[str]
    names: dict[str, Global] = field(default_factory=dict)

    def error(self, node: ast.AST, problem: str) -> KernelCompileError:
        """A problem, with the line it is in."""
        number = getattr(node, "lineno", 0)
        line = self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""
        return KernelCompileError(f"{problem}\n  {self.name}, line {number}: {line}")

    def function(self, name: str) -> ast.FunctionDef:
        """The function called `name`.

        Raises:
            KernelCompileError: There is none.
        """
        found = self.names.get(name)
        if not isinstance(found, ast.FunctionDef):
            raise KernelCompileError(f"there is no function {name!r}\n  {self.name}")
        return found

    def attribute(self, node: ast.Attribute) -> Global:
        """`math.exp`, `np.floor`, `math.inf`."""
        library = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        name = f"{library}.{node.attr}"
        if name in FUNCTIONS:
            return FUNCTIONS[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise self.error(node, f"kernel text has no {ast.unparse(node)}")


def parse(text: str, name: str) -> Module:
    """Reads the module `text`; `name` is where it is from.

    Raises:
        KernelCompileError: The text is not of the language, or an import is not found.
    """
    module = Module(name, text.splitlines())
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise KernelCompileError(f"{error.msg}\n  {name}, line {error.lineno}") from error
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            _import(module, statement)
        elif isinstance(statement, ast.FunctionDef):
            module.names[statement.name] = statement
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            module.names[statement.targets[0].id] = _constant(module, statement.value)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            raise module.error(statement, f"a module cannot hold {_kind(statement)}")
    return module


def _kind(node: ast.AST) -> str:
    return f"`{type(node).__name__}`"


def _import(module: Module, statement: ast.Import | ast.ImportFrom) -> None:
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return
    for alias in statement.names:
        name = alias.asname or alias.name
        if isinstance(statement, ast.Import):
            if alias.name not in LIBRARIES:
                raise module.error(statement, f"kernel text cannot import {alias.name}")
            module.names[name] = LIBRARIES[alias.name]
        else:
            module.names[name] = _imported(module, statement, alias.name)


def _imported(module: Module, statement: ast.ImportFrom, name: str) -> Global:
    source = statement.module or ""
    if source == "numba" and name in NUMBERS:
        return type_named(name)
    if not source.startswith("graphkeras."):
        raise module.error(statement, f"kernel text cannot import {name} from {source}")
    try:
        found: Global = getattr(importlib.import_module(source), name)
    except (ImportError, AttributeError) as error:
        raise module.error(statement, str(error)) from error
    return found


def _constant(module: Module, node: ast.expr) -> Global:
    """The value of an expression of literals, constants and factories."""
    names = {name: value for name, value in module.names.items() if not isinstance(value, str)}
    try:
        code = compile(ast.Expression(node), module.name, "eval")
        value: Global = eval(code, {"__builtins__": {}}, names)
    except Exception as error:
        raise module.error(node, f"{type(error).__name__}: {error}") from error
    if not isinstance(value, Intrinsic | int | float):
        raise module.error(
            node, f"a constant is a number or an intrinsic, not a {type(value).__name__}"
        )
    return value
