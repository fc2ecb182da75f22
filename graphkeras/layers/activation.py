"""Activation functions as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import activations, ops
from graphkeras.layers.arguments import Shape, TensorLike
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer
from graphkeras.layers.same_shape import SameShapeLayer
from graphkeras.layers.weight_options import (
    known_size,
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.places import warn
from graphkeras.variables import Variable


class Activation(SameShapeLayer):
    """Applies an activation function.

    Args:
        activation: A function or the name of one, such as `"relu"`.
        **kwargs: The arguments of every layer.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: TensorLike) -> TensorLike:
        """`activation(inputs)`."""
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(SameShapeLayer):
    """Rectified linear unit: `x` above the threshold, a line of small slope below it.

    `f(x) = max_value` where `x >= max_value`, `x` where `threshold <= x < max_value`, and
    `negative_slope * (x - threshold)` elsewhere.

    Args:
        max_value: Upper limit of the output. Default `None`: no limit.
        negative_slope: Slope below the threshold. Default 0.0.
        threshold: Where the unit switches on. Default 0.0.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: an argument is negative.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None:
            _not_negative(max_value, "max_value", "ReLU")
        self.max_value = max_value
        self.negative_slope = _not_negative(negative_slope, "negative_slope", "ReLU")
        self.threshold = _not_negative(threshold, "threshold", "ReLU")

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rectified inputs."""
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(SameShapeLayer):
    """`x` where `x >= 0`, `negative_slope * x` elsewhere.

    Args:
        negative_slope: Slope of the negative side. Default 0.3.
        **kwargs: The arguments of every layer; `alpha` is the deprecated name of the slope.

    Raises:
        ValueError: `negative_slope` is negative.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warn("LeakyReLU: `alpha` is deprecated. Use `negative_slope` instead.")
        super().__init__(**kwargs)
        self.negative_slope = _not_negative(negative_slope, "negative_slope", "LeakyReLU")

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs with the negative side scaled."""
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}


class PReLU(Layer):
    """`x` where `x >= 0`, `alpha * x` elsewhere, with a trainable `alpha` (He et al., 2015).

    Args:
        alpha_initializer: Initialiser of `alpha`. Default `"Zeros"`.
        alpha_regularizer: Penalty on `alpha`. Default `None`.
        alpha_constraint: Projection of `alpha` after each update. Default `None`.
        shared_axes: Axes (counted from 1) along which one `alpha` is shared. Default `None`.
        **kwargs: The arguments of every layer.

    Weights: `alpha`, shaped like the input without its batch, 1 along the shared axes.

    Raises:
        ValueError: when built, if a size that is not shared is unknown.
    """

    alpha: Variable

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        set_weight_options(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        if shared_axes is None:
            self.shared_axes = None
        else:
            self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else [*shared_axes]

    def build(self, input_shape: Shape) -> None:
        """Makes `alpha`."""
        shared = self.shared_axes or ()
        own = {
            a: known_size(self, input_shape, a)
            for a in range(1, len(input_shape))
            if a not in shared
        }
        shape = [own.get(axis, 1) for axis in range(1, len(input_shape))]
        self.alpha = make_weight(self, "alpha", shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={**own})
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs with the negative side scaled by `alpha`."""
        negative = ops.multiply(ops.negative(self.alpha), activations.relu(ops.negative(inputs)))
        return ops.add(activations.relu(inputs), negative)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            **weight_options_config(self, "alpha"),
            "shared_axes": self.shared_axes,
        }


class ELU(SameShapeLayer):
    """`x` where `x > 0`, `alpha * (exp(x) - 1)` elsewhere (Clevert et al., 2015).

    Args:
        alpha: Limit of the negative side. Default 1.0.
        **kwargs: The arguments of every layer.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: TensorLike) -> TensorLike:
        """The activated inputs."""
        return activations.elu(inputs, alpha=self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(SameShapeLayer):
    """Exponentials scaled to sum to one along `axis`.

    Args:
        axis: The axis, or several that are normalised together. Default -1.
        **kwargs: The arguments of every layer.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The probabilities; positions where `mask` is false get 0."""
        if mask is not None:
            mask = ops.cast(mask, "bool")
            inputs = ops.where(mask, inputs, ops.cast(-1e9, inputs.dtype))
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        outputs = activations.softmax(inputs, axis=axis)
        return outputs if mask is None else ops.where(mask, outputs, ops.zeros_like(outputs))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "axis": self.axis}


def _not_negative(value: Any, name: str, layer: str) -> float:
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(
            f"{layer}: `{name}` must be a number that is not negative. Received: {name}={value!r}."
        )
    return value
