"""`keras.regularizers`: penalties on weights and outputs that are added to the loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphkeras import ops
from graphkeras.registry import Registry


class Regularizer:
    """Base class. Subclasses define `__call__(x)`, which returns a scalar, and `get_config`."""

    def __call__(self, x: Any) -> Any:
        """The penalty of a tensor."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal regularizer."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_config()")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """A regularizer like the one the config is of."""
        return cls(**config)


def _checked(name: str, value: Any) -> float:
    number = 0.0 if value is None else value
    valid = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not valid or math.isnan(number) or math.isinf(number) or number < 0:
        raise ValueError(f"{name} must be a finite number of 0 or more, received {name}={value!r}")
    return float(number)


class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x ** 2)`.

    Args:
        l1: factor of the absolute values.
        l2: factor of the squares.

    Raises:
        ValueError: for a factor that is negative or no number.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _checked("l1", l1)
        self.l2 = _checked("l2", l2)

    def __call__(self, x: Any) -> Any:
        """The penalty of a tensor, a scalar."""
        penalty: Any = 0.0
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty

    def get_config(self) -> dict[str, Any]:
        """Both factors."""
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """`l1 * sum(|x|)`.

    Args:
        l1: factor.
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _checked("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> Any:
        """The penalty of a tensor, a scalar."""
        return self.l1 * ops.sum(ops.absolute(x))

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l1": self.l1}


class L2(Regularizer):
    """`l2 * sum(x ** 2)`.

    Args:
        l2: factor.
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _checked("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        """The penalty of a tensor, a scalar."""
        return self.l2 * ops.sum(ops.square(x))

    def get_config(self) -> dict[str, Any]:
        """The factor."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """Penalises rows (or columns) of a matrix that are not orthogonal to each other.

    Args:
        factor: strength.
        mode: `"rows"` or `"columns"`.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be 'rows' or 'columns', received {mode!r}")
        self.factor = _checked("factor", factor)
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        """The penalty of a matrix, a scalar. Raises `ValueError` for another rank."""
        if len(x.shape) != 2:
            raise ValueError(
                f"OrthogonalRegularizer works on matrices, received shape {tuple(x.shape)}"
            )
        rows = self.mode == "rows"
        size = x.shape[0] if rows else x.shape[1]
        unit = ops.normalize(x, axis=1 if rows else 0)
        products = ops.matmul(unit, ops.transpose(unit))
        if not rows:
            products = ops.matmul(ops.transpose(unit), unit)
        beside = ops.absolute(products * (1.0 - ops.eye(size)))
        pairs = size * (size - 1) / 2.0
        return self.factor * 0.5 * ops.sum(beside) / pairs

    def get_config(self) -> dict[str, Any]:
        """Factor and mode."""
        return {"factor": self.factor, "mode": self.mode}


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_registry = Registry(
    "regularizer",
    "keras.regularizers",
    {
        "l1": L1,
        "l2": L2,
        "l1_l2": L1L2,
        "orthogonal_regularizer": OrthogonalRegularizer,
        "L1": L1,
        "L2": L2,
        "L1L2": L1L2,
        "OrthogonalRegularizer": OrthogonalRegularizer,
    },
)


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The regularizer a name, config, class or function stands for; None for None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
    """
    found: Callable[[Any], Any] | None = _registry.get(identifier)
    return found


def serialize(regularizer: Any) -> Any:
    """The config of a regularizer."""
    return _registry.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer of a config."""
    return _registry.deserialize(config, custom_objects)
