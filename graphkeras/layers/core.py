"""Layers that fit no family: Dense, Identity, Lambda, Masking."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from graphkeras import activations, ops
from graphkeras.layers.arguments import Shape, TensorLike, refuse, whole_number
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer
from graphkeras.layers.same_shape import SameShapeLayer
from graphkeras.layers.weight_options import (
    known_size,
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.variables import Variable


class Dense(Layer):
    """A fully connected layer: `activation(inputs @ kernel + bias)`.

    Works on the last axis of an input of any rank of at least two.

    Args:
        units: Number of outputs, a positive integer.
        activation: Activation function or its name. `None` (the default) is linear.
        use_bias: Whether to add a bias. Default `True`.
        kernel_initializer: Initialiser of the kernel. Default `"glorot_uniform"`.
        bias_initializer: Initialiser of the bias. Default `"zeros"`.
        kernel_regularizer: Penalty on the kernel. Default `None`.
        bias_regularizer: Penalty on the bias. Default `None`.
        activity_regularizer: Penalty on the output. Default `None`.
        kernel_constraint: Projection of the kernel after each update. Default `None`.
        bias_constraint: Projection of the bias after each update. Default `None`.
        lora_rank: Not supported, must be `None`.
        lora_alpha: Not supported, must be `None`.
        quantization_config: Not supported, must be `None`.
        **kwargs: `name`, `dtype`, `trainable` and the other arguments of every layer.

    Weights: `kernel (input_dim, units)`, `bias (units,)`.
    Input shape: `(batch, ..., input_dim)`. Output shape: `(batch, ..., units)`.

    Raises:
        ValueError: `units` is not a positive integer, an unsupported option is set, or (when
            built) the last dimension of the input is unknown.
    """

    kernel: Variable
    bias: Variable | None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **kwargs: Any,
    ) -> None:
        units = whole_number(units, "units", type(self).__name__)
        refuse(
            type(self).__name__,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            quantization_config=quantization_config,
        )
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        set_weight_options(
            self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint
        )
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Makes the kernel and the bias for inputs of `input_shape`."""
        size = known_size(self, input_shape, -1)
        self.kernel = make_weight(self, "kernel", (size, self.units))
        self.bias = make_weight(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """`activation(inputs @ kernel + bias)`."""
        x = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`input_shape` with `units` as its last dimension."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **weight_options_config(self, "kernel", "bias"),
            "quantization_config": None,
        }


class Identity(SameShapeLayer):
    """Returns its input unchanged."""

    def call(self, inputs: TensorLike) -> TensorLike:
        """`inputs`."""
        return inputs


class Lambda(Layer):
    """Wraps a function of tensors as a layer.

    The function must be written with `keras.ops`. It must not make variables: a layer that has
    weights is written as a subclass of `Layer`.

    The config holds the function object itself. `from_config` therefore works inside one
    process, and no code is ever stored or loaded.

    Args:
        function: Called as `function(inputs, **arguments)`. If it has parameters `training` or
            `mask`, it gets these as well.
        output_shape: Shape without the batch dimension, or a function of the input shape.
            `None` (the default) traces the function.
        mask: The output mask, or a function `(inputs, mask) -> mask`. Default `None`.
        arguments: Further keyword arguments for `function`. Default `None`.
        **kwargs: The arguments of every layer.

    Raises:
        TypeError: `function` is not callable.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(function):
            raise TypeError(
                f"Lambda: `function` must be callable. Received: function={function!r} "
                f"(of type {type(function).__name__})."
            )
        super().__init__(**kwargs)
        self.function = function
        self.arguments = dict(arguments or {})
        self.mask = mask
        self.supports_masking = mask is not None
        self._output_shape = output_shape
        parameters = _parameter_names(function)
        self._takes_training = "training" in parameters
        self._takes_mask = "mask" in parameters
        self.built = True

    def call(
        self, inputs: TensorLike, mask: TensorLike = None, training: bool | None = None
    ) -> TensorLike:
        """`function(inputs, **arguments)`."""
        arguments = dict(self.arguments)
        if self._takes_mask:
            arguments["mask"] = mask
        if self._takes_training:
            arguments["training"] = training
        return self.function(inputs, **arguments)

    def compute_mask(self, inputs: TensorLike, previous_mask: TensorLike = None) -> TensorLike:
        """The `mask` of the constructor, called if it is a function."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The declared `output_shape` with the batch dimension; traced if none was declared."""
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        first = input_shape[0]
        batch = first[0] if isinstance(first, (tuple, list)) else first
        return (batch, *self._output_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments; `function` is the function object itself."""
        config = {
            **super().get_config(),
            "function": self.function,
            "arguments": dict(self.arguments),
        }
        if self._output_shape is not None:
            config["output_shape"] = self._output_shape
        if self.mask is not None:
            config["mask"] = self.mask
        return config


def _parameter_names(function: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # some callables written in C have no signature
        return set()


class Masking(SameShapeLayer):
    """Marks time steps whose features all equal `mask_value`, and sets them to zero.

    Layers after this one that support masking skip the marked steps.

    Args:
        mask_value: The value that stands for "no data". Default 0.0.
        **kwargs: The arguments of every layer.

    Input and output shape: `(batch, timesteps, features)`. Mask: `(batch, timesteps)`.
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs with masked steps set to zero."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.where(kept, inputs, ops.zeros_like(inputs))

    def compute_mask(self, inputs: TensorLike, previous_mask: TensorLike = None) -> TensorLike:
        """True for the steps that hold data."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "mask_value": self.mask_value}
