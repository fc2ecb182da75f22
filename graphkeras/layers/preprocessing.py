"""Preprocessing inside a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras import config, ops
from graphkeras.layers.arguments import TensorLike
from graphkeras.layers.same_shape import SameShapeLayer


class Rescaling(SameShapeLayer):
    """`inputs * scale + offset`, such as `Rescaling(1 / 255)` for images of bytes.

    Args:
        scale: A number, or one per channel.
        offset: A number, or one per channel. Default 0.0.
        **kwargs: The arguments of every layer.

    Integer inputs are cast to the dtype of the layer first.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = _plain(scale)
        self.offset = _plain(offset)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rescaled inputs."""
        dtype = self.compute_dtype
        scaled = ops.multiply(ops.cast(inputs, dtype), _per_channel(self.scale, dtype))
        return ops.add(scaled, _per_channel(self.offset, dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments; arrays as lists."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


def _plain(value: Any) -> Any:
    """Numbers as they are, arrays as (nested) lists."""
    return value if isinstance(value, (int, float)) else np.asarray(value).tolist()


def _per_channel(value: Any, dtype: str) -> Any:
    array = np.asarray(value, dtype)
    if array.ndim and config.image_data_format() == "channels_first":
        return array.reshape(array.shape + (1,) * (3 - array.ndim))
    return array
