"""The bases of all losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from graphkeras import names, ops, tree
from graphkeras.config import floatx
from graphkeras.losses.reduction import (
    combine_masks,
    get_mask,
    reduce_weighted_values,
    squeeze_or_expand_to_same_rank,
    standardize_reduction,
)
from graphkeras.trace import run_eagerly


class Loss:
    """Base of losses. A subclass implements `call(y_true, y_pred)`.

    Args:
        name: Name of the loss; made from the class name by default.
        reduction: How the losses of the samples become one number: `"sum_over_batch_size"`
            (default) or `"mean"` divide their sum by their number, `"sum"` does not,
            `"mean_with_sample_weight"` divides by the sum of the sample weights, `"none"` or
            `None` leaves them as they are.
        dtype: Dtype of the computation; `config.floatx()` by default.

    Raises:
        ValueError: If `reduction` is none of these.

    Example:
        >>> class SquaredError(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ops.mean(ops.square(y_true - y_pred), axis=-1)
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: str | None = None,
    ) -> None:
        self.name = name or names.auto_name(type(self).__name__)
        self.reduction = standardize_reduction(reduction)
        self._dtype = str(np.dtype(dtype or floatx()))

    @property
    def dtype(self) -> str:
        """Dtype of the computation."""
        return self._dtype

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of predictions.

        Args:
            y_true: Labels, or a structure of them.
            y_pred: Predictions, or a structure of them; a mask on them leaves samples out.
            sample_weight: A weight for each value `call` returns, or for each sample.

        Returns:
            A scalar, or one value a sample where `reduction` is none.
        """
        return run_eagerly(self._compute, y_true, y_pred, sample_weight)

    def _compute(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        mask = get_mask(y_pred)
        losses = self.call(_convert(y_true, self.dtype), _convert(y_pred, self.dtype))
        mask = combine_masks(mask, get_mask(losses))
        return reduce_weighted_values(losses, sample_weight, mask, self.reduction, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses of the samples, before weights and reduction.

        Args:
            y_true: Labels as tensors of `dtype`.
            y_pred: Predictions as tensors of `dtype`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement call(y_true, y_pred).")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A loss with the arguments `get_config` returned."""
        return cls(**config)


class LossFunctionWrapper(Loss):
    """A loss made of a function.

    Args:
        fn: `fn(y_true, y_pred, **kwargs)` returning one value a sample.
        reduction: See `Loss`.
        name: Name of the loss.
        dtype: Dtype of the computation.
        **kwargs: Further arguments of `fn`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`fn` of the labels and predictions, brought to the same rank."""
        pairs = [
            squeeze_or_expand_to_same_rank(t, p)
            for t, p in zip(tree.leaves(y_true), tree.leaves(y_pred), strict=True)
        ]
        y_true = tree.pack(y_true, (t for t, _ in pairs))
        y_pred = tree.pack(y_pred, (p for _, p in pairs))
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again, with the function's name."""
        from graphkeras import losses

        return {**super().get_config(), "fn": losses.serialize(self.fn), **self._fn_kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A loss with the arguments `get_config` returned."""
        from graphkeras import losses

        config = dict(config)
        if "fn" in config:
            config["fn"] = losses.deserialize(config["fn"])
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.fn.__name__}, kwargs={self._fn_kwargs})>"


class BuiltinLoss(LossFunctionWrapper):
    """A loss whose class fixes the function, so that its config holds the arguments alone."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this loss again."""
        return {**Loss.get_config(self), **self._fn_kwargs}


def _convert(data: Any, dtype: str) -> Any:
    """Converts labels or predictions; a list of numbers is one tensor, not a structure."""
    if isinstance(data, list | tuple) and not any(
        getattr(leaf, "shape", ()) for leaf in tree.leaves(data)
    ):
        return ops.convert_to_tensor(data, dtype=dtype)
    return tree.map_structure(lambda leaf: ops.convert_to_tensor(leaf, dtype=dtype), data)
