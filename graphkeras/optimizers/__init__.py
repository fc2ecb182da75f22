"""Optimizers with the names of `keras.optimizers`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphkeras.lazy import Things, loader
from graphkeras.optimizers import schedules
from graphkeras.registry import Registry

if TYPE_CHECKING:
    from graphkeras.optimizers.adagrad import (
        Adadelta,
        Adagrad,
    )
    from graphkeras.optimizers.adam import (
        Adam,
        AdamW,
    )
    from graphkeras.optimizers.adamax import (
        Adamax,
    )
    from graphkeras.optimizers.ftrl import (
        Ftrl,
    )
    from graphkeras.optimizers.lion import (
        Lion,
    )
    from graphkeras.optimizers.nadam import (
        Nadam,
    )
    from graphkeras.optimizers.optimizer import (
        Optimizer,
    )
    from graphkeras.optimizers.rmsprop import (
        RMSprop,
    )
    from graphkeras.optimizers.sgd import (
        SGD,
    )

_FILES = {
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adam": "Adam AdamW",
    "adamax": "Adamax",
    "adagrad": "Adadelta Adagrad",
    "nadam": "Nadam",
    "lion": "Lion",
    "ftrl": "Ftrl",
    "optimizer": "Optimizer",
}
__getattr__, __dir__ = loader(__name__, _FILES)

_CLASSES = Things(__name__, _FILES, without="Optimizer")
_registry = Registry("optimizer", "keras.optimizers", _CLASSES)


def _canonical(name: str) -> str:
    """The name of the class that `name` is in another case; else `name`."""
    by_lower = {known.lower(): known for known in _CLASSES}
    return by_lower.get(name.lower(), name)


def get(identifier: Any) -> Optimizer | None:
    """The optimizer a user means.

    Args:
        identifier: Name in any case (`"adam"`), a config from `serialize`, an `Optimizer`, or
            None.

    Returns:
        An `Optimizer`, or None.

    Raises:
        ValueError: If no optimizer has that name, or the identifier is none of these.
    """
    from graphkeras.optimizers.optimizer import Optimizer

    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str | Mapping):
        optimizer = deserialize(identifier)
        if isinstance(optimizer, Optimizer):
            return optimizer
    hint = ""
    if inspect.isclass(identifier) and issubclass(identifier, Optimizer):
        hint = f" That is a class: write {identifier.__name__}()."
    raise ValueError(
        f"Could not interpret optimizer identifier: {identifier!r}. Expected a name, a config or "
        f"an instance of an optimizer.{hint}"
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """A dictionary from which `deserialize` makes the optimizer again, without its slots."""
    config: dict[str, Any] = _registry.serialize(optimizer)
    return config


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Inverse of `serialize`.

    Args:
        config: What `serialize` returned, or a name; names may be in any case.
        custom_objects: The user's own optimizers by name.

    Raises:
        ValueError: If no optimizer has that name.
    """
    if isinstance(config, str):
        return _registry.deserialize(_canonical(config), custom_objects)
    if isinstance(config, Mapping) and "class_name" in config:
        config = {**config, "class_name": _canonical(config["class_name"])}
    return _registry.deserialize(config, custom_objects)


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
