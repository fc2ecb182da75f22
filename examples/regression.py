"""Regression on real data: how many miles a gallon does a car of the seventies make?

The 392 cars of the UCI's "Auto MPG" lie in `data/auto_mpg.csv`, their licence beside them. The
model is measured in miles per gallon against two answers that need no network: the mean of the
training cars, and a straight line through them (least squares).

    python examples/regression.py --epochs 100
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import graphkeras as keras
from graphkeras import layers

DATA = Path(__file__).parent / "data" / "auto_mpg.csv"
NUMBERS = ("cylinders", "displacement", "horsepower", "weight", "acceleration", "model_year")
ORIGINS = 3
"""USA, Europe, Japan: categories, so they become three columns of 0 and 1."""


def load_cars() -> tuple[np.ndarray, np.ndarray]:
    """Features [392, 9] and miles per gallon [392, 1], both float32."""
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = np.array([[float(row[name]) for name in NUMBERS] for row in rows])
    origin = keras.utils.to_categorical([int(row["origin"]) - 1 for row in rows], ORIGINS)
    mpg = np.array([[float(row["mpg"])] for row in rows])
    return np.concatenate([numbers, origin], axis=1).astype("float32"), mpg.astype("float32")


def build_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((len(NUMBERS) + ORIGINS,)),
            layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
            layers.Dense(32, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
            layers.Dense(1),
        ],
        name="auto_mpg",
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="huber", metrics=["mae"])
    return model


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Predict the consumption of cars.")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT cars only")
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    features, mpg = load_cars()
    # The file is sorted by year.
    order = np.random.RandomState(0).permutation(len(features))
    test, train = order[:80], order[80:][: options.limit]
    # Scales come from the training cars alone; the test cars are not looked at.
    mean, deviation = features[train].mean(axis=0), features[train].std(axis=0) + 1e-6
    x = (features - mean) / deviation

    model = build_model()
    history = model.fit(
        x[train],
        mpg[train],
        batch_size=32,
        epochs=options.epochs,
        # Of the training cars: what stops the training must not be what it is judged by.
        validation_split=0.2,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(patience=10, factor=0.5),
            keras.callbacks.EarlyStopping(patience=30, restore_best_weights=True),
        ],
        verbose=0,
    )

    error = float(np.abs(model.predict(x[test], verbose=0) - mpg[test]).mean())
    constant = float(np.abs(mpg[train].mean() - mpg[test]).mean())
    line, *_ = np.linalg.lstsq(_with_one(x[train]), mpg[train], rcond=None)
    linear = float(np.abs(_with_one(x[test]) @ line - mpg[test]).mean())
    print(f"mean absolute error on {len(test)} cars, in miles per gallon")
    print(f"  the network      {error:.2f}  (after {len(history.epoch)} epochs)")
    print(f"  a straight line  {linear:.2f}")
    print(f"  the mean         {constant:.2f}")
    return {**history.history, "test_mae": [error], "linear_mae": [linear]}


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


if __name__ == "__main__":
    main()
