"""Normalisation over the batch and over features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import config, initializers, ops
from graphkeras.layers.arguments import Shape, TensorLike, refuse
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer
from graphkeras.layers.weight_options import (
    check_axes,
    known_size,
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.places import warn
from graphkeras.variables import Variable


class BatchNormalization(Layer):
    """Normalises each channel over the batch (Ioffe and Szegedy, 2015).

    In training the mean and the (biased) variance of the batch are used, and moving averages of
    them are kept: `moving = moving * momentum + batch * (1 - momentum)`. At inference, and also
    in training if the layer is not `trainable`, the moving averages are used and not changed.
    The output is `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Args:
        axis: The channel axis, whose entries are normalised separately. Default -1.
        momentum: Weight of the old moving average. Default 0.99.
        epsilon: Added to the variance. Default 1e-3.
        center: Whether to add `beta`. Default `True`.
        scale: Whether to multiply by `gamma`. Default `True`.
        beta_initializer: Default `"zeros"`.
        gamma_initializer: Default `"ones"`.
        moving_mean_initializer: Default `"zeros"`.
        moving_variance_initializer: Default `"ones"`.
        beta_regularizer: Default `None`.
        gamma_regularizer: Default `None`.
        beta_constraint: Default `None`.
        gamma_constraint: Default `None`.
        renorm: Not supported, must be `False`.
        renorm_clipping: Not supported, must be `None`.
        renorm_momentum: Without effect.
        synchronized: Not supported, must be `False`.
        **kwargs: The arguments of every layer.

    Weights, all of shape `(channels,)`: `gamma`, `beta`, and not trainable `moving_mean`,
    `moving_variance`. The output has the shape of the input.

    Raises:
        ValueError: an unsupported option, or (when built) a bad axis or unknown channels.
    """

    gamma: Variable | None
    beta: Variable | None
    moving_mean: Variable
    moving_variance: Variable

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse(
            type(self).__name__,
            renorm=renorm,
            renorm_clipping=renorm_clipping,
            synchronized=synchronized,
        )
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.renorm_momentum = renorm_momentum
        set_weight_options(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        set_weight_options(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Makes the weights, one entry a channel."""
        channels = known_size(self, input_shape, self.axis)
        shape = (channels,)
        self.gamma = make_weight(self, "gamma", shape) if self.scale else None
        self.beta = make_weight(self, "beta", shape) if self.center else None
        self.moving_mean = self.add_weight(
            shape=shape,
            initializer=self.moving_mean_initializer,
            trainable=False,
            name="moving_mean",
        )
        self.moving_variance = self.add_weight(
            shape=shape,
            initializer=self.moving_variance_initializer,
            trainable=False,
            name="moving_variance",
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self.built = True

    def call(
        self, inputs: TensorLike, training: bool | None = None, mask: TensorLike = None
    ) -> TensorLike:
        """The normalised inputs; positions where `mask` is false do not count as samples."""
        if training and self.trainable:
            mean, variance = self._moments(inputs, mask)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        return ops.batch_normalization(
            inputs,
            mean=mean,
            variance=variance,
            axis=self.axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )

    def _follow(self, moving: Variable, batch: TensorLike) -> None:
        moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))

    def _moments(self, inputs: TensorLike, mask: TensorLike) -> tuple[TensorLike, TensorLike]:
        rank = len(inputs.shape)
        axes = tuple(a for a in range(rank) if a != self.axis % rank)
        if mask is None:
            mean, variance = ops.moments(inputs, axes=axes)
            return mean, variance
        if len(mask.shape) != rank - 1:
            raise ValueError(
                f"Layer '{self.name}': the mask must have one dimension less than the inputs. "
                f"Received: mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}."
            )
        kept = ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        kept = ops.multiply(kept, ops.ones_like(inputs))
        count = ops.sum(kept, axis=axes, keepdims=True) + config.epsilon()
        mean = ops.sum(inputs * kept, axis=axes, keepdims=True) / count
        distance = ops.square((inputs - mean) * kept)
        variance = ops.sum(distance, axis=axes, keepdims=True) / count
        return ops.squeeze(mean, axis=axes), ops.squeeze(variance, axis=axes)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`input_shape`. Raises `ValueError` if it has no such axis."""
        check_axes(self, (self.axis,), input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            **weight_options_config(self, "beta", "gamma"),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": False,
            "renorm": False,
            "renorm_clipping": None,
            "renorm_momentum": self.renorm_momentum,
        }


class LayerNormalization(Layer):
    """Normalises each sample over its own features (Ba et al., 2016).

    The output is `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with mean and variance
    over the given axes of each sample; the same in training and at inference.

    Args:
        axis: The axis, or a list of axes, to normalise over. Default -1.
        epsilon: Added to the variance. Default 1e-3.
        center: Whether to add `beta`. Default `True`.
        scale: Whether to multiply by `gamma`. Default `True`.
        beta_initializer: Default `"zeros"`.
        gamma_initializer: Default `"ones"`.
        beta_regularizer: Default `None`.
        gamma_regularizer: Default `None`.
        beta_constraint: Default `None`.
        gamma_constraint: Default `None`.
        rms_scaling: Whether to use only `gamma * x / sqrt(variance + epsilon)`. Deprecated, as
            in Keras. Default `False`.
        **kwargs: The arguments of every layer.

    Weights: `gamma` and `beta`, with the sizes of the normalised axes. The output has the shape
    of the input.

    Raises:
        TypeError: `axis` is neither an int nor a list of ints.
        ValueError: when built, if an axis does not exist or its size is unknown.
    """

    gamma: Variable | None
    beta: Variable | None

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(
                f"LayerNormalization: `axis` must be an int or a list of ints. "
                f"Received: axis={axis!r}."
            )
        if rms_scaling:
            warn(
                "LayerNormalization: `rms_scaling=True` is deprecated: it divides by the standard "
                "deviation, not by the root mean square.",
                DeprecationWarning,
            )
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.rms_scaling = rms_scaling
        set_weight_options(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        set_weight_options(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.supports_masking = True

    @property
    def axes(self) -> tuple[int, ...]:
        """The normalised axes, sorted."""
        return (self.axis,) if isinstance(self.axis, int) else tuple(sorted(self.axis))

    def build(self, input_shape: Shape) -> None:
        """Makes `gamma` and `beta`."""
        shape = [known_size(self, input_shape, axis) for axis in self.axes]
        self.axis = list(self.axes)
        has_gamma = self.scale or self.rms_scaling
        has_beta = self.center and not self.rms_scaling
        self.gamma = make_weight(self, "gamma", shape) if has_gamma else None
        self.beta = make_weight(self, "beta", shape) if has_beta else None
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """The normalised inputs."""
        axes = tuple(axis % len(inputs.shape) for axis in self.axes)
        if self.rms_scaling:
            variance = ops.var(inputs, axis=axes, keepdims=True)
            outputs = ops.multiply(inputs, ops.rsqrt(ops.add(variance, self.epsilon)))
        else:
            outputs = ops.layer_normalization(inputs, axis=axes, epsilon=self.epsilon)
        if self.gamma is not None:
            outputs = ops.multiply(outputs, self._along(axes, self.gamma, inputs))
        if self.beta is not None:
            outputs = ops.add(outputs, self._along(axes, self.beta, inputs))
        return outputs

    def _along(self, axes: tuple[int, ...], weight: Variable, inputs: TensorLike) -> TensorLike:
        """`weight` with its dimensions at `axes` of the input."""
        sizes = dict(zip(axes, weight.shape, strict=True))
        return ops.reshape(weight, tuple(sizes.get(a, 1) for a in range(len(inputs.shape))))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """`input_shape`. Raises `ValueError` if it lacks one of the axes."""
        check_axes(self, self.axes, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "rms_scaling": self.rms_scaling,
            **weight_options_config(self, "beta", "gamma"),
        }
