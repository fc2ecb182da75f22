"""Output shapes of layers that slide a window: convolution and pooling, any spatial rank."""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.layers.arguments import Shape


def output_length(
    length: int | None, window: int, stride: int, padding: str, dilation: int = 1
) -> int | None:
    """Number of window positions along one axis; 0 or less where the window does not fit."""
    if length is None:
        return None
    reach = dilation * (window - 1) + 1 if padding == "valid" else 1
    return (length - reach) // stride + 1


def output_shape(
    layer: str,
    input_shape: Sequence[int | None],
    channels: int | None,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation: tuple[int, ...] | None = None,
) -> Shape:
    """Shape after sliding a window over an input of `input_shape`.

    Args:
        layer: Name of the layer, for the error.
        input_shape: `(batch, *spatial, channels)`, or channels second for `channels_first`.
        channels: Channels of the output.
        window: Size of the window along each spatial axis.
        strides: Step along each spatial axis.
        padding: `"valid"`, `"same"` or `"causal"`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation: Distance between the taps of the window along each spatial axis; default 1.

    Raises:
        ValueError: the rank of the input does not fit the window, or the window does not fit
            into the input.
    """
    if len(input_shape) != len(window) + 2:
        raise ValueError(
            f"Layer '{layer}': expected an input with {len(window) + 2} dimensions (batch, "
            f"{len(window)} spatial, channels). Received: input_shape={tuple(input_shape)}."
        )
    last = data_format == "channels_last"
    spatial = tuple(input_shape[1:-1] if last else input_shape[2:])
    dilation = dilation or (1,) * len(window)
    result = tuple(
        output_length(length, size, stride, padding, step)
        for length, size, stride, step in zip(spatial, window, strides, dilation, strict=True)
    )
    if any(length is not None and length <= 0 for length in result):
        dilated = f" with dilation_rate={dilation}" if max(dilation) > 1 else ""
        raise ValueError(
            f"Layer '{layer}': the output size would be zero or negative, because a window of "
            f"{window}{dilated} does not fit into the spatial shape {spatial} of the input "
            f"(input_shape={tuple(input_shape)}, data_format='{data_format}') with "
            f"padding='{padding}'. Use a smaller window, larger inputs or padding='same'."
        )
    return (input_shape[0], *result, channels) if last else (input_shape[0], channels, *result)
