"""Convolutions over one or two spatial dimensions.

`BaseConv` holds what all of them share: window geometry, bias, activation, shapes. A family
(`Conv`, `DepthwiseConv`, `SeparableConv`) adds its kernels and its operation; a concrete class
says only how many spatial dimensions there are.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphkeras import activations, ops, regularizers
from graphkeras.layers import windows
from graphkeras.layers.arguments import (
    Shape,
    TensorLike,
    one_of,
    standard_data_format,
    whole_number,
    whole_numbers,
)
from graphkeras.layers.input_spec import InputSpec
from graphkeras.layers.layer import Layer
from graphkeras.layers.weight_options import (
    known_size,
    make_weight,
    set_weight_options,
    weight_options_config,
)
from graphkeras.variables import Variable


class BaseConv(Layer):
    """What all convolution layers share.

    Args:
        kernel_size: Size of the window, an int or one per spatial axis.
        strides: Step of the window. Default 1.
        padding: `"valid"` (the default: no padding), `"same"` (zeros around the input such that
            the output has `ceil(input / stride)` positions) or, for `Conv1D`, `"causal"` (zeros
            before the input such that no output sees a later input).
        data_format: `"channels_last"` or `"channels_first"`. Default: the global setting.
        dilation_rate: Distance between the taps of the kernel. Default 1.
        activation: Activation function or its name. `None` (the default) is linear.
        use_bias: Whether to add a bias. Default `True`.
        bias_initializer: Initialiser of the bias. Default `"zeros"`.
        bias_regularizer: Penalty on the bias. Default `None`.
        bias_constraint: Projection of the bias after each update. Default `None`.
        activity_regularizer: Penalty on the output. Default `None`.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: a bad argument, strides together with dilation, or (when built) an input that
            does not fit.
    """

    rank: ClassVar[int]
    """Number of spatial dimensions."""
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    bias: Variable | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        bias_initializer: Any = "zeros",
        bias_regularizer: Any = None,
        bias_constraint: Any = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        layer = type(self).__name__
        self.kernel_size = whole_numbers(kernel_size, self.rank, "kernel_size", layer)
        self.strides = whole_numbers(strides, self.rank, "strides", layer)
        self.dilation_rate = whole_numbers(dilation_rate, self.rank, "dilation_rate", layer)
        self.padding = one_of(padding, self.paddings, "padding", layer)
        self.data_format = standard_data_format(data_format, layer)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        set_weight_options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=self.rank + 2)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{layer}: `strides > 1` cannot be combined with `dilation_rate > 1`. Received: "
                f"strides={self.strides} and dilation_rate={self.dilation_rate}. Set one to 1."
            )

    @property
    def channel_axis(self) -> int:
        """Where the channels are."""
        return -1 if self.data_format == "channels_last" else 1

    def output_channels(self, input_channels: int | None) -> int | None:
        """Number of channels of the output."""
        raise NotImplementedError

    def make_kernels(self, channels: int) -> None:
        """Makes the kernels for inputs with so many channels."""
        raise NotImplementedError

    def convolve(self, inputs: TensorLike) -> TensorLike:
        """The convolution, before bias and activation."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        """Makes the kernels and the bias, after checking that the window fits the input."""
        shape = self.compute_output_shape(input_shape)
        channels = known_size(self, input_shape, self.channel_axis)
        self.make_kernels(channels)
        outputs = known_size(self, shape, self.channel_axis)
        self.bias = make_weight(self, "bias", (outputs,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={self.channel_axis: channels})
        self.built = True

    def call(self, inputs: TensorLike) -> TensorLike:
        """`activation(convolution(inputs) + bias)`."""
        self.compute_output_shape(inputs.shape)
        outputs = self.convolve(inputs)
        if self.bias is not None:
            ones = (1,) * self.rank
            channels = self.bias.shape[0]
            last = self.data_format == "channels_last"
            shape = (1, *ones, channels) if last else (1, channels, *ones)
            outputs = ops.add(outputs, ops.reshape(self.bias, shape))
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input shape with one position a window and the channels of the kernel."""
        channels = input_shape[self.channel_axis] if len(input_shape) > 1 else None
        return windows.output_shape(
            self.name,
            input_shape,
            self.output_channels(channels),
            self.kernel_size,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **weight_options_config(self, "bias"),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }


class Conv(BaseConv):
    """Base of `Conv1D` and `Conv2D`: every output channel sees every input channel of its group.

    Args:
        filters: Number of output channels.
        kernel_size: See `BaseConv`, which also explains the arguments not listed here.
        strides: Default 1.
        padding: Default `"valid"`.
        data_format: Default: the global setting.
        dilation_rate: Default 1.
        groups: Number of groups the channels are split into; each group of outputs sees one
            group of inputs. Default 1.
        activation: Default `None`.
        use_bias: Default `True`.
        kernel_initializer: Initialiser of the kernel. Default `"glorot_uniform"`.
        bias_initializer: Default `"zeros"`.
        kernel_regularizer: Penalty on the kernel. Default `None`.
        bias_regularizer: Default `None`.
        activity_regularizer: Default `None`.
        kernel_constraint: Projection of the kernel after each update. Default `None`.
        bias_constraint: Default `None`.
        **kwargs: The arguments of every layer.

    Weights: `kernel (*kernel_size, channels / groups, filters)`, `bias (filters,)`.
    """

    kernel: Variable

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
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
        self.groups = whole_number(groups, "groups", layer)
        set_weight_options(
            self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint
        )
        if self.filters % self.groups:
            raise ValueError(
                f"{layer}: the number of filters must be divisible by the number of groups. "
                f"Received: filters={self.filters}, groups={self.groups}."
            )

    def output_channels(self, input_channels: int | None) -> int:
        """`filters`."""
        return self.filters

    def make_kernels(self, channels: int) -> None:
        """Makes the kernel. Raises `ValueError` where groups do not divide the channels."""
        if channels % self.groups:
            raise ValueError(
                f"Layer '{self.name}': the number of input channels must be divisible by the "
                f"number of groups. Received: {channels} channels, groups={self.groups}. "
                f"Choose `groups` among the divisors of {channels}."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = make_weight(self, "kernel", shape)

    def convolve(self, inputs: TensorLike) -> TensorLike:
        """The convolution; the groups follow from the shape of the kernel."""
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            time = 1 if self.data_format == "channels_last" else 2
            inputs = ops.pad(inputs, [(before if a == time else 0, 0) for a in range(3)])
            padding = "valid"
        return ops.conv(
            inputs,
            self.kernel,
            strides=self.strides,
            padding=padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            **weight_options_config(self, "kernel"),
        }


class Conv1D(Conv):
    """Convolution over sequences `(batch, steps, channels)`. See `Conv` and `BaseConv`."""

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Conv):
    """Convolution over images `(batch, rows, columns, channels)`. See `Conv` and `BaseConv`."""

    rank = 2


Convolution1D = Conv1D
Convolution2D = Conv2D
