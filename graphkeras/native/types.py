"""The types of kernel text, what an operation on two of them gives, and conversions.

The rules are Numba's (error model NumPy), so that one text means one thing to both compilers:
integers compute in 64 bits, unsigned only where both are; a literal `2` is an int64 and a literal
`2.0` a float64, which is why kernel text says `float32(2.0)`. Mixtures in which a rule would
surprise are refused instead.
"""

from __future__ import annotations

from dataclasses import field
from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir

from graphkeras.frozen import frozen


class TypeMismatchError(TypeError):
    """An operation that the language does not have for its operands' types."""


@frozen
class Type:
    """A type of kernel text."""

    name: str
    kind: str
    """`"bool"`, `"signed"`, `"unsigned"`, `"float"`, `"pointer"` or `"void"`."""
    bits: int
    llvm: Any = field(compare=False, repr=False)

    @property
    def is_integer(self) -> bool:
        """Whether it is a whole number; a bool is none."""
        return self.kind in ("signed", "unsigned")

    def constant(self, value: float) -> Any:
        """A number of this type."""
        number = float(value) if self.kind == "float" else _wrapped(int(value), self)
        return ir.Constant(self.llvm, number)


def _wrapped(value: int, kind: Type) -> int:
    """The number that is left of `value` in the type's bits."""
    if kind.kind == "bool":
        return int(value != 0)
    value &= (1 << kind.bits) - 1
    return value - (1 << kind.bits) if kind.kind == "signed" and value >> kind.bits - 1 else value


@cache
def type_named(name: str) -> Type:
    """The type called `name` in kernel text (`"float32"`, `"int64*"`)."""
    if name.endswith("*"):
        return Type(name, "pointer", 64, type_named(name[:-1]).llvm.as_pointer())
    return _SCALARS[name]


def element_type(pointer: Type) -> Type:
    """What a pointer points to."""
    return type_named(pointer.name[:-1])


_SCALARS = {
    "void": Type("void", "void", 0, ir.VoidType()),
    "bool": Type("bool", "bool", 1, ir.IntType(1)),
    "float32": Type("float32", "float", 32, ir.FloatType()),
    "float64": Type("float64", "float", 64, ir.DoubleType()),
}
for _bits in (8, 16, 32, 64):
    _SCALARS[f"int{_bits}"] = Type(f"int{_bits}", "signed", _bits, ir.IntType(_bits))
    _SCALARS[f"uint{_bits}"] = Type(f"uint{_bits}", "unsigned", _bits, ir.IntType(_bits))

NUMBERS = frozenset(_SCALARS) - {"void"}
"""Names of the types of numbers; each is a conversion in kernel text: `float32(x)`."""

BOOL, INT64, UINT64 = _SCALARS["bool"], _SCALARS["int64"], _SCALARS["uint64"]
FLOAT64, VOID = _SCALARS["float64"], _SCALARS["void"]


class Typed(NamedTuple):
    """An LLVM value and its type in kernel text, which knows whether it is signed."""

    type: Type
    value: Any


def arithmetic_type(a: Type, b: Type) -> Type:
    """The type in which two operands are added, multiplied and so on; also the result's.

    Raises:
        TypeMismatchError: An operand is no number, or only one is a small integer beside a float.
    """
    for kind in (a, b):
        if kind.kind in ("pointer", "void"):
            raise TypeMismatchError(f"no arithmetic with {kind.name}")
    if "float" in (a.kind, b.kind):
        return _float_type(a, b)
    return UINT64 if a.kind == b.kind == "unsigned" else INT64


def _float_type(a: Type, b: Type) -> Type:
    if a.kind == b.kind:
        return max(a, b, key=lambda kind: kind.bits)
    whole, real = (b, a) if a.kind == "float" else (a, b)
    if whole.bits < 64 and real.bits < 64:
        raise TypeMismatchError(f"{a.name} with {b.name}; convert one of them")
    return FLOAT64


def common_type(a: Type, b: Type) -> Type:
    """The smallest type that holds two operands: where they are compared or one is chosen.

    Raises:
        TypeMismatchError: There is none.
    """
    if a == b:
        return a
    if "pointer" in (a.kind, b.kind) or "void" in (a.kind, b.kind):
        raise TypeMismatchError(f"{a.name} with {b.name}")
    if "float" in (a.kind, b.kind):
        return _float_type(a, b)
    if "bool" in (a.kind, b.kind):
        return b if a.kind == "bool" else a
    if a.kind == b.kind:
        return max(a, b, key=lambda kind: kind.bits)
    signed, unsigned = (a, b) if a.kind == "signed" else (b, a)
    if unsigned.bits == 64:
        raise TypeMismatchError(f"{a.name} with {b.name}; convert one of them")
    return type_named(f"int{max(signed.bits, 2 * unsigned.bits)}")


def convert(builder: Any, operand: Typed, to: Type) -> Any:
    """The LLVM value of `operand` as a `to`.

    Raises:
        TypeMismatchError: One of the types is a pointer and the other is not the same.
    """
    kind, value = operand
    if kind == to:
        return value
    if "pointer" in (kind.kind, to.kind) or "void" in (kind.kind, to.kind):
        raise TypeMismatchError(f"{kind.name} is not a {to.name}")
    if isinstance(value, ir.Constant) and isinstance(value.constant, int):
        return to.constant(_wrapped(value.constant, kind))
    if to.kind == "bool":
        return _is_not_zero(builder, operand)
    if kind.kind == "float":
        return _from_float(builder, operand, to)
    if to.kind == "float":
        emit = builder.sitofp if kind.kind == "signed" else builder.uitofp
        return emit(value, to.llvm)
    if to.bits == kind.bits:
        return value
    if to.bits < kind.bits:
        return builder.trunc(value, to.llvm)
    return (builder.sext if kind.kind == "signed" else builder.zext)(value, to.llvm)


def _is_not_zero(builder: Any, operand: Typed) -> Any:
    zero = operand.type.constant(0)
    if operand.type.kind == "float":
        return builder.fcmp_unordered("!=", operand.value, zero)
    return builder.icmp_unsigned("!=", operand.value, zero)


def _from_float(builder: Any, operand: Typed, to: Type) -> Any:
    kind, value = operand
    if to.kind == "float":
        if isinstance(value, ir.Constant):
            return to.constant(value.constant)
        return (builder.fptrunc if to.bits < kind.bits else builder.fpext)(value, to.llvm)
    return (builder.fptosi if to.kind == "signed" else builder.fptoui)(value, to.llvm)
