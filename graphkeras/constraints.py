"""`keras.constraints`: what an optimizer makes weights satisfy after each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphkeras import ops
from graphkeras.config import epsilon
from graphkeras.registry import Registry

Axes = int | Sequence[int]


class Constraint:
    """Base class. Subclasses define `__call__(w)`, which returns the projected weights."""

    def __call__(self, w: Any) -> Any:
        """The weights, projected."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, w)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """A constraint like the one the config is of."""
        return cls(**config)


def _length(w: Any, axis: Axes) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


class MaxNorm(Constraint):
    """Vectors no longer than a bound.

    Args:
        max_value: the bound.
        axis: axes along which a vector lies; 0 fits the kernel of Dense.
    """

    def __init__(self, max_value: float = 2, axis: Axes = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weights with long vectors shortened."""
        length = _length(w, self.axis)
        wanted = ops.clip(length, 0, self.max_value)
        return w * (wanted / (epsilon() + length))

    def get_config(self) -> dict[str, Any]:
        """Bound and axis."""
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """No negative weights."""

    def __call__(self, w: Any) -> Any:
        """The weights with 0 for the negative ones."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Vectors of length 1.

    Args:
        axis: axes along which a vector lies.
    """

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weights with vectors scaled to length 1."""
        return w / (epsilon() + _length(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        """The axis."""
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Vectors whose length is drawn towards a range.

    Args:
        min_value: smallest length.
        max_value: largest length.
        rate: how far to go towards the range; 1 goes all the way.
        axis: axes along which a vector lies.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axes = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        """The weights with vectors scaled towards the range."""
        length = _length(w, self.axis)
        inside = ops.clip(length, self.min_value, self.max_value)
        wanted = self.rate * inside + (1.0 - self.rate) * length
        return w * (wanted / (epsilon() + length))

    def get_config(self) -> dict[str, Any]:
        """Range, rate and axis."""
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm

_registry = Registry(
    "constraint",
    "keras.constraints",
    {
        "max_norm": MaxNorm,
        "non_neg": NonNeg,
        "unit_norm": UnitNorm,
        "min_max_norm": MinMaxNorm,
        "MaxNorm": MaxNorm,
        "NonNeg": NonNeg,
        "UnitNorm": UnitNorm,
        "MinMaxNorm": MinMaxNorm,
    },
)


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The constraint a name, config, class or function stands for; None for None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    found: Callable[[Any], Any] | None = _registry.get(identifier)
    return found


def serialize(constraint: Any) -> Any:
    """The config of a constraint."""
    return _registry.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint of a config."""
    return _registry.deserialize(config, custom_objects)
