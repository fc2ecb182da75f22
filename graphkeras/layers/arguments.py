"""Checks of constructor arguments that several layers share.

Every function takes the class name of the layer (`layer`) and the name of the argument, so
that the error says where the bad value was given, what was expected and what was received.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from graphkeras import config

TensorLike = Any
"""What `call` gets and gives: a traced tensor, a symbolic Keras tensor or an array."""

Shape = tuple[int | None, ...]
"""A shape as Keras shows it: `None` where the size is known only at run time."""

DATA_FORMATS = ("channels_last", "channels_first")


def whole_number(value: Any, name: str, layer: str, minimum: int = 1) -> int:
    """`value` as an int.

    Raises:
        ValueError: `value` is not a whole number or is below `minimum`.
    """
    wanted = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    problem = (
        f"{layer}: `{name}` must be {wanted}. Received: {name}={value!r} "
        f"(of type {type(value).__name__})."
    )
    if isinstance(value, bool):
        raise ValueError(problem)
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(problem) from None
    if number < minimum:
        raise ValueError(problem)
    return number


def whole_numbers(
    value: Any, count: int, name: str, layer: str, minimum: int = 1
) -> tuple[int, ...]:
    """`value` as a tuple of `count` ints; a single int is repeated.

    Raises:
        ValueError: wrong length, or an entry that is no int or is below `minimum`.
    """
    if isinstance(value, Iterable) and not isinstance(value, str):
        entries = tuple(value)
        if len(entries) != count:
            raise ValueError(
                f"{layer}: `{name}` must be an integer or a tuple of {count} integers. "
                f"Received: {name}={value!r} with {len(entries)} entries."
            )
        return tuple(whole_number(entry, name, layer, minimum) for entry in entries)
    return (whole_number(value, name, layer, minimum),) * count


def pairs(value: Any, name: str, layer: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Amounts for the two sides of two axes: `1`, `(1, 2)` or `((1, 1), (2, 2))`.

    Raises:
        ValueError: any other form, or a negative amount.
    """
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        rows, columns = value
    elif isinstance(value, int):
        rows = columns = value
    else:
        raise ValueError(
            f"{layer}: `{name}` must be an integer, a pair (rows, columns) or a pair of pairs "
            f"((top, bottom), (left, right)). Received: {name}={value!r}."
        )
    top, bottom = whole_numbers(rows, 2, name, layer, minimum=0)
    left, right = whole_numbers(columns, 2, name, layer, minimum=0)
    return (top, bottom), (left, right)


def one_of(value: Any, choices: Sequence[str], name: str, layer: str) -> str:
    """`value` in lower case if it is one of `choices`.

    Raises:
        ValueError: it is not; the message names the closest choice.
    """
    word = value.lower() if isinstance(value, str) else value
    if word in choices:
        return str(word)

    close = difflib.get_close_matches(str(word), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"{layer}: `{name}` must be one of {', '.join(map(repr, choices))}. "
        f"Received: {name}={value!r}.{hint}"
    )


def standard_data_format(value: str | None, layer: str) -> str:
    """The data format, `keras.config.image_data_format()` for `None`.

    Raises:
        ValueError: an unknown data format.
    """
    if value is None:
        return config.image_data_format()
    return one_of(value, DATA_FORMATS, "data_format", layer)


def unit_interval(value: float, name: str, layer: str) -> float:
    """`value` if it lies between 0 and 1.

    Raises:
        ValueError: it does not.
    """
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(
            f"{layer}: `{name}` must be a number between 0 and 1. Received: {name}={value!r}."
        )
    return value


def refuse(layer: str, **options: Any) -> None:
    """Rejects Keras options that graphkeras does not have; `None` and `False` pass.

    Raises:
        ValueError: an option is set.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            raise ValueError(
                f"{layer}: graphkeras does not support `{name}`. Received: {name}={value!r}. "
                f"Leave `{name}` out."
            )
