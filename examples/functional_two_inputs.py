"""Two inputs, two outputs: the model sees two images of digits and adds them up.

The functional API in one small program: an encoder that both images share (so it has one set of
weights), the branches joined, and two heads trained at once:

    left  ──► encoder ──┐              ┌──► sum      19 classes, 0 ... 18
                        ├─► join ──────┤
    right ──► encoder ──┘              └──► larger   is the left digit the larger one?

    python examples/functional_two_inputs.py --epochs 12
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import graphkeras as keras
from graphkeras import layers

Pairs = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def build_model() -> keras.Model:
    image = keras.Input((8, 8, 1))
    features = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    features = layers.MaxPooling2D()(features)
    features = layers.Flatten()(features)
    features = layers.Dense(32, activation="relu")(features)
    encoder = keras.Model(image, features, name="encoder")

    left = keras.Input((8, 8, 1), name="left")
    right = keras.Input((8, 8, 1), name="right")
    joined = layers.Concatenate()([encoder(left), encoder(right)])
    joined = layers.Dense(64, activation="relu")(joined)
    outputs = {
        "sum": layers.Dense(19, activation="softmax", name="sum")(joined),
        "larger": layers.Dense(1, activation="sigmoid", name="larger")(joined),
    }
    model = keras.Model({"left": left, "right": right}, outputs, name="two_digits")
    model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss={"sum": "sparse_categorical_crossentropy", "larger": "binary_crossentropy"},
        loss_weights={"sum": 1.0, "larger": 0.5},
        metrics={"sum": ["accuracy"], "larger": ["accuracy"]},
    )
    return model


def make_pairs(images: np.ndarray, labels: np.ndarray, count: int, seed: int) -> Pairs:
    """Random pairs of images, as the model's inputs and targets by name."""
    i, j = np.random.RandomState(seed).randint(len(images), size=(2, count))
    pixels = images[..., None].astype("float32") / 16
    digits = labels.astype("int32")
    inputs = {"left": pixels[i], "right": pixels[j]}
    targets = {
        "sum": digits[i] + digits[j],
        "larger": (digits[i] > digits[j])[:, None].astype("float32"),
    }
    return inputs, targets


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Add two handwritten digits.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--limit", type=int, default=10_000, help="pairs to train on")
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    # Split before pairing: no test pair holds an image that was trained on.
    train, test = keras.datasets.digits.load_data()
    x_train, y_train = make_pairs(*train, count=options.limit, seed=1)
    x_test, y_test = make_pairs(*test, count=2000, seed=2)

    model = build_model()
    history = model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=options.epochs,
        validation_data=(x_test, y_test),
    )

    few = {name: array[:8] for name, array in x_test.items()}
    predicted = model.predict(few, verbose=0)
    print(f"sums predicted  {np.argmax(predicted['sum'], axis=-1)}")
    print(f"true sums       {y_test['sum'][:8]}")
    return history.history


if __name__ == "__main__":
    main()
