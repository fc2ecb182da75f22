"""The base of layers without weights whose output has the shape of their input."""

from __future__ import annotations

from typing import Any

from graphkeras.layers.arguments import Shape
from graphkeras.layers.layer import Layer


class SameShapeLayer(Layer):
    """A layer that is built at once, keeps the shape and passes masks on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`input_shape`."""
        return input_shape
