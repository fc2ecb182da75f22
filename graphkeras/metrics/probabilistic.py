"""Means of the losses between distributions."""

from __future__ import annotations

from graphkeras.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from graphkeras.metrics.reduction import BuiltinMetric


class KLDivergence(BuiltinMetric):
    """Mean divergence of predictions from labels; see `losses.kl_divergence`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "kl_divergence",
        dtype: str | None = None,
    ) -> None:
        super().__init__(kl_divergence, name, dtype)


class Poisson(BuiltinMetric):
    """Mean Poisson loss; see `losses.poisson`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(
        self,
        name: str | None = "poisson",
        dtype: str | None = None,
    ) -> None:
        super().__init__(poisson, name, dtype)


class BinaryCrossentropy(BuiltinMetric):
    """Mean crossentropy of yes-or-no labels; see `losses.binary_crossentropy`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards 0.5 by this fraction.
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(BuiltinMetric):
    """Mean crossentropy with one-hot labels; see `losses.categorical_crossentropy`.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        from_logits: Whether predictions are logits rather than probabilities.
        label_smoothing: Moves the labels towards the uniform distribution by this fraction.
        axis: Axis of the classes.
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class SparseCategoricalCrossentropy(BuiltinMetric):
    """Mean crossentropy with class numbers; see the loss of that name.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_class: Samples of this class number count as 0.
        axis: Axis of the classes.
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
