"""Fashion-MNIST: 70,000 grey images of clothing in 10 classes, 28x28 pixels."""

from __future__ import annotations

import os
from pathlib import Path

from graphkeras.datasets._files import (
    ImageDataset,
    cached_download,
    datasets_folder,
    gunzipped_sha256,
    keras_datasets_folder,
)
from graphkeras.datasets._images import has_idx_files, load_images

BASE_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

# Digests of the decompressed IDX files.
SHA256 = {
    "train-labels-idx1-ubyte.gz": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "train-images-idx3-ubyte.gz": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
}


def load_data(path: str | os.PathLike[str] | None = None) -> ImageDataset:
    """Loads the Fashion-MNIST dataset.

    The classes, from 0 to 9, are: T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt,
    Sneaker, Bag, Ankle boot.

    Args:
        path: A folder with the four IDX files (plain or compressed by gzip), one of these files,
            or a NumPy archive with `x_train`, `y_train`, `x_test` and `y_test`. By default the
            cache folder, the files of Debian's package `dataset-fashion-mnist` and Keras's own
            cache are tried in this order before a download.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `uint8` images of shape `(60000, 28, 28)` and
        `(10000, 28, 28)` with values from 0 to 255, and `uint8` labels of shape `(60000,)` and
        `(10000,)` with values from 0 to 9.

    Raises:
        FileNotFoundError: `path` names nothing that exists.
        DatasetUnavailableError: There is no local copy and the download failed.
        DatasetFormatError: A file is corrupt.
    """
    if path is not None:
        return load_images(Path(path).expanduser().resolve(strict=True))
    target = datasets_folder() / "fashion-mnist"
    for folder in (target, DEBIAN_FOLDER, keras_datasets_folder() / "fashion-mnist"):
        if has_idx_files(folder):
            return load_images(folder)
    advice = (
        f"install Debian's package dataset-fashion-mnist (it fills {DEBIAN_FOLDER}), place the "
        f"files {', '.join(SHA256)} in {target}, or pass path= with the folder that holds them; "
        f"graphkeras.datasets.digits is bundled and needs no file."
    )
    for name, sha256 in SHA256.items():
        cached_download(BASE_URL + name, target / name, sha256, advice, gunzipped_sha256)
    return load_images(target)
