"""Where a functional model begins: `Input`, and the layer behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras.layers.layer import Layer
from graphkeras.places import user_place
from graphkeras.trace import CallNode, KerasTensor


class InputLayer(Layer):
    """Holds the shape, dtype and name of a model's input.

    Args:
        shape: shape of a sample, without the batch size.
        batch_size: batch size, unknown by default.
        dtype: dtype name, floatx by default.
        batch_shape: shape with the batch size, in the place of `shape`.
        name: name; made up by default.

    Raises:
        ValueError: where both shapes are given, or none, or a size is no positive integer.
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if sparse or ragged:
            raise ValueError("Input: sparse and ragged tensors are not supported")
        if "input_shape" in kwargs and shape is None:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs and batch_shape is None:
            batch_shape = kwargs.pop("batch_input_shape")
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.batch_shape = _batch_shape(shape, batch_size, batch_shape, input_tensor)
        self.optional = optional
        if input_tensor is not None:
            self._dtype = input_tensor.dtype
        self.built = True
        node = CallNode(self, (), {}, user_place(skip=2))
        tensor = input_tensor
        if tensor is None:
            tensor = KerasTensor(self.batch_shape, self._dtype, name=self.name)
        tensor.node, tensor.index = node, 0
        node.outputs = tensor
        self._inbound_nodes.append(node)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Input layers are not called. Raises `NotImplementedError`."""
        raise NotImplementedError(f"the input layer {self.name!r} cannot be called")

    @property
    def input(self) -> Any:
        """The symbolic tensor of the input."""
        return self.output

    def get_config(self) -> dict[str, Any]:
        """Shape, dtype and name."""
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
        }


def _batch_shape(
    shape: Any, batch_size: int | None, batch_shape: Any, tensor: KerasTensor | None
) -> tuple[int | None, ...]:
    if tensor is not None:
        return tensor.shape
    if shape is not None and batch_shape is not None:
        raise ValueError("Input: give either `shape` or `batch_shape`, not both")
    if shape is None and batch_shape is None:
        raise ValueError("Input: `shape` is missing, such as shape=(784,)")
    if shape is not None:
        if isinstance(shape, int):
            raise ValueError(
                f"Input: `shape` must be a tuple of sizes, received {shape!r}. "
                f"Did you mean shape=({shape},)?"
            )
        batch_shape = (batch_size, *shape)
    for size in batch_shape:
        if size is not None and (isinstance(size, bool) or int(size) != size or size < 0):
            raise ValueError(
                f"Cannot convert {tuple(batch_shape)!r} to a shape: sizes must be positive "
                "integers, or None where unknown"
            )
    return tuple(None if size is None else int(size) for size in batch_shape)


def Input(  # noqa: N802
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> KerasTensor:
    """The symbolic tensor a functional model begins with.

    Args:
        shape: shape of a sample, without the batch size: `(28, 28, 1)`.
        batch_size: batch size, unknown by default.
        dtype: dtype name, floatx by default.
        sparse: must be false; there are no sparse tensors.
        batch_shape: shape with the batch size, in the place of `shape`.
        name: name of the input, for data given as a dict.
        tensor: an existing symbolic tensor to take as input.
        optional: whether data may be None.
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        batch_shape=batch_shape,
        name=name,
        input_tensor=tensor,
        optional=optional,
    )
    result: KerasTensor = layer.output
    return result
