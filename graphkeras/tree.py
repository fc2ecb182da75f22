"""Nested structures: lists, tuples and dicts of anything.

A structure is a list, a tuple (named ones included), a dict, or a leaf. Dicts are visited in
sorted key order, as Keras does, so that two dicts with equal keys flatten alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a list, tuple or dict rather than a leaf."""
    return isinstance(structure, (list, tuple, dict))


def leaves(structure: Any) -> Iterator[Any]:
    """The leaves in order, one by one."""
    if isinstance(structure, (list, tuple)):
        for item in structure:
            yield from leaves(item)
    elif isinstance(structure, dict):
        for key in _ordered(structure):
            yield from leaves(structure[key])
    else:
        yield structure


def flatten(structure: Any) -> list[Any]:
    """The leaves in order, as a list. A leaf flattens to a list of itself."""
    return list(leaves(structure))


def map_structure(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """The same structure with `function` applied to each leaf (and the leaves of `others`).

    Raises:
        ValueError: where the structures differ.
    """
    if isinstance(structure, (list, tuple)):
        for other in others:
            if not isinstance(other, (list, tuple)) or len(other) != len(structure):
                raise ValueError(f"structures differ: {_sketch(structure)} and {_sketch(other)}")
        rest = zip(*others, strict=True) if others else (() for _ in structure)
        items = [
            map_structure(function, item, *more) for item, more in zip(structure, rest, strict=True)
        ]
        return _like(structure, items)
    if isinstance(structure, dict):
        for other in others:
            if not isinstance(other, Mapping) or set(other) != set(structure):
                raise ValueError(f"structures differ: {_sketch(structure)} and {_sketch(other)}")
        return {
            key: map_structure(function, structure[key], *(other[key] for other in others))
            for key in structure
        }
    return function(structure, *others)


def pack(structure: Any, flat: Iterable[Any]) -> Any:
    """The structure with its leaves replaced, in order, by the items of `flat`.

    Raises:
        ValueError: where there are too few or too many items.
    """
    items = list(flat)
    count = len(flatten(structure))
    if count != len(items):
        raise ValueError(f"the structure has {count} leaves, received {len(items)}")
    return _pack(structure, iter(items))


def _pack(structure: Any, items: Iterator[Any]) -> Any:
    if isinstance(structure, (list, tuple)):
        return _like(structure, [_pack(item, items) for item in structure])
    if isinstance(structure, dict):
        packed = {key: _pack(structure[key], items) for key in _ordered(structure)}
        return {key: packed[key] for key in structure}
    return next(items)


def _ordered(structure: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:
        return list(structure)


def _like(structure: Any, items: list[Any]) -> Any:
    if isinstance(structure, tuple):
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    return items


def _sketch(structure: Any) -> str:
    if isinstance(structure, (list, tuple)):
        return f"{type(structure).__name__} of {len(structure)}"
    if isinstance(structure, dict):
        return f"dict with keys {list(structure)}"
    return type(structure).__name__
