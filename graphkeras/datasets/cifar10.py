"""CIFAR-10: 60,000 colour images in 10 classes, 32x32 pixels."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from graphkeras.datasets._files import (
    ByteArray,
    DatasetFormatError,
    DatasetUnavailableError,
    ImageDataset,
    cached_download,
    datasets_folder,
    keras_datasets_folder,
)
from graphkeras.datasets._pickles import read_batch

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
ARCHIVE_NAME = "cifar-10-python.tar.gz"
FOLDER_NAME = "cifar-10-batches-py"
TRAINING_BATCHES = tuple(f"data_batch_{index}" for index in range(1, 6))
TEST_BATCH = "test_batch"


def load_data(path: str | os.PathLike[str] | None = None) -> ImageDataset:
    """Loads the CIFAR-10 dataset.

    The classes, from 0 to 9, are: airplane, automobile, bird, cat, deer, dog, frog, horse, ship,
    truck. The batches are pickles; they are read without running any code they may hold.

    Args:
        path: The archive `cifar-10-python.tar.gz`, the folder `cifar-10-batches-py` extracted
            from it, or the folder around that one. By default the cache folder and Keras's own
            cache are tried before a download.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: `uint8` images of shape `(50000, 32, 32, 3)` and
        `(10000, 32, 32, 3)` with values from 0 to 255, and `uint8` labels of shape `(50000, 1)`
        and `(10000, 1)` with values from 0 to 9.

    Raises:
        FileNotFoundError: `path` names nothing that exists.
        DatasetUnavailableError: There is no local copy and the download failed, or a batch is
            missing.
        DatasetFormatError: A file is corrupt.
    """
    if path is not None:
        return _load(Path(path).expanduser().resolve(strict=True))
    target = datasets_folder() / ARCHIVE_NAME
    if not target.exists():
        keras_copy = keras_datasets_folder() / "cifar-10-batches-py-target" / FOLDER_NAME
        for folder in (datasets_folder() / FOLDER_NAME, keras_copy):
            if all((folder / name).is_file() for name in (*TRAINING_BATCHES, TEST_BATCH)):
                return _load(folder)
    advice = (
        f"place {ARCHIVE_NAME} at {target}, extract it so that "
        f"{datasets_folder() / FOLDER_NAME / TEST_BATCH} exists, or pass path= with the place of "
        f"the archive or of the extracted folder; graphkeras.datasets.digits is bundled and needs "
        f"no file."
    )
    return _load(cached_download(URL, target, SHA256, advice))


def _load(path: Path) -> ImageDataset:
    if not path.is_dir():
        return _load_archive(path)
    folder = path / FOLDER_NAME if (path / FOLDER_NAME).is_dir() else path

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise DatasetUnavailableError(f"The folder {folder} has no file {name}") from error

    return _assemble(read, folder)


def _load_archive(path: Path) -> ImageDataset:
    """Reads the batches out of the archive without extracting anything to the disk."""
    try:
        with tarfile.open(path, "r:*") as archive:
            files = {
                Path(member.name).name: content
                for member in archive
                if member.isfile() and (content := _member(archive, member)) is not None
            }
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetFormatError(f"{path} is not a readable tar archive: {error}") from error

    def read(name: str) -> bytes:
        if name not in files:
            raise DatasetFormatError(f"The archive {path} has no file {name}")
        return files[name]

    return _assemble(read, path)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Returns the content of a batch, None for the archive's other files."""
    if Path(member.name).name not in (*TRAINING_BATCHES, TEST_BATCH):
        return None
    file = archive.extractfile(member)
    return None if file is None else file.read()


def _assemble(read: Callable[[str], bytes], source: Path) -> ImageDataset:
    """Joins the training batches and lays the channels out last."""
    batches = [_batch(read(name), f"{source}: {name}") for name in TRAINING_BATCHES]
    x_train = np.concatenate([images for images, _ in batches])
    y_train = np.concatenate([labels for _, labels in batches])
    return (x_train, y_train), _batch(read(TEST_BATCH), f"{source}: {TEST_BATCH}")


def _batch(content: bytes, label: str) -> tuple[ByteArray, ByteArray]:
    images, labels = read_batch(content, label)
    channels_last = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(channels_last), labels.reshape(-1, 1)
