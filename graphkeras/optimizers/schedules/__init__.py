"""Learning rates that change with the step, with the names of `keras.optimizers.schedules`.

A schedule is called with the number of updates made so far. Inside the training graph that is a
tensor, so the learning rate is computed in the graph; called with a number, it computes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphkeras.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from graphkeras.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from graphkeras.optimizers.schedules.schedule import LearningRateSchedule
from graphkeras.registry import Registry

_CLASSES: tuple[type[LearningRateSchedule], ...] = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
_registry = Registry(
    "learning rate schedule",
    "keras.optimizers.schedules",
    {cls.__name__: cls for cls in _CLASSES},
)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """A dictionary from which `deserialize` makes the schedule again."""
    config: dict[str, Any] = _registry.serialize(learning_rate_schedule)
    return config


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Inverse of `serialize`.

    Args:
        config: What `serialize` returned.
        custom_objects: The user's own schedules by name.

    Raises:
        ValueError: If no schedule has that name.
    """
    return _registry.deserialize(config, custom_objects)


__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
