"""Embedding: integers to vectors."""

from __future__ import annotations

from typing import Any

from graphkeras import ops, regularizers
from graphkeras.layers.arguments import Shape, TensorLike, refuse, whole_number
from graphkeras.layers.layer import Layer
from graphkeras.layers.weight_options import (
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.places import warn
from graphkeras.variables import Variable


class Embedding(Layer):
    """Replaces each integer by a row of a trainable table.

    Args:
        input_dim: Number of rows: the largest integer plus one.
        output_dim: Size of the vectors.
        embeddings_initializer: Initialiser of the table. Default `"uniform"` (-0.05 to 0.05).
        embeddings_regularizer: Penalty on the table. Default `None`.
        embeddings_constraint: Projection of the table after each update. Default `None`.
        mask_zero: Whether 0 is padding that later layers mask out. Default `False`.
        weights: The table to start from, or a list that holds it. Default `None`.
        lora_rank: Not supported, must be `None`.
        lora_alpha: Not supported, must be `None`.
        quantization_config: Not supported, must be `None`.
        **kwargs: The arguments of every layer; a deprecated `input_length` is ignored.

    Weights: `embeddings (input_dim, output_dim)`.
    Input: integers (other dtypes are cast to int32) of any shape.
    Output shape: `(*input_shape, output_dim)`.

    Raises:
        ValueError: `input_dim` or `output_dim` is not a positive integer, or an unsupported
            option is set.
    """

    embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **kwargs: Any,
    ) -> None:
        layer = type(self).__name__
        input_dim = whole_number(input_dim, "input_dim", layer)
        output_dim = whole_number(output_dim, "output_dim", layer)
        refuse(
            layer,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            quantization_config=quantization_config,
        )
        if kwargs.pop("input_length", None) is not None:
            warn(f"{layer}: `input_length` is deprecated and has no effect. Just remove it.")
        super().__init__(**{"autocast": False, **kwargs})
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        set_weight_options(
            self,
            "embeddings",
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
        )
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, (list, tuple)) else [weights])

    def build(self, input_shape: Shape | None = None) -> None:
        """Makes the table; the input shape does not matter."""
        if not self.built:
            shape = (self.input_dim, self.output_dim)
            self.embeddings = make_weight(self, "embeddings", shape)
            self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rows that `inputs` name."""
        if inputs.dtype not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        return ops.cast(ops.take(self.embeddings, inputs, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: TensorLike, previous_mask: TensorLike = None) -> TensorLike:
        """True where the input is not 0, or `None` without `mask_zero`."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`(*input_shape, output_dim)`."""
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments, without `weights`."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            **weight_options_config(self, "embeddings"),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "mask_zero": self.mask_zero,
            "quantization_config": None,
        }
