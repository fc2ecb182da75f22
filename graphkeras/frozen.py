"""Immutable records, as of `dataclass(frozen=True)`, in a third of its time to define a class.

The standard decorator compiles the text of six methods for each class, one after the other. Here
those that know the fields by name are one text, and the others are the same functions for all::

    __init__  __eq__  __hash__               compiled once a class
    __repr__  __setattr__  __delattr__       shared

Fields, defaults and `__post_init__` are those of `dataclasses`, whose `field`, `fields` and
`replace` know these records too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, field
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

_Class = TypeVar("_Class", bound=type)


@overload
def frozen(cls: _Class, /) -> _Class: ...


@overload
def frozen(*, eq: bool = True) -> Callable[[_Class], _Class]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, eq: bool = True) -> Any:
    """Makes a class with annotated fields an immutable record.

    Args:
        cls: The class. Methods that it has itself are kept.
        eq: Whether records of equal fields are equal, and hash so; else they are by identity.

    Raises:
        SyntaxError: A field without a default follows one that has a default.
    """
    return (lambda defined: _define(defined, eq)) if cls is None else _define(cls, eq)


def _define(cls: type, eq: bool) -> type:
    # Finds the fields, and with all three off compiles nothing.
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(cls)
    scope = {f"_{f.name}": f for f in fields}
    lines = [*_init(cls, fields), *(_comparison(fields) if eq else ())]
    methods: dict[str, Any] = {}
    exec("\n".join(lines), {"MISSING": MISSING, "set_": object.__setattr__, **scope}, methods)
    own = vars(cls)
    for name, method in {**methods, **_SHARED}.items():
        # A class that has its own __eq__ has None for __hash__.
        if own.get(name) is None:
            setattr(cls, name, method)
    return cls


def _init(cls: type, fields: Sequence[Field[Any]]) -> Iterator[str]:
    """`__init__`: in the text a field `x` is `_x`, and is asked for its default."""
    given = [f for f in fields if f.init]
    defaults = {f.name: f"_{f.name}.default" for f in given if f.default is not MISSING}
    defaults |= {f.name: "MISSING" for f in given if f.default_factory is not MISSING}
    arguments = [f"{f.name}={defaults[f.name]}" if f.name in defaults else f.name for f in given]
    yield f"def __init__({', '.join(['self', *arguments])}):"
    for f in fields:
        made = f"_{f.name}.default_factory()"
        if f.default_factory is MISSING:
            value = f.name
        else:
            value = f"{made} if {f.name} is MISSING else {f.name}" if f.init else made
        if f.init or f.default_factory is not MISSING:
            yield f" set_(self, {f.name!r}, {value})"
    yield " self.__post_init__()" if hasattr(cls, "__post_init__") else " return"


def _comparison(fields: Sequence[Field[Any]]) -> list[str]:
    """`__eq__` and `__hash__`."""
    own, others = (
        "(" + "".join(f"{who}.{f.name}," for f in fields if f.compare) + ")"
        for who in ("self", "other")
    )
    return [
        "def __eq__(self, other):",
        " if other.__class__ is self.__class__:",
        f"  return {own} == {others}",
        " return NotImplemented",
        "def __hash__(self):",
        f" return hash({own})",
    ]


def _repr(self: Any) -> str:
    shown = [f.name for f in dataclasses.fields(self) if f.repr]
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({inside})"


def _refuse_set(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = {"__repr__": _repr, "__setattr__": _refuse_set, "__delattr__": _refuse_delete}
