"""The networks: ordinary Keras programs that take the `keras` module to use.

Layers with weights have names, and `weight` makes a layer's weights from its name, so that the
same network written with another library gets the same numbers and must give the same answer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.work import Array


def mlp(keras: Any) -> Any:
    """784-128-dropout-10."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(128, activation="relu", name="dense1"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", name="dense2"),
        ]
    )


def convnet(keras: Any) -> Any:
    """MNIST: two convolutions with pooling, two dense layers."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="dense1"),
            layers.Dense(10, activation="softmax", name="dense2"),
        ]
    )


def cifar(keras: Any) -> Any:
    """CIFAR: three convolutions, two of them with pooling, two dense layers."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="dense1"),
            layers.Dense(10, activation="softmax", name="dense2"),
        ]
    )


def _normalised(
    keras: Any, x: Any, name: str, filters: int, window: int, stride: int = 1, relu: bool = True
) -> Any:
    """Convolution, batch normalisation and, where wanted, relu."""
    layers = keras.layers
    x = layers.Conv2D(
        filters, window, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU()(x) if relu else x


def resnet20(keras: Any) -> Any:
    """ResNet-20 for 32x32 images (He et al., 2015, section 4.2), shortcuts of 1x1 convolutions."""
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = _normalised(keras, image, "stem", 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            name, stride = f"s{stage}b{block}", 2 if stage and block == 0 else 1
            y = _normalised(keras, x, f"{name}a", filters, 3, stride)
            y = _normalised(keras, y, f"{name}b", filters, 3, relu=False)
            if stride == 2:
                x = _normalised(keras, x, f"{name}s", filters, 1, stride, relu=False)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="dense")(x))


def resnet50(keras: Any) -> Any:
    """ResNet-50 for 224x224 images (He et al., 2015, table 1), strides in 1x1 convolutions."""
    layers = keras.layers
    image = keras.Input((224, 224, 3))
    x = layers.ZeroPadding2D(3)(image)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="stem_conv")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            name, stride = f"s{stage}b{block}", 2 if stage and block == 0 else 1
            y = _normalised(keras, x, f"{name}a", filters, 1, stride)
            y = _normalised(keras, y, f"{name}b", filters, 3)
            y = _normalised(keras, y, f"{name}c", 4 * filters, 1, relu=False)
            if block == 0:
                x = _normalised(keras, x, f"{name}s", 4 * filters, 1, stride, relu=False)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(1000, activation="softmax", name="dense")(x))


@dataclass(frozen=True)
class Model:
    """A network and its optimizer: `"adam"`, `"rmsprop"` or `"momentum"` (SGD, 0.9)."""

    build: Callable[[Any], Any]
    image: tuple[int, ...]
    optimizer: str = "adam"


MODELS = {
    "mlp": Model(mlp, (784,)),
    "convnet": Model(convnet, (28, 28, 1), "rmsprop"),
    "cifar": Model(cifar, (32, 32, 3)),
    "resnet20": Model(resnet20, (32, 32, 3), "momentum"),
    "resnet50": Model(resnet50, (224, 224, 3)),
}


def optimizer(keras: Any, name: str) -> Any:
    """A Keras optimizer with its default settings, but for the momentum of SGD."""
    if name == "momentum":
        return keras.optimizers.SGD(0.01, momentum=0.9)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[name]()


def weight(layer: str, name: str, shape: tuple[int, ...]) -> Array:
    """The weight `name` of a layer; `shape` as in Keras, output channels last."""
    rng = np.random.default_rng(zlib.crc32(f"{layer}/{name}".encode()))
    if name == "kernel":
        # He initialisation; logits stay small, so that a softmax shows all of its inputs.
        gain = 0.5 if shape[-1] in (10, 1000) else 2.0
        scale = np.sqrt(gain / np.prod(shape[:-1]))
        return rng.standard_normal(shape, np.float32) * np.float32(scale)
    if name in ("gamma", "moving_variance"):
        return rng.random(shape, np.float32) + np.float32(0.5)
    return (rng.random(shape, np.float32) - np.float32(0.5)) / np.float32(10)


def set_weights(model: Any) -> None:
    """Gives every layer of a Keras model its weights."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(
                [
                    weight(layer.name, v.name.rpartition("/")[2], tuple(v.shape))
                    for v in layer.weights
                ]
            )
