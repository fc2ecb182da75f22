"""The programs that are timed. Each is ordinary Keras code and takes the `keras` module to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[], None]
"""One round of a program, already warm."""


@dataclass(frozen=True)
class Program:
    """A workload: `prepare(keras)` builds and warms it; a round does `units` steps."""

    name: str
    prepare: Callable[[Any], Run]
    units: int


def mnist_mlp(keras: Any) -> Any:
    """784-128-dropout-10, Adam."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def mnist_convnet(keras: Any) -> Any:
    """Two convolutions with pooling, two dense layers, RMSprop."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def cifar_convnet(keras: Any) -> Any:
    """Three convolutions on 32x32x3, Adam."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _training(build: Callable[[Any], Any], batch: int, steps: int) -> Callable[[Any], Run]:
    def prepare(keras: Any) -> Run:
        keras.utils.set_random_seed(0)
        model = build(keras)
        rng = np.random.default_rng(0)
        x = rng.random((batch * steps, *model.input_shape[1:]), dtype=np.float32)
        y = rng.integers(0, 10, batch * steps).astype("int32")

        def run() -> None:
            model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

        run()
        return run

    return prepare


def _prediction(build: Callable[[Any], Any], batch: int, calls: int) -> Callable[[Any], Run]:
    def prepare(keras: Any) -> Run:
        keras.utils.set_random_seed(0)
        model = build(keras)
        x = np.random.default_rng(0).random((batch, *model.input_shape[1:]), dtype=np.float32)

        def run() -> None:
            for _ in range(calls):
                np.asarray(model.predict_on_batch(x))

        run()
        return run

    return prepare


PROGRAMS = (
    Program("MLP train step, batch 32", _training(mnist_mlp, 32, 50), 50),
    Program("CNN train step, batch 128", _training(mnist_convnet, 128, 8), 8),
    Program("CIFAR train step, batch 64", _training(cifar_convnet, 64, 8), 8),
    Program("CNN predict_on_batch, batch 1", _prediction(mnist_convnet, 1, 20), 20),
    Program("CNN predict_on_batch, batch 256", _prediction(mnist_convnet, 256, 4), 4),
)
