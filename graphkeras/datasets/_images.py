"""Reading the MNIST family from NumPy archives and from IDX files."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from graphkeras.datasets._files import (
    ByteArray,
    DatasetFormatError,
    DatasetUnavailableError,
    ImageDataset,
)

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")
_UNSIGNED_BYTE = 0x08


def load_images(path: Path) -> ImageDataset:
    """Loads a dataset of grey images.

    Args:
        path: A NumPy archive with the arrays `x_train`, `y_train`, `x_test` and `y_test`; a
            folder with the four IDX files, plain or compressed by gzip; or one of these files.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, all `uint8`.

    Raises:
        DatasetUnavailableError: The folder lacks one of the four IDX files.
        DatasetFormatError: A file is corrupt.
    """
    if path.is_dir():
        return _load_idx_folder(path)
    if any(path.name in _spellings(name) for name in IDX_FILES):
        return _load_idx_folder(path.parent)
    return _load_npz(path)


def has_idx_files(folder: Path) -> bool:
    """Tells whether the folder holds all four IDX files."""
    return all(_find_idx(folder, name) is not None for name in IDX_FILES)


def read_idx(path: Path) -> ByteArray:
    """Reads an IDX file of unsigned bytes, plain or compressed by gzip.

    Args:
        path: The file.

    Returns:
        A writable array with the shape that the file's header gives.

    Raises:
        DatasetFormatError: The file is corrupt.
    """
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if not compressed:
                return _parse_idx(raw, path)
            with gzip.GzipFile(fileobj=raw) as file:
                return _parse_idx(cast("IO[bytes]", file), path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DatasetFormatError(f"{path} is not a complete gzip file: {error}") from error


def _parse_idx(file: IO[bytes], path: Path) -> ByteArray:
    magic = file.read(4)
    if len(magic) != 4 or magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE or not magic[3]:
        raise DatasetFormatError(f"{path} is not an IDX file of unsigned bytes")
    rank = magic[3]
    header = file.read(4 * rank)
    if len(header) != 4 * rank:
        raise DatasetFormatError(f"{path} ends inside its IDX header")
    shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
    count = math.prod(shape)
    body = file.read()
    if len(body) != count:
        raise DatasetFormatError(
            f"{path} holds {len(body)} bytes of data where its header {shape} asks for {count}"
        )
    return np.frombuffer(body, dtype=np.uint8).reshape(shape).copy()


def _spellings(name: str) -> tuple[str, ...]:
    """Returns the names under which one of the IDX files is distributed."""
    dotted = name.replace("-idx", ".idx")
    return (name, f"{name}.gz", dotted, f"{dotted}.gz")


def _find_idx(folder: Path, name: str) -> Path | None:
    for spelling in _spellings(name):
        candidate = folder / spelling
        if candidate.is_file():
            return candidate
    return None


def _load_idx_folder(folder: Path) -> ImageDataset:
    arrays = []
    for name in IDX_FILES:
        path = _find_idx(folder, name)
        if path is None:
            raise DatasetUnavailableError(
                f"The folder {folder} has no file {name} or {name}.gz; a folder given as a dataset "
                f"must hold {', '.join(IDX_FILES)} (each plain or with .gz)"
            )
        arrays.append(read_idx(path))
    return _checked(arrays, folder)


def _load_npz(path: Path) -> ImageDataset:
    if not zipfile.is_zipfile(path):
        raise DatasetFormatError(f"{path} is not a complete NumPy archive (.npz)")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[key] for key in _NPZ_KEYS]
    except KeyError as error:
        raise DatasetFormatError(
            f"{path} lacks one of the arrays {', '.join(_NPZ_KEYS)}: {error}"
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DatasetFormatError(f"{path} is not a readable NumPy archive: {error}") from error
    return _checked(arrays, path)


def _checked(arrays: list[ByteArray], path: Path) -> ImageDataset:
    """Pairs the arrays of a dataset up after checking that they fit together."""
    x_train, y_train, x_test, y_test = arrays
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        if images.dtype != np.uint8 or labels.dtype != np.uint8:
            raise DatasetFormatError(
                f"{path} holds {images.dtype} images and {labels.dtype} labels; both must be uint8"
            )
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DatasetFormatError(
                f"{path} holds images of shape {images.shape} with labels of shape {labels.shape}"
            )
    return (x_train, y_train), (x_test, y_test)
