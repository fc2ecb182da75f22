"""Metrics that sum or average values, and the wrapper that makes a function into a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from graphkeras import losses, ops
from graphkeras.losses.reduction import apply_mask, get_mask, squeeze_or_expand_to_same_rank
from graphkeras.metrics.metric import Metric, at_once


def reduce_to_samplewise_values(
    values: Any, sample_weight: Any, reduce_fn: Callable[..., Any], dtype: str
) -> tuple[Any, Any]:
    """Weights values and reduces them, and the weights, to one a sample.

    Args:
        values: Values of shape `(batch, ...)`, or a scalar.
        sample_weight: Weights with the shape of `values` or of its first axes, or None.
        reduce_fn: `ops.mean` or `ops.sum`.
        dtype: Dtype of the results.

    Returns:
        Weighted values of rank at most 1, and their weights, or None.
    """
    mask = get_mask(values)
    values = ops.cast(values, dtype)
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(sample_weight, dtype=dtype)
        sample_weight = apply_mask(sample_weight, mask, dtype, "sum")
        values, sample_weight = squeeze_or_expand_to_same_rank(values, sample_weight)
        rank = len(sample_weight.shape)
        if len(values.shape) > rank:
            values = reduce_fn(values, axis=tuple(range(rank, len(values.shape))))
        sample_weight = ops.broadcast_to(sample_weight, ops.shape(values))
        values = values * sample_weight
        if rank > 1:
            sample_weight = reduce_fn(sample_weight, axis=tuple(range(1, rank)))
    if len(values.shape) > 1:
        values = reduce_fn(values, axis=tuple(range(1, len(values.shape))))
    return values, sample_weight


class Sum(Metric):
    """The weighted sum of values.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(self, name: str | None = "sum", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")

    @at_once
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values.

        Args:
            values: Values of shape `(batch, ...)`, or a scalar.
            sample_weight: Weights with the shape of `values` or of its first axes.
        """
        values, _ = reduce_to_samplewise_values(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    @at_once
    def result(self) -> Any:
        """The sum so far, a scalar."""
        return ops.convert_to_tensor(self.total)


class Mean(Metric):
    """The weighted mean of values; 0 before the first one.

    Args:
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
    """

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")
        self.count = self.add_variable((), "zeros", self.dtype, name="count")

    @at_once
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Takes values into the mean.

        Args:
            values: Values of shape `(batch, ...)`, or a scalar.
            sample_weight: Weights with the shape of `values` or of its first axes.
        """
        values, sample_weight = reduce_to_samplewise_values(
            values, sample_weight, ops.mean, self.dtype
        )
        self.total.assign_add(ops.sum(values))
        if sample_weight is not None:
            count = ops.sum(sample_weight)
        else:
            count = ops.cast(ops.shape(values)[0] if values.shape else 1, self.dtype)
        self.count.assign_add(count)

    @at_once
    def result(self) -> Any:
        """The mean so far, a scalar."""
        return ops.divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of a function of labels and predictions.

    Args:
        fn: `fn(y_true, y_pred, **kwargs)` returning one value a sample.
        name: Name of the metric.
        dtype: Dtype of the computation; `config.floatx()` by default.
        **kwargs: Further arguments of `fn`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if self._direction is None and losses.is_loss(fn):
            self._direction = "down"

    @at_once
    def update_state(  # type: ignore[override]  # Keras's signatures
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Takes a batch into the mean.

        Args:
            y_true: Labels.
            y_pred: Predictions; a mask on them leaves values out.
            sample_weight: Weights with the shape of the function's values or its first axes.
        """
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        sample_weight = apply_mask(sample_weight, get_mask(y_pred), self.dtype, "sum")
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again, with the function's name."""
        from graphkeras import metrics

        fn = metrics.functions.serialize(self._fn)
        return {**super().get_config(), "fn": fn, **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A metric with the arguments `get_config` returned."""
        from graphkeras import metrics

        config = dict(config)
        if "fn" in config:
            config["fn"] = metrics.functions.deserialize(config["fn"])
        return cls(**config)


class BuiltinMetric(MeanMetricWrapper):
    """A metric whose class fixes the function, so that its config holds the arguments alone."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this metric again."""
        return {**Metric.get_config(self), **self._fn_kwargs}
