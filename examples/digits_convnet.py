"""The demo: a convnet learns to read real handwritten digits, and shows what was compiled.

The 1,797 digits of the UCI come with the package, so nothing is downloaded. Above the line
"What the compiler made of it" this is an ordinary Keras program; below, the training step is
looked at: its kernels, its memory, its graph.

    python examples/digits_convnet.py --epochs 15 --pictures build
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphkeras as keras
from graphkeras import layers
from graphkeras.viz import explain, write_picture

BATCH_SIZE = 32


def build_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits_convnet",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def prepare(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1 (they come as 0 ... 16), with a channel axis."""
    return images[..., None].astype("float32") / 16


class Stopwatch(keras.callbacks.Callback):
    """Tells compiling from training.

    `fit` compiles before its first callback, and an epoch's training ends where its validation
    begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compiling = self.training = self.epoch_began = 0.0
        self.created = time.perf_counter()

    def on_train_begin(self, logs: Any = None) -> None:
        self.compiling = time.perf_counter() - self.created

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_began = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        self.training += time.perf_counter() - self.epoch_began


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description="Train a convnet on the UCI digits.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures")
    options = parser.parse_args(argv)

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, y_train = x_train[: options.limit], y_train[: options.limit]

    model = build_model()
    model.summary()
    stopwatch = Stopwatch()
    history = model.fit(
        prepare(x_train),
        y_train,
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
        validation_data=(prepare(x_test), y_test),
        callbacks=[stopwatch],
    )

    # ---- What the compiler made of it

    step = keras.utils.compiled_steps(model)["train_step"]
    memory = step.layout({"N": BATCH_SIZE})
    samples = len(x_train) * options.epochs
    traced = len(step.records[0].before.nodes)
    planned, unplanned = memory.peak_bytes / 1024, memory.unplanned_bytes / 1024
    print(f"""
validation accuracy  {history.history["val_accuracy"][-1]:.2%} of {len(x_test)} held-out images
training             {samples / stopwatch.training:,.0f} samples/s at batch size {BATCH_SIZE}
compile time         {stopwatch.compiling:.1f} s for the training and the validation step
kernels a step       {step.launch_count}, made of the {traced} nodes that were traced
peak memory          {planned:,.0f} KiB planned, {unplanned:,.0f} KiB if no two values shared any
""")

    options.pictures.mkdir(parents=True, exist_ok=True)
    model_files = keras.utils.plot_model(
        model,
        options.pictures / "digits_model.png",
        show_shapes=True,
        show_layer_activations=True,
    )
    print(f"the model: {' and '.join(map(str, model_files))}")
    picture = options.pictures / "digits_train_step.png"
    title = "digits convnet: one training step"
    step_files = write_picture(step.program.graph, picture, title=title)
    print(f"its training step: {explain(picture, step_files)}")
    return history.history


if __name__ == "__main__":
    main()
