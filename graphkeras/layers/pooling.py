"""Pooling: maxima and averages over windows or over all positions.

`Pooling` and `GlobalPooling` hold what all share; a concrete class says only how many spatial
dimensions there are and which operation is applied.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphkeras import ops
from graphkeras.layers import windows
from graphkeras.layers.arguments import (
    Shape,
    TensorLike,
    one_of,
    standard_data_format,
    whole_numbers,
)
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer


class Pooling(Layer):
    """Base of the pooling layers over windows.

    Args:
        pool_size: Size of the window, an int or one per spatial axis. Default 2.
        strides: Step of the window. `None` (the default) means `pool_size`.
        padding: `"valid"` (the default: windows lie inside the input) or `"same"` (the output
            has `ceil(input / stride)` positions; averages count only real positions).
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        name: Name of the layer.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad argument, or a window that does not fit into the input.
    """

    rank: ClassVar[int]
    """Number of spatial dimensions."""

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        layer = type(self).__name__
        self.pool_size = whole_numbers(pool_size, self.rank, "pool_size", layer)
        steps = self.pool_size if strides is None else strides
        self.strides = whole_numbers(steps, self.rank, "strides", layer)
        self.padding = one_of(padding, ("valid", "same"), "padding", layer)
        self.data_format = standard_data_format(data_format, layer)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with one position a window."""
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        return windows.output_shape(
            self.name,
            input_shape,
            channels,
            self.pool_size,
            self.strides,
            self.padding,
            self.data_format,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }


class MaxPooling(Pooling):
    """Base of `MaxPooling1D` and `MaxPooling2D`."""

    def call(self, inputs: TensorLike) -> TensorLike:
        """The maximum of each window."""
        self.compute_output_shape(inputs.shape)
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class AveragePooling(Pooling):
    """Base of `AveragePooling1D` and `AveragePooling2D`."""

    def call(self, inputs: TensorLike) -> TensorLike:
        """The average of each window."""
        self.compute_output_shape(inputs.shape)
        return ops.average_pool(
            inputs, self.pool_size, self.strides, self.padding, self.data_format
        )


class MaxPooling1D(MaxPooling):
    """Maximum over windows of sequences `(batch, steps, channels)`. See `Pooling`."""

    rank = 1


class MaxPooling2D(MaxPooling):
    """Maximum over windows of images `(batch, rows, columns, channels)`. See `Pooling`."""

    rank = 2


class AveragePooling1D(AveragePooling):
    """Average over windows of sequences `(batch, steps, channels)`. See `Pooling`."""

    rank = 1


class AveragePooling2D(AveragePooling):
    """Average over windows of images `(batch, rows, columns, channels)`. See `Pooling`."""

    rank = 2


class GlobalPooling(Layer):
    """Base of the pooling layers over all positions.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        keepdims: Whether the spatial dimensions stay, with size 1. Default `False`.
        **kwargs: The arguments of every layer.

    Output shape: `(batch, channels)`.
    """

    rank: ClassVar[int]
    """Number of spatial dimensions."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format, type(self).__name__)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes that are reduced."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, channels)`, with ones for the spatial dimensions if `keepdims`."""
        axes = self.spatial_axes
        if self.keepdims:
            return tuple(1 if axis in axes else size for axis, size in enumerate(input_shape))
        return tuple(size for axis, size in enumerate(input_shape) if axis not in axes)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


class GlobalMaxPooling(GlobalPooling):
    """Base of `GlobalMaxPooling1D` and `GlobalMaxPooling2D`."""

    def call(self, inputs: TensorLike) -> TensorLike:
        """The maximum over all positions."""
        return ops.max(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    """Maximum over all steps of `(batch, steps, channels)`. See `GlobalPooling`."""

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """Maximum over all pixels of `(batch, rows, columns, channels)`. See `GlobalPooling`."""

    rank = 2


class GlobalAveragePooling1D(GlobalPooling):
    """Average over the steps of `(batch, steps, channels)` that are not masked out.

    See `GlobalPooling` for the arguments.
    """

    rank = 1

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The average over all steps, or over those where `mask (batch, steps)` is true."""
        axes = self.spatial_axes
        if mask is None:
            return ops.mean(inputs, axis=axes, keepdims=self.keepdims)
        kept = ops.expand_dims(mask, 2 if self.data_format == "channels_last" else 1)
        kept = ops.cast(kept, "bool")
        total = ops.sum(
            ops.where(kept, inputs, ops.zeros_like(inputs)), axis=axes, keepdims=self.keepdims
        )
        count = ops.sum(ops.cast(kept, inputs.dtype), axis=axes, keepdims=self.keepdims)
        return ops.divide(total, count)

    def compute_mask(self, inputs: TensorLike, previous_mask: TensorLike = None) -> None:
        """`None`: there are no steps left to mask."""


class GlobalAveragePooling2D(GlobalPooling):
    """Average over all pixels of `(batch, rows, columns, channels)`. See `GlobalPooling`."""

    rank = 2

    def call(self, inputs: TensorLike) -> TensorLike:
        """The average over all positions."""
        return ops.mean(inputs, axis=self.spatial_axes, keepdims=self.keepdims)


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
