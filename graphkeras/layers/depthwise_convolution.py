"""Convolutions that treat every input channel on its own: depthwise and separable."""

from __future__ import annotations

from typing import Any

from graphkeras import ops
from graphkeras.layers.arguments import TensorLike, whole_number
from graphkeras.layers.convolution import BaseConv
from graphkeras.layers.weight_options import (
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.variables import Variable


class DepthwiseConv(BaseConv):
    """Base of `DepthwiseConv1D` and `DepthwiseConv2D`: each channel has its own kernels.

    Args:
        kernel_size: See `BaseConv`, which also explains the arguments not listed here.
        strides: Default 1.
        padding: Default `"valid"`.
        depth_multiplier: Number of output channels of each input channel. Default 1.
        data_format: Default: the global setting.
        dilation_rate: Default 1.
        activation: Default `None`.
        use_bias: Default `True`.
        depthwise_initializer: Initialiser of the kernel. Default `"glorot_uniform"`.
        bias_initializer: Default `"zeros"`.
        depthwise_regularizer: Penalty on the kernel. Default `None`.
        bias_regularizer: Default `None`.
        activity_regularizer: Default `None`.
        depthwise_constraint: Projection of the kernel after each update. Default `None`.
        bias_constraint: Default `None`.
        **kwargs: The arguments of every layer.

    Weights: `kernel (*kernel_size, channels, depth_multiplier)`,
    `bias (channels * depth_multiplier,)`.
    """

    kernel: Variable

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer,
            bias_constraint=bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.depth_multiplier = whole_number(
            depth_multiplier, "depth_multiplier", type(self).__name__
        )
        set_weight_options(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )

    def output_channels(self, input_channels: int | None) -> int | None:
        """`channels * depth_multiplier`."""
        return None if input_channels is None else input_channels * self.depth_multiplier

    def make_kernels(self, channels: int) -> None:
        """Makes the kernel."""
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = make_weight(self, "depthwise", shape, name="kernel")

    def convolve(self, inputs: TensorLike) -> TensorLike:
        """The depthwise convolution."""
        return ops.depthwise_conv(
            inputs,
            self.kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            **weight_options_config(self, "depthwise"),
        }


class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution over `(batch, steps, channels)`. See `DepthwiseConv`."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution over `(batch, rows, columns, channels)`. See `DepthwiseConv`."""

    rank = 2


class SeparableConv(BaseConv):
    """Base of `SeparableConv1D` and `SeparableConv2D`: a depthwise, then a 1x1 convolution.

    Args:
        filters: Number of output channels.
        kernel_size: See `BaseConv`, which also explains the arguments not listed here.
        strides: Default 1.
        padding: Default `"valid"`.
        data_format: Default: the global setting.
        dilation_rate: Default 1.
        depth_multiplier: Number of channels that the depthwise step makes of each input channel.
            Default 1.
        activation: Default `None`.
        use_bias: Default `True`.
        depthwise_initializer: Initialiser of the first kernel. Default `"glorot_uniform"`.
        pointwise_initializer: Initialiser of the second kernel. Default `"glorot_uniform"`.
        bias_initializer: Default `"zeros"`.
        depthwise_regularizer: Penalty on the first kernel. Default `None`.
        pointwise_regularizer: Penalty on the second kernel. Default `None`.
        bias_regularizer: Default `None`.
        activity_regularizer: Default `None`.
        depthwise_constraint: Projection of the first kernel after updates. Default `None`.
        pointwise_constraint: Projection of the second kernel after updates. Default `None`.
        bias_constraint: Default `None`.
        **kwargs: The arguments of every layer.

    Weights: `depthwise_kernel (*kernel_size, channels, depth_multiplier)`,
    `pointwise_kernel (1, ..., channels * depth_multiplier, filters)`, `bias (filters,)`.
    """

    depthwise_kernel: Variable
    pointwise_kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer,
            bias_constraint=bias_constraint,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        layer = type(self).__name__
        self.filters = whole_number(filters, "filters", layer)
        self.depth_multiplier = whole_number(depth_multiplier, "depth_multiplier", layer)
        set_weight_options(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        set_weight_options(
            self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def output_channels(self, input_channels: int | None) -> int:
        """`filters`."""
        return self.filters

    def make_kernels(self, channels: int) -> None:
        """Makes the two kernels."""
        depth = self.depth_multiplier
        self.depthwise_kernel = make_weight(
            self, "depthwise", (*self.kernel_size, channels, depth), name="depthwise_kernel"
        )
        self.pointwise_kernel = make_weight(
            self,
            "pointwise",
            (*(1,) * self.rank, channels * depth, self.filters),
            name="pointwise_kernel",
        )

    def convolve(self, inputs: TensorLike) -> TensorLike:
        """The two convolutions."""
        return ops.separable_conv(
            inputs,
            self.depthwise_kernel,
            self.pointwise_kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            **weight_options_config(self, "depthwise", "pointwise"),
        }


class SeparableConv1D(SeparableConv):
    """Separable convolution over `(batch, steps, channels)`. See `SeparableConv`."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable convolution over `(batch, rows, columns, channels)`. See `SeparableConv`."""

    rank = 2


SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
