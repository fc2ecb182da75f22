"""Layers that are active only in training: noise and dropout, and activity penalties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphkeras import ops, random, regularizers
from graphkeras.layers.arguments import (
    TensorLike,
    standard_data_format,
    unit_interval,
    whole_number,
)
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.same_shape import SameShapeLayer


class Dropout(SameShapeLayer):
    """Sets a random fraction of the inputs to zero in training (Srivastava et al., 2014).

    The kept inputs are multiplied by `1 / (1 - rate)`, so that the expected sum stays the same.
    At inference the inputs pass unchanged.

    Args:
        rate: The fraction to drop, between 0 and 1.
        noise_shape: Shape of the random mask, broadcast over the inputs; `None` entries are
            those of the input. Default `None`: every element is dropped on its own.
        seed: Integer seed. Default `None`: a random one.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `rate` is not between 0 and 1, or `noise_shape` is no shape.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        layer = type(self).__name__
        self.rate = unit_interval(rate, "rate", layer)
        self.seed = seed
        self.noise_shape = _noise_shape(noise_shape, layer)
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, in training with a random part set to zero."""
        if not training or self.seed_generator is None:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        return random.dropout(
            inputs,
            self.rate,
            noise_shape=self.noise_shape_of(inputs),
            seed=self.seed_generator,
        )

    def noise_shape_of(self, inputs: TensorLike) -> tuple[Any, ...] | None:
        """The shape of the random mask; `None` stands for sizes, or the shape, of the inputs."""
        if self.noise_shape is not None and len(self.noise_shape) != len(inputs.shape):
            raise ValueError(
                f"Layer '{self.name}': `noise_shape` must have as many entries as the inputs "
                f"have dimensions. Received: noise_shape={self.noise_shape}, "
                f"inputs.shape={tuple(inputs.shape)}."
            )
        return self.noise_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": self.noise_shape,
        }


class SpatialDropout1D(Dropout):
    """Drops whole channels of sequences `(batch, steps, channels)` (Tompson et al., 2015).

    Args:
        rate: The fraction of channels to drop, between 0 and 1.
        seed: Integer seed. Default `None`.
        name: Name of the layer.
        dtype: Dtype of the layer.
        **kwargs: The other arguments of every layer.
    """

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def noise_shape_of(self, inputs: TensorLike) -> tuple[Any, ...]:
        """One draw for each sample and channel."""
        batch, _, channels = ops.shape(inputs)
        return (batch, 1, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        config = super().get_config()
        del config["noise_shape"]
        return config


class SpatialDropout2D(Dropout):
    """Drops whole channels of images `(batch, rows, columns, channels)` (Tompson et al., 2015).

    Args:
        rate: The fraction of channels to drop, between 0 and 1.
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        seed: Integer seed. Default `None`.
        name: Name of the layer.
        dtype: Dtype of the layer.
        **kwargs: The other arguments of every layer.
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = standard_data_format(data_format, type(self).__name__)
        self.input_spec = InputSpec(ndim=4)

    def noise_shape_of(self, inputs: TensorLike) -> tuple[Any, ...]:
        """One draw for each sample and channel."""
        sizes = ops.shape(inputs)
        if self.data_format == "channels_last":
            return (sizes[0], 1, 1, sizes[3])
        return (sizes[0], sizes[1], 1, 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        config = {**super().get_config(), "data_format": self.data_format}
        del config["noise_shape"]
        return config


class GaussianNoise(SameShapeLayer):
    """Adds normal noise with mean 0 in training.

    Args:
        stddev: Standard deviation of the noise, between 0 and 1.
        seed: Integer seed. Default `None`.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `stddev` is not between 0 and 1.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = unit_interval(stddev, "stddev", type(self).__name__)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if stddev > 0 else None

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, in training with noise added."""
        if not training or self.seed_generator is None:
            return inputs
        noise = random.normal(
            ops.shape(inputs),
            mean=0.0,
            stddev=self.stddev,
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )
        return ops.add(inputs, noise)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(SameShapeLayer):
    """Multiplies by normal noise with mean 1 in training (Srivastava et al., 2014).

    The standard deviation is `sqrt(rate / (1 - rate))`, that of dropout with the same rate.

    Args:
        rate: The dropout rate to imitate, at least 0 and below 1.
        seed: Integer seed. Default `None`.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: `rate` is not at least 0 and below 1.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = unit_interval(rate, "rate", type(self).__name__)
        if rate == 1:
            raise ValueError("GaussianDropout: `rate` must be below 1. Received: rate=1.")
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, in training multiplied by noise."""
        if not training or self.seed_generator is None:
            return inputs
        noise = random.normal(
            ops.shape(inputs),
            mean=1.0,
            stddev=math.sqrt(self.rate / (1.0 - self.rate)),
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )
        return ops.multiply(inputs, noise)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class ActivityRegularization(SameShapeLayer):
    """Passes its input on and adds `l1 * sum(|x|) + l2 * sum(x^2)` to the loss.

    Args:
        l1: Factor of the absolute values. Default 0.0.
        l2: Factor of the squares. Default 0.0.
        **kwargs: The arguments of every layer.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: TensorLike) -> TensorLike:
        """`inputs`."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {**config, "l1": self.l1, "l2": self.l2}


def _noise_shape(value: Any, layer: str) -> tuple[int | None, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise ValueError(
            f"{layer}: `noise_shape` must be a tuple of integers or None entries. "
            f"Received: noise_shape={value!r}."
        )
    return tuple(None if n is None else whole_number(n, "noise_shape", layer) for n in value)
