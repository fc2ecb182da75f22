"""Layers that change spatial sizes without arithmetic: zero padding, cropping, upsampling."""

from __future__ import annotations

from typing import Any, ClassVar

from graphkeras import ops
from graphkeras.layers.arguments import (
    Shape,
    TensorLike,
    one_of,
    pairs,
    standard_data_format,
    whole_number,
    whole_numbers,
)
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer

Amounts = tuple[tuple[int, int], ...]
"""For each spatial axis, how much is added or removed before and after."""


class SpatialLayer(Layer):
    """Base of the layers here: a known number of spatial axes and a data format."""

    rank: ClassVar[int]
    """Number of spatial dimensions."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format, type(self).__name__)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    @property
    def first_axis(self) -> int:
        """The first spatial axis."""
        return 1 if self.data_format == "channels_last" else 2

    def change_sizes(self, input_shape: Shape, amounts: Amounts, sign: int) -> Shape:
        """`input_shape` with the amounts added (`sign` 1) or taken away (-1)."""
        shape = list(input_shape)
        for axis, (before, after) in enumerate(amounts, self.first_axis):
            size = shape[axis]
            shape[axis] = None if size is None else size + sign * (before + after)
        return tuple(shape)


class ZeroPadding(SpatialLayer):
    """Base of `ZeroPadding1D` and `ZeroPadding2D`; subclasses set `amounts`."""

    amounts: Amounts

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs with zeros around them."""
        width = [(0, 0)] * len(inputs.shape)
        width[self.first_axis : self.first_axis + self.rank] = self.amounts
        return ops.pad(inputs, width)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with larger spatial sizes."""
        return self.change_sizes(input_shape, self.amounts, 1)


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after sequences `(batch, steps, channels)`.

    Args:
        padding: An int for both sides or a pair (before, after). Default 1.
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad or negative padding.
    """

    rank = 1

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        before, after = whole_numbers(padding, 2, "padding", type(self).__name__, minimum=0)
        self.padding = (before, after)
        self.amounts = (self.padding,)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "padding": self.padding,
            "data_format": self.data_format,
        }


class ZeroPadding2D(ZeroPadding):
    """Zeros around images `(batch, rows, columns, channels)`.

    Args:
        padding: An int for all sides, a pair (rows, columns), or a pair of pairs
            ((top, bottom), (left, right)). Default 1.
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad or negative padding.
    """

    rank = 2

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = pairs(padding, "padding", type(self).__name__)
        self.amounts = self.padding

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "padding": self.padding,
            "data_format": self.data_format,
        }


class Cropping(SpatialLayer):
    """Base of `Cropping1D` and `Cropping2D`; subclasses set `amounts`."""

    amounts: Amounts

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inner part of the inputs."""
        self.compute_output_shape(inputs.shape)
        index: list[slice] = [slice(None)] * len(inputs.shape)
        for axis, (before, after) in enumerate(self.amounts, self.first_axis):
            index[axis] = slice(before, -after if after else None)
        return inputs[tuple(index)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with smaller spatial sizes."""
        shape = self.change_sizes(input_shape, self.amounts, -1)
        if any(size is not None and size <= 0 for size in shape[1:]):
            raise ValueError(
                f"Layer '{self.name}': `cropping` must leave at least one position on every "
                f"axis. Received: input_shape={tuple(input_shape)}, cropping={self.amounts}, "
                f"data_format='{self.data_format}'."
            )
        return shape


class Cropping1D(Cropping):
    """Removes steps at both ends of sequences `(batch, steps, channels)`.

    Args:
        cropping: An int for both ends or a pair (start, end). Default (1, 1).
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad or negative cropping, or (when called) nothing is left.
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__("channels_last", **kwargs)
        start, end = whole_numbers(cropping, 2, "cropping", type(self).__name__, minimum=0)
        self.cropping = (start, end)
        self.amounts = (self.cropping,)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "cropping": self.cropping}


class Cropping2D(Cropping):
    """Removes rows and columns at the edges of images `(batch, rows, columns, channels)`.

    Args:
        cropping: An int for all edges, a pair (rows, columns), or a pair of pairs
            ((top, bottom), (left, right)). Default ((0, 0), (0, 0)).
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad or negative cropping, or (when called) nothing is left.
    """

    rank = 2

    def __init__(
        self,
        cropping: Any = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping = pairs(cropping, "cropping", type(self).__name__)
        self.amounts = self.cropping

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "cropping": self.cropping,
            "data_format": self.data_format,
        }


class UpSampling(SpatialLayer):
    """Base of `UpSampling1D` and `UpSampling2D`; subclasses set `factors`."""

    factors: tuple[int, ...]

    def call(self, inputs: TensorLike) -> TensorLike:
        """Every position repeated along each spatial axis."""
        for axis, factor in enumerate(self.factors, self.first_axis):
            inputs = ops.repeat(inputs, factor, axis=axis)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with multiplied spatial sizes."""
        shape = list(input_shape)
        for axis, factor in enumerate(self.factors, self.first_axis):
            size = shape[axis]
            shape[axis] = None if size is None else size * factor
        return tuple(shape)


class UpSampling1D(UpSampling):
    """Repeats every step of sequences `(batch, steps, channels)`.

    Args:
        size: How often, a positive integer. Default 2.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `size` is not a positive integer.
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__("channels_last", **kwargs)
        self.size = whole_number(size, "size", type(self).__name__)
        self.factors = (self.size,)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "size": self.size}


class UpSampling2D(UpSampling):
    """Enlarges images `(batch, rows, columns, channels)` by repeating rows and columns.

    Args:
        size: Factors for rows and columns, or one int for both. Default 2.
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        interpolation: Only `"nearest"` (the default) is supported.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad size, or an interpolation other than `"nearest"`.
    """

    rank = 2

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        layer = type(self).__name__
        self.size = whole_numbers(size, 2, "size", layer)
        self.factors = self.size
        self.interpolation = one_of(interpolation, ("nearest",), "interpolation", layer)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "data_format": self.data_format,
            "interpolation": self.interpolation,
        }
