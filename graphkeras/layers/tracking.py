"""Which variables and layers belong to a layer: those its attributes hold.

Attributes are searched when somebody asks, not when they are set, so a list of layers may grow
after it was assigned::

    self.blocks = []
    self.blocks.append(Dense(8))      # found
"""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from graphkeras.ir.types import TensorType
from graphkeras.random import SeedGenerator
from graphkeras.variables import Variable

HIDDEN = frozenset({"_inbound_nodes", "_losses", "_auto_config"})
"""Attributes of every layer that are bookkeeping; a class adds its own in `_untracked`."""


def held(owner: Any) -> list[Any]:
    """The variables, seed generators, layers and metrics the attributes of `owner` hold."""
    found: list[Any] = []
    untracked = owner._untracked
    for name, value in vars(owner).items():
        if type(value) not in _PLAIN and name not in HIDDEN and name not in untracked:
            _add_held(value, found)
    return found


_PLAIN = frozenset(
    {bool, int, float, str, type(None), np.ndarray, FunctionType, MethodType, TensorType}
)
"""What most attributes hold. Tested first: this runs for every attribute of every layer."""


def _add_held(value: Any, found: list[Any]) -> None:
    if isinstance(value, list | tuple | set | dict):
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) not in _PLAIN:
                _add_held(item, found)
    elif isinstance(value, Variable | SeedGenerator) or is_layer(value) or is_metric(value):
        found.append(value)


def is_layer(value: Any) -> bool:
    """Whether the value is a `Layer`; layers say so in a class attribute."""
    return getattr(type(value), "_is_layer", False)


def is_metric(value: Any) -> bool:
    """Whether the value is a `Metric`, by what it can do."""
    return hasattr(type(value), "update_state") and hasattr(type(value), "result")


def unique(items: Iterable[Any]) -> list[Any]:
    """The items in order, each object once."""
    return list({id(item): item for item in items}.values())


def variables_in(items: Iterable[Any]) -> list[Variable]:
    """The variables among what a layer holds, those made to be trained first, as in Keras."""
    found = unique(item for item in items if isinstance(item, Variable))
    return sorted(found, key=lambda v: not v.trainable_from_start)


def seed_generators_in(items: Iterable[Any]) -> list[SeedGenerator]:
    """The seed generators among what a layer holds."""
    return unique(item for item in items if isinstance(item, SeedGenerator))


def layers_in(items: Iterable[Any]) -> list[Any]:
    """The layers among what a layer holds."""
    return unique(item for item in items if is_layer(item))


def metrics_in(items: Iterable[Any]) -> list[Any]:
    """The metrics among what a layer holds."""
    return unique(item for item in items if is_metric(item))
