"""Which variables and layers belong to a layer: those its attributes hold.

Attributes are searched when somebody asks, not when they are set, so a list of layers may grow
after it was assigned::

    self.blocks = []
    self.blocks.append(Dense(8))      # found
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphkeras.random import SeedGenerator
from graphkeras.variables import Variable

HIDDEN = frozenset({"_inbound_nodes", "_losses", "_auto_config"})
"""Attributes of every layer that are bookkeeping; a class adds its own in `_untracked`."""


def held(owner: Any) -> Iterator[Any]:
    """The variables, seed generators, layers and metrics the attributes of `owner` hold."""
    skipped = HIDDEN | owner._untracked
    for name, value in vars(owner).items():
        if type(value) not in _PLAIN and name not in skipped:
            yield from _inside(value)


_PLAIN = frozenset({bool, int, float, str, type(None)})
"""What most attributes hold. Tested first: this runs for every attribute of every layer."""


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, (Variable, SeedGenerator)) or is_layer(value) or is_metric(value):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            if type(item) not in _PLAIN:
                yield from _inside(item)
    elif isinstance(value, dict):
        for item in value.values():
            if type(item) not in _PLAIN:
                yield from _inside(item)


def is_layer(value: Any) -> bool:
    """Whether the value is a `Layer`; layers say so in a class attribute."""
    return getattr(type(value), "_is_layer", False)


def is_metric(value: Any) -> bool:
    """Whether the value is a `Metric`, by what it can do."""
    return hasattr(type(value), "update_state") and hasattr(type(value), "result")


def unique(items: Iterable[Any]) -> list[Any]:
    """The items in order, each object once."""
    return list({id(item): item for item in items}.values())


def own_variables(owner: Any) -> list[Variable]:
    """Variables held directly, those made to be trained first, as Keras orders them."""
    found = unique(v for v in held(owner) if isinstance(v, Variable))
    return sorted(found, key=lambda v: not v.trainable_from_start)


def own_seed_generators(owner: Any) -> list[SeedGenerator]:
    """Seed generators held directly."""
    return unique(v for v in held(owner) if isinstance(v, SeedGenerator))


def own_layers(owner: Any) -> list[Any]:
    """Layers held directly."""
    return unique(v for v in held(owner) if is_layer(v))


def own_metrics(owner: Any) -> list[Any]:
    """Metrics held directly."""
    return unique(v for v in held(owner) if is_metric(v))
