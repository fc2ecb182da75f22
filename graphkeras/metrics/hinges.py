"""Means of the hinge losses."""

from __future__ import annotations

from graphkeras.losses import categorical_hinge, hinge, squared_hinge
from graphkeras.metrics.reduction import BuiltinMetric


class Hinge(BuiltinMetric):
    """Mean hinge loss; see `losses.hinge`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(hinge, name, dtype)


class SquaredHinge(BuiltinMetric):
    """Mean squared hinge loss; see `losses.squared_hinge`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "squared_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(squared_hinge, name, dtype)


class CategoricalHinge(BuiltinMetric):
    """Mean hinge loss over classes; see `losses.categorical_hinge`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "categorical_hinge",
        dtype: str | None = None,
    ) -> None:
        super().__init__(categorical_hinge, name, dtype)
