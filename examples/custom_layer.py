"""Layers of your own, written with `keras.ops`: no gradient and no kernel to write.

`Maxout` (Goodfellow et al., "Maxout networks", 2013) has weights; `Noise` behaves differently in
training. What they compute is traced into the graph like any layer of the library, so their
gradients come from the primitives and their arithmetic is fused with its neighbours.

    python examples/custom_layer.py --epochs 20
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import graphkeras as keras
from graphkeras import layers, ops


class Maxout(keras.Layer):
    """Dense units that answer with the largest of several linear pieces.

    Args:
        units: Outputs a sample.
        pieces: Linear pieces a unit.
    """

    def __init__(self, units: int, pieces: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.pieces = pieces

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units * self.pieces),
            initializer="he_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units * self.pieces,), initializer="zeros", name="bias"
        )

    def call(self, inputs: Any) -> Any:
        lines = ops.matmul(inputs, self.kernel) + self.bias
        return ops.max(ops.reshape(lines, (-1, self.units, self.pieces)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "pieces": self.pieces}


class Noise(keras.Layer):
    """Adds normal noise in training, nothing otherwise.

    Args:
        stddev: Standard deviation of the noise.
        seed: Seed of the noise; None: drawn from `keras.utils.set_random_seed`.
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return inputs
        noise = keras.random.normal(ops.shape(inputs), stddev=self.stddev, seed=self.seed_generator)
        return inputs + noise

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


def build_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((64,)),
            Noise(0.1),
            Maxout(48),
            Maxout(24),
            layers.Dense(10, activation="softmax"),
        ],
        name="maxout",
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def prepare(images: np.ndarray) -> np.ndarray:
    """Rows of 64 pixels from 0 to 1 (they come as 0 ... 16)."""
    return images.reshape(-1, 64).astype("float32") / 16


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Train a network of custom layers on digits.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()

    model = build_model()
    model.summary()
    history = model.fit(
        prepare(x_train[: options.limit]),
        y_train[: options.limit],
        epochs=options.epochs,
        batch_size=32,
        validation_data=(prepare(x_test), y_test),
    )
    print(f"validation accuracy  {history.history['val_accuracy'][-1]:.2%}")
    return history.history


if __name__ == "__main__":
    main()
