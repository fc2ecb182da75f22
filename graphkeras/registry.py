"""How a name, a config or a function becomes an object.

The `get`, `serialize` and `deserialize` of losses, metrics, initializers, activations and others.
A config is Keras's: `{"module": ..., "class_name": "L2", "config": {"l2": 0.01}, ...}`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from graphkeras.errors import UnknownNameError, unknown_name


class Registry:
    """The things of one kind that a name can stand for.

    Args:
        kind: what they are, for messages: `"initializer"`.
        module: the Keras module they are public in: `"keras.initializers"`.
        table: classes and functions by name.
        aliases: other names -> names of the table.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        table: Mapping[str, Any],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.module = module
        self._table = table
        self._names = {**{name: name for name in table}, **(aliases or {})}

    def has(self, thing: Any) -> bool:
        """Whether something is one of the classes and functions."""
        name = self._names.get(getattr(thing, "__name__", ""))
        return name is not None and self._table[name] is thing

    def get(self, identifier: Any) -> Any:
        """The object an identifier stands for.

        Args:
            identifier: None, a name, a config, a class, or any callable.

        Returns:
            None for None; an instance where the identifier names a class; else the callable.

        Raises:
            UnknownNameError: (a ValueError) for an unknown name, with the nearest known one.
            ValueError: for something that is none of these.
        """
        if identifier is None:
            return None
        if isinstance(identifier, (str, dict)):
            return self.deserialize(identifier)
        if inspect.isclass(identifier):
            return identifier()
        if callable(identifier):
            return identifier
        raise ValueError(
            f"{identifier!r} of type {type(identifier).__name__} cannot stand for a {self.kind}. "
            f"Give a name such as {next(iter(self._names))!r}, an object, a function or a config."
        )

    def serialize(self, thing: Any) -> Any:
        """A config; the name of a plain function; None for None.

        Raises:
            ValueError: for something that has neither a config nor a name.
        """
        if thing is None:
            return None
        if hasattr(thing, "get_config"):
            own = type(thing).__name__ in self._names
            return {
                "module": self.module if own else type(thing).__module__,
                "class_name": type(thing).__name__,
                "config": thing.get_config(),
                "registered_name": None,
            }
        name = getattr(thing, "__name__", None)
        if name is None:
            raise ValueError(
                f"cannot serialize the {self.kind} {thing!r}: it has neither get_config() nor a "
                "name"
            )
        return name

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object of a name or of what `serialize` returned.

        Args:
            config: a name, a config, or None.
            custom_objects: the user's own classes and functions by name.

        Raises:
            UnknownNameError: (a ValueError) for an unknown name, with the nearest known one.
            ValueError: for a config without a class name.
        """
        custom = custom_objects or {}
        if config is None:
            return None
        if isinstance(config, str):
            found = self._find(config, custom)
            return found() if inspect.isclass(found) else found
        if not isinstance(config, Mapping) or "class_name" not in config:
            raise ValueError(f"a config of a {self.kind} needs 'class_name', received {config!r}")
        name, inner = config["class_name"], config.get("config", {})
        if isinstance(inner, str):
            name, inner = inner, {}
        found = self._find(name, custom)
        if not inspect.isclass(found):
            return found
        create = getattr(found, "from_config", None)
        return create(dict(inner)) if create else found(**inner)

    def _find(self, name: Any, custom: Mapping[str, Any]) -> Any:
        if name in custom:
            return custom[name]
        if name not in self._names:
            raise unknown_name(self.kind, name, _for_people({**self._names, **custom}))
        return self._table[self._names[name]]


def _for_people(names: Iterable[str]) -> list[str]:
    """The names without the wrappers, which take a function and so are no use as a string."""
    return [name for name in names if not name.lower().endswith("wrapper")]


__all__ = ["Registry", "UnknownNameError"]
