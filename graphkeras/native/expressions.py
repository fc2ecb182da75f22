"""From the expressions of kernel text to LLVM values."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from llvmlite import ir

from graphkeras.native import arithmetic
from graphkeras.native.intrinsic import Intrinsic
from graphkeras.native.language import Module
from graphkeras.native.types import (
    BOOL,
    FLOAT64,
    INT64,
    UINT64,
    Type,
    Typed,
    arithmetic_type,
    common_type,
    convert,
    element_type,
    type_named,
)

_COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}

_PLAIN = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
"""Operators whose LLVM instruction has this name, with an `f` before it for floats."""
_BITS = {ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
_SHIFTS = (ast.LShift, ast.RShift)

_FREE = (
    *(ast.Name, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.IfExp),
    *(ast.expr_context, ast.boolop, ast.unaryop, ast.cmpop),
    *(ast.Add, ast.Sub, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor, *_SHIFTS),
)
"""Parts of an expression that are cheap and harmless. Conversions are so as well."""


class Names(Protocol):
    """Where an expression finds the locals of its function, and other functions."""

    def read(self, name: str) -> Typed | None:
        """Value of a local; None where there is none of this name."""

    def inline(self, function: ast.FunctionDef, arguments: list[Typed], node: ast.Call) -> Typed:
        """Puts a function of the module in the place of a call."""


class Expressions:
    """Emits expressions of one function.

    Args:
        module: The text.
        builder: Where the next instruction goes.
        names: The function's locals.
    """

    def __init__(self, module: Module, builder: Any, names: Names) -> None:
        self.module = module
        self.builder = builder
        self.names = names

    def value(self, node: ast.expr) -> Typed:
        """Emits an expression.

        Raises:
            KernelCompileError: It is not of the language.
            TypeMismatchError: Its types do not fit.
        """
        emit = self._EMITTERS.get(type(node))
        if emit is None:
            raise self.module.error(node, f"kernel text has no `{type(node).__name__}`")
        return emit(self, node)

    def condition(self, node: ast.expr) -> Any:
        """An expression as an LLVM truth value."""
        return convert(self.builder, self.value(node), BOOL)

    def place(self, node: ast.Subscript) -> Typed:
        """The address of `p[i]`: a pointer."""
        pointer = self.value(node.value)
        if pointer.type.kind != "pointer":
            raise self.module.error(node, f"{ast.unparse(node.value)} is a {pointer.type.name}")
        index = self.value(node.slice)
        if not index.type.is_integer:
            raise self.module.error(node, f"an index is an integer, not a {index.type.name}")
        offset = convert(self.builder, index, INT64)
        return Typed(pointer.type, self.builder.gep(pointer.value, [offset], inbounds=True))

    # ---- one method a kind of expression

    def _constant(self, node: ast.Constant) -> Typed:
        return self._number(node, node.value)

    def _number(self, node: ast.AST, number: Any) -> Typed:
        if isinstance(number, bool):
            kind = BOOL
        elif isinstance(number, int):
            kind = INT64 if -(1 << 63) <= number < 1 << 63 else UINT64
        elif isinstance(number, float):
            kind = FLOAT64
        else:
            raise self.module.error(node, f"{number!r} is no number")
        return Typed(kind, kind.constant(number))

    def _name(self, node: ast.Name) -> Typed:
        found = self.names.read(node.id)
        if found is not None:
            return found
        value = self.module.names.get(node.id)
        if isinstance(value, int | float):
            return self._number(node, value)
        raise self.module.error(node, f"the name {node.id!r} has no value here")

    def _attribute(self, node: ast.Attribute) -> Typed:
        return self._number(node, self.module.attribute(node))

    def _subscript(self, node: ast.Subscript) -> Typed:
        place = self.place(node)
        return Typed(element_type(place.type), self.builder.load(place.value))

    def _unary(self, node: ast.UnaryOp) -> Typed:
        builder = self.builder
        if isinstance(node.op, ast.Not):
            return Typed(BOOL, builder.not_(self.condition(node.operand)))
        operand = self.value(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(operand.value, ir.Constant):
            return Typed(operand.type, operand.type.constant(-operand.value.constant))
        if isinstance(node.op, ast.Invert) and operand.type is BOOL:
            return Typed(BOOL, builder.not_(operand.value))
        kind = arithmetic_type(operand.type, operand.type)
        if operand.type is BOOL:
            operand = Typed(kind, convert(builder, operand, kind))
        value = operand.value
        # In the operand's own bits, as Numba does it.
        if isinstance(node.op, ast.USub):
            value = builder.fneg(value) if kind.kind == "float" else builder.neg(value)
        elif isinstance(node.op, ast.Invert) and kind.is_integer:
            value = builder.not_(value)
        else:
            raise self.module.error(node, f"kernel text has no {ast.unparse(node)}")
        return Typed(kind, convert(builder, Typed(operand.type, value), kind))

    def binary(self, node: ast.AST, operator: ast.operator, a: Typed, b: Typed) -> Typed:
        """`a operator b`."""
        op, builder = type(operator), self.builder
        if op in _SHIFTS:
            return self._shift(node, op, a, b)
        if op in _BITS:
            kind = BOOL if a.type is b.type is BOOL else arithmetic_type(a.type, b.type)
            if kind.kind == "float":
                raise self.module.error(node, "bits of a float")
        else:
            kind = arithmetic_type(a.type, b.type)
        if op is ast.Div and kind.kind != "float":
            kind = FLOAT64
        x, y = convert(builder, a, kind), convert(builder, b, kind)
        if op in _BITS:
            return Typed(kind, getattr(builder, _BITS[op])(x, y))
        if op in _PLAIN:
            name = _PLAIN[op]
            return Typed(kind, getattr(builder, f"f{name}" if kind.kind == "float" else name)(x, y))
        if op is ast.Div:
            return Typed(kind, builder.fdiv(x, y))
        if op is ast.FloorDiv:
            return Typed(kind, arithmetic.floor_divide(builder, kind, x, y))
        if op is ast.Mod:
            return Typed(kind, arithmetic.modulo(builder, kind, x, y))
        if op is ast.Pow:
            return self._power(node, kind, x, y)
        raise self.module.error(node, f"kernel text has no `{op.__name__}`")

    def _power(self, node: ast.AST, kind: Type, x: Any, y: Any) -> Typed:
        if kind.kind == "float":
            raise self.module.error(node, "`**` is for integers; math.pow is for floats")
        return Typed(kind, arithmetic.power(self.builder, x, y))

    def _shift(self, node: ast.AST, op: type[ast.operator], a: Typed, b: Typed) -> Typed:
        if "float" in (a.type.kind, b.type.kind):
            raise self.module.error(node, "bits of a float")
        kind = UINT64 if a.type.kind == "unsigned" else INT64
        x, y = convert(self.builder, a, kind), convert(self.builder, b, kind)
        if op is ast.LShift:
            return Typed(kind, self.builder.shl(x, y))
        return Typed(kind, (self.builder.lshr if kind is UINT64 else self.builder.ashr)(x, y))

    def _binary(self, node: ast.BinOp) -> Typed:
        return self.binary(node, node.op, self.value(node.left), self.value(node.right))

    def _compare(self, node: ast.Compare) -> Typed:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARISONS:
            raise self.module.error(node, "a comparison has two sides and one of < <= > >= == !=")
        a, b = self.value(node.left), self.value(node.comparators[0])
        return Typed(BOOL, self.compare(_COMPARISONS[type(node.ops[0])], a, b))

    def compare(self, sign: str, a: Typed, b: Typed) -> Any:
        """`a sign b` as an LLVM truth value."""
        kind, builder = common_type(a.type, b.type), self.builder
        x, y = convert(builder, a, kind), convert(builder, b, kind)
        if kind.kind == "float":
            emit = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        else:
            emit = builder.icmp_signed if kind.kind == "signed" else builder.icmp_unsigned
        return emit(sign, x, y)

    def _and_or(self, node: ast.BoolOp) -> Typed:
        values = list(node.values)
        result = self.condition(values[0])
        for other in values[1:]:
            result = self._both(isinstance(node.op, ast.And), result, other)
        return Typed(BOOL, result)

    def _both(self, is_and: bool, first: Any, second: ast.expr) -> Any:
        builder = self.builder
        if self.is_free(second):
            return (builder.and_ if is_and else builder.or_)(first, self.condition(second))
        before, more = builder.block, builder.append_basic_block("more")
        done = builder.append_basic_block("decided")
        builder.cbranch(first, *((more, done) if is_and else (done, more)))
        builder.position_at_end(more)
        value = self.condition(second)
        after = builder.block
        builder.branch(done)
        builder.position_at_end(done)
        result = builder.phi(BOOL.llvm)
        result.add_incoming(BOOL.constant(not is_and), before)
        result.add_incoming(value, after)
        return result

    def _choice(self, node: ast.IfExp) -> Typed:
        builder, test = self.builder, self.condition(node.test)
        if self.is_free(node.body) and self.is_free(node.orelse):
            a, b = self.value(node.body), self.value(node.orelse)
            kind = common_type(a.type, b.type)
            x, y = convert(builder, a, kind), convert(builder, b, kind)
            return Typed(kind, builder.select(test, x, y))
        blocks = [builder.append_basic_block(name) for name in ("then", "else", "chosen")]
        builder.cbranch(test, *blocks[:2])
        found = []
        for block, side in zip(blocks, (node.body, node.orelse), strict=False):
            builder.position_at_end(block)
            found.append((self.value(side), builder.block))
        kind = common_type(found[0][0].type, found[1][0].type)
        incoming = []
        for value, block in found:
            builder.position_at_end(block)
            incoming.append((convert(builder, value, kind), block))
            builder.branch(blocks[2])
        builder.position_at_end(blocks[2])
        result = builder.phi(kind.llvm)
        for value, block in incoming:
            result.add_incoming(value, block)
        return Typed(kind, result)

    # ---- calls

    def _call(self, node: ast.Call) -> Typed:
        if node.keywords:
            raise self.module.error(node, "calls take no keywords")
        arguments = [self.value(argument) for argument in node.args]
        name = ast.unparse(node.func)
        if isinstance(node.func, ast.Attribute):
            called: Any = self.module.attribute(node.func)
        else:
            called = self.module.names.get(name)
        if isinstance(called, ast.FunctionDef):
            return self.names.inline(called, arguments, node)
        if isinstance(called, Type):
            self._check_count(name, 1, arguments, node)
            return Typed(called, convert(self.builder, arguments[0], called))
        if isinstance(called, Intrinsic):
            self._check_count(name, len(called.arguments), arguments, node)
            return self._intrinsic(called, arguments)
        if called is None and name in _BUILTINS:
            self._check_count(name, _BUILTINS[name], arguments, node)
            return self._builtin(name, arguments, node)
        raise self.module.error(node, f"kernel text has no function {name!r}")

    def _check_count(self, name: str, wanted: int, given: list[Typed], node: ast.Call) -> None:
        if len(given) != wanted:
            raise self.module.error(node, f"{name} takes {wanted} arguments, not {len(given)}")

    def _intrinsic(self, called: Intrinsic, arguments: list[Typed]) -> Typed:
        variables = _variables(called, [a.type for a in arguments])
        kinds = [variables.get(name) or type_named(name) for name in called.arguments]
        operands = [convert(self.builder, a, k) for a, k in zip(arguments, kinds, strict=True)]
        result = variables.get(called.result) or type_named(called.result)
        return Typed(result, called.emit(self.builder, operands))

    def _builtin(self, name: str, arguments: list[Typed], node: ast.Call) -> Typed:
        if name == "abs":
            ((kind, value),) = arguments
            if kind.kind != "signed":
                raise self.module.error(node, "abs takes a signed integer; math.fabs is for floats")
            negative = self.builder.icmp_signed("<", value, kind.constant(0))
            return Typed(kind, self.builder.select(negative, self.builder.neg(value), value))
        kind = common_type(arguments[0].type, arguments[1].type)
        first, second = (Typed(kind, convert(self.builder, a, kind)) for a in arguments)
        wins = self.compare("<" if name == "min" else ">", second, first)
        return Typed(kind, self.builder.select(wins, second.value, first.value))

    def is_free(self, node: ast.expr) -> bool:
        """Whether an expression may be computed where Python would not: cheap, and no harm done."""
        return all(
            isinstance(part, _FREE)
            or (
                isinstance(part, ast.Call)
                and isinstance(part.func, ast.Name)
                and isinstance(self.module.names.get(part.func.id), Type)
            )
            for part in ast.walk(node)
        )

    _EMITTERS: ClassVar[dict[type, Callable[[Any, Any], Typed]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.UnaryOp: _unary,
        ast.BinOp: _binary,
        ast.Compare: _compare,
        ast.BoolOp: _and_or,
        ast.IfExp: _choice,
        ast.Call: _call,
    }


_BUILTINS = {"min": 2, "max": 2, "abs": 1}
"""Functions that need no import, and how many arguments they take."""


def _variables(called: Intrinsic, arguments: list[Type]) -> dict[str, Type]:
    """What `"T"` and `"F"` stand for in a call."""
    found: dict[str, Type] = {}
    for name, kind in zip(called.arguments, arguments, strict=True):
        if name in ("T", "F"):
            given = kind if name == "T" or kind.kind == "float" else FLOAT64
            found[name] = common_type(found.get(name, given), given)
    return found
