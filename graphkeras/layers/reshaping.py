"""Layers that rearrange the elements of each sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphkeras import ops
from graphkeras.layers.arguments import (
    Shape,
    TensorLike,
    standard_data_format,
    whole_number,
)
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer


class Flatten(Layer):
    """Puts all features of a sample into one dimension.

    Args:
        data_format: With `"channels_first"` the channels are moved last before flattening, so
            that the order of features is the same for both formats. Default: the global setting.
        **kwargs: The arguments of every layer.

    Output shape: `(batch, product of the other sizes)`; `(batch, 1)` for inputs `(batch,)`.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format, type(self).__name__)
        self.input_spec = InputSpec(min_ndim=1)
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The flattened inputs."""
        rank = len(inputs.shape)
        if self.data_format == "channels_first" and rank > 2:
            inputs = ops.transpose(inputs, (0, *range(2, rank), 1))
        _, features = self.compute_output_shape(inputs.shape)
        return ops.reshape(inputs, (ops.shape(inputs)[0], -1 if features is None else features))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, features)`."""
        return (input_shape[0], _product(input_shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """Gives the features of a sample another shape.

    Args:
        target_shape: The new shape without the batch dimension; one entry may be -1 and is
            then computed.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `target_shape` has more than one -1 or other negative entries, or (when
            called) the number of elements does not fit.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        bad = [s for s in self.target_shape if not isinstance(s, int) or s < -1]
        if bad or self.target_shape.count(-1) > 1:
            raise ValueError(
                f"Reshape: `target_shape` must hold sizes that are not negative and at most one "
                f"-1. Received: target_shape={self.target_shape}."
            )
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The reshaped inputs."""
        target = self.compute_output_shape(inputs.shape)[1:]
        sizes = tuple(-1 if size is None else size for size in target)
        return ops.reshape(inputs, (ops.shape(inputs)[0], *sizes))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, *target_shape)` with -1 computed."""
        elements = _product(input_shape[1:])
        known = math.prod(size for size in self.target_shape if size != -1)
        if elements is None:
            return (input_shape[0], *(None if s == -1 else s for s in self.target_shape))
        if -1 in self.target_shape:
            fits = elements % known == 0 if known else elements == 0
        else:
            fits = elements == known
        if not fits:
            raise ValueError(
                f"Layer '{self.name}': a sample of shape {tuple(input_shape[1:])} has {elements} "
                f"elements, which cannot be arranged as target_shape={self.target_shape} "
                f"({'a multiple of ' if -1 in self.target_shape else ''}{known} elements)."
            )
        rest = elements // known if known else 0
        return (input_shape[0], *(rest if s == -1 else s for s in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """Reorders the dimensions of a sample.

    Args:
        dims: A permutation of `1, ..., n`: output dimension `i + 1` is input dimension
            `dims[i]`.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `dims` is no permutation of `1, ..., n`.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: `dims` must be a permutation of 1, ..., {len(self.dims)}; the batch "
                f"dimension 0 stays where it is. Received: dims={self.dims}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The transposed inputs."""
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The permuted shape."""
        return (input_shape[0], *(input_shape[dim] for dim in self.dims))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Repeats each vector `n` times: `(batch, features)` becomes `(batch, n, features)`.

    Args:
        n: How often, a positive integer.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `n` is not a positive integer.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = whole_number(n, "n", type(self).__name__)
        self.input_spec = InputSpec(ndim=2)
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The repeated inputs."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(batch, n, features)`."""
        return (input_shape[0], self.n, input_shape[1])

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "n": self.n}


def _product(sizes: Sequence[int | None]) -> int | None:
    """Number of elements, `None` if a size is unknown."""
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total
