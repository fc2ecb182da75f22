"""Wrong arguments and inputs: the message names the layer, what it got and what to change."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphkeras import layers

BAD_ARGUMENTS: list[tuple[Callable[[], Any], list[str]]] = [
    (lambda: layers.Dense(0), ["Dense", "`units`", "positive integer", "units=0"]),
    (lambda: layers.Dense(2.5), ["units=2.5", "float"]),
    (lambda: layers.Dense("3"), ["units='3'", "str"]),
    (lambda: layers.Dense(True), ["units=True"]),
    (lambda: layers.Dense(3, lora_rank=2), ["does not support `lora_rank`", "Leave"]),
    (lambda: layers.Conv2D(0, 3), ["Conv2D", "filters=0"]),
    (lambda: layers.Conv2D(3, (3, 3, 3)), ["`kernel_size`", "tuple of 2 integers", "3 entries"]),
    (lambda: layers.Conv2D(3, 0), ["kernel_size=0"]),
    (lambda: layers.Conv2D(3, 3, strides=0), ["strides=0"]),
    (lambda: layers.Conv2D(3, 3, padding="sam"), ["padding='sam'", "Did you mean 'same'?"]),
    (lambda: layers.Conv2D(3, 3, padding="causal"), ["'valid', 'same'", "padding='causal'"]),
    (lambda: layers.Conv2D(3, 3, groups=2), ["filters=3, groups=2", "divisible"]),
    (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), ["strides=(2, 2)", "Set one to 1"]),
    (lambda: layers.Conv2D(3, 3, data_format="last"), ["data_format='last'", "'channels_last'"]),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), ["depth_multiplier=0"]),
    (lambda: layers.MaxPooling2D(padding="full"), ["MaxPooling2D", "padding='full'"]),
    (lambda: layers.MaxPooling2D((2, 2, 2)), ["`pool_size`", "3 entries"]),
    (lambda: layers.Dropout(1.5), ["Dropout", "between 0 and 1", "rate=1.5"]),
    (lambda: layers.Dropout(0.5, noise_shape="2"), ["`noise_shape`", "'2'"]),
    (lambda: layers.Dropout(0.5, noise_shape=(None, 0)), ["`noise_shape`", "positive"]),
    (lambda: layers.GaussianNoise(-1), ["GaussianNoise", "stddev=-1"]),
    (lambda: layers.GaussianDropout(1), ["below 1"]),
    (lambda: layers.Embedding(0, 3), ["Embedding", "input_dim=0"]),
    (lambda: layers.Embedding(3, -1), ["output_dim=-1"]),
    (lambda: layers.Permute((0, 1)), ["Permute", "dims=(0, 1)", "batch dimension 0"]),
    (lambda: layers.Reshape((-1, -1)), ["Reshape", "at most one -1"]),
    (lambda: layers.Reshape((-2,)), ["target_shape=(-2,)"]),
    (lambda: layers.RepeatVector(0), ["RepeatVector", "n=0"]),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), ["ZeroPadding2D", "padding=(1, 2, 3)"]),
    (lambda: layers.ZeroPadding2D(((1, -1), 0)), ["`padding`", "at least 0"]),
    (lambda: layers.Cropping2D("1"), ["Cropping2D", "cropping='1'"]),
    (lambda: layers.UpSampling2D(0), ["UpSampling2D", "size=0"]),
    (lambda: layers.UpSampling2D(2, interpolation="bilinear"), ["'nearest'", "'bilinear'"]),
    (lambda: layers.BatchNormalization(renorm=True), ["does not support `renorm`"]),
    (lambda: layers.ReLU(max_value=-1), ["ReLU", "max_value=-1"]),
    (lambda: layers.LeakyReLU(negative_slope=None), ["negative_slope=None"]),
    (lambda: layers.Dot((1, 2, 3)), ["Dot", "two ints"]),
]


@pytest.mark.parametrize(("make", "parts"), BAD_ARGUMENTS)
def test_bad_argument(make: Callable[[], Any], parts: list[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(parts[0])) as error:
        make()
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: layers.LayerNormalization("last"), ["axis='last'"]),
        (lambda: layers.Dot("1"), ["axes='1'"]),
        (lambda: layers.Lambda(3), ["Lambda", "callable", "function=3"]),
    ],
)
def test_argument_of_a_wrong_type(make: Callable[[], Any], parts: list[str]) -> None:
    with pytest.raises(TypeError) as error:
        make()
    for part in parts:
        assert part in str(error.value)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


def named(layer: str, *args: Any, **kwargs: Any) -> Any:
    return getattr(layers, layer)(*args, name="mine", **kwargs)


BAD_INPUTS: list[tuple[Any, Any, list[str]]] = [
    (named("Dense", 3), zeros(4), ["min_ndim=2", "(4,)"]),
    (named("Conv2D", 3, 3), zeros(2, 8, 8), ["min_ndim=4", "(2, 8, 8)"]),
    (named("Conv2D", 3, 3), zeros(1, 1, 8, 8, 2), ["4 dimensions", "(1, 1, 8, 8, 2)"]),
    (named("Conv2D", 3, 9), zeros(2, 8, 8, 1), ["(9, 9)", "(8, 8)", "padding='same'"]),
    (named("Conv2D", 4, 3, groups=2), zeros(2, 8, 8, 3), ["3 channels", "groups=2"]),
    (named("Conv1D", 3, 3, dilation_rate=5), zeros(2, 8, 1), ["dilation_rate=(5,)"]),
    (named("MaxPooling2D", 9), zeros(2, 8, 8, 1), ["(9, 9)", "larger inputs"]),
    (named("MaxPooling2D"), zeros(2, 8, 8), ["ndim=4", "(2, 8, 8)"]),
    (named("GlobalAveragePooling2D"), zeros(2, 8, 8), ["ndim=4"]),
    (named("Reshape", (3, 3)), zeros(2, 8), ["8 elements", "target_shape=(3, 3)"]),
    (named("Reshape", (3, -1)), zeros(2, 8), ["multiple of 3"]),
    (named("Permute", (2, 1)), zeros(2, 8), ["ndim=3"]),
    (named("Cropping1D", 3), zeros(2, 6, 1), ["at least one position", "(2, 6, 1)"]),
    (named("BatchNormalization", axis=3), zeros(2, 6), ["axis 3", "out of bounds"]),
    (named("LayerNormalization", axis=[1, 2]), zeros(2, 6), ["axis 2", "out of bounds"]),
    (named("Add"), zeros(2, 3), ["list of inputs", "layer([a, b])"]),
    (named("Add"), [zeros(2, 3), zeros(2, 4)], ["incompatible shapes", "3 does not fit 4"]),
    (named("Add"), [zeros(2, 3), zeros(3, 3)], ["same batch size", "(3, 3)"]),
    (named("Subtract"), [zeros(2, 3)] * 3, ["exactly 2 inputs", "3 inputs"]),
    (named("Dot", 1), [zeros(2, 3)], ["exactly 2 inputs"]),
    (named("Dot", 0), [zeros(2, 3)] * 2, ["axis 0 is the batch"]),
    (named("Dot", 1), [zeros(2, 3), zeros(2, 4)], ["size 3", "size 4"]),
    (
        named("Concatenate"),
        [zeros(2, 3, 4), zeros(2, 2, 4)],
        ["matching shapes except for the concatenation axis", "axis=-1"],
    ),
    (named("Concatenate", axis=4), [zeros(2, 3)] * 2, ["axis=4"]),
    (named("Dropout", 0.5, noise_shape=(1,)), zeros(2, 3), ["noise_shape=(1,)"]),
]


@pytest.mark.parametrize(("layer", "inputs", "parts"), BAD_INPUTS)
def test_input_that_does_not_fit(layer: Any, inputs: Any, parts: list[str]) -> None:
    training = {"training": True} if isinstance(layer, layers.Dropout) else {}
    with pytest.raises(ValueError, match="mine") as error:
        layer(inputs, **training)
    for part in parts:
        assert part in str(error.value)


def test_an_unknown_feature_size_cannot_make_weights() -> None:
    with pytest.raises(ValueError, match=r"'mine': the size of axis -1 .* must be known"):
        named("Dense", 3)(layers.Input((None,)))


def test_a_built_layer_refuses_other_features() -> None:
    layer = named("Dense", 3)
    layer(zeros(2, 4))
    with pytest.raises(ValueError, match="mine") as error:
        layer(zeros(2, 5))
    assert "4" in str(error.value)
    assert "(2, 5)" in str(error.value)


def test_masks_must_belong_to_the_inputs() -> None:
    inputs = [zeros(2, 3, 1), zeros(2, 3, 1)]
    for layer in (named("Add"), named("Concatenate")):
        with pytest.raises(ValueError, match="`mask` should be a list"):
            layer.compute_mask(inputs, zeros(2, 3))
        with pytest.raises(ValueError, match="same length"):
            layer.compute_mask(inputs, [None])
