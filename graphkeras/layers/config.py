"""`get_config` for layers that do not define it: from the arguments they were made with."""

from __future__ import annotations

import inspect
from typing import Any

from graphkeras.errors import did_you_mean


def arguments_of(owner: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an `__init__` by name; empty where they do not fit."""
    try:
        bound = inspect.signature(owner.__init__).bind(None, *args, **kwargs)  # type: ignore[misc]  # only its signature is read
    except (TypeError, ValueError):
        return {}
    named = dict(list(bound.arguments.items())[1:])
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named.update(named.pop(name, {}))
    return named


def is_plain(value: Any) -> bool:
    """Whether a value can stand in a config as it is."""
    if isinstance(value, (list, tuple)):
        return all(is_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_plain(v) for k, v in value.items())
    return value is None or isinstance(value, (str, int, float, bool))


def automatic_config(owner: Any, given: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The config of a layer whose class has arguments of its own but no `get_config`.

    Raises:
        NotImplementedError: where an argument is no plain value.
    """
    for name, value in given.items():
        if name not in base and not is_plain(value):
            raise NotImplementedError(
                f"{type(owner).__name__} was made with {name}={value!r}, which is no plain value, "
                "so its get_config() cannot be made up. Define get_config() in the class."
            )
    return {**base, **{k: v for k, v in given.items() if k not in base}}


def init_names(owner: type) -> list[str]:
    """Every argument the `__init__` of a class and of its bases takes."""
    names: dict[str, None] = {}
    for cls in owner.__mro__:
        if "__init__" in vars(cls) and cls is not object:
            parameters = inspect.signature(vars(cls)["__init__"]).parameters
            names.update(dict.fromkeys(p for p in parameters if p not in ("self", "kwargs")))
    return list(names)


def unknown_arguments(owner: type, kwargs: dict[str, Any]) -> ValueError:
    """The error for arguments a layer does not have."""
    names = [n for n in init_names(owner) if n != "args"]
    hints = [did_you_mean(name, names) for name in kwargs]
    return ValueError(
        f"{owner.__name__} has no argument {', '.join(map(repr, kwargs))}. "
        + " ".join(hint for hint in hints if hint)
        + f"\n  known: {', '.join(names)}"
    )
