"""Small data sets in the file formats of the real ones."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def images(count: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def labels(count: int) -> Bytes:
    return (np.arange(count) % 10).astype(np.uint8)


def grey_arrays() -> tuple[Bytes, Bytes, Bytes, Bytes]:
    return images(12), labels(12), images(5, seed=1), labels(5)


def idx_bytes(array: Bytes) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write_npz(path: Path) -> Path:
    x_train, y_train, x_test, y_test = grey_arrays()
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def write_idx_folder(folder: Path, compressed: bool = True, dotted: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    x_train, y_train, x_test, y_test = grey_arrays()
    contents = {
        "train-images-idx3-ubyte": x_train,
        "train-labels-idx1-ubyte": y_train,
        "t10k-images-idx3-ubyte": x_test,
        "t10k-labels-idx1-ubyte": y_test,
    }
    for name, array in contents.items():
        content = idx_bytes(array)
        spelling = name.replace("-idx", ".idx") if dotted else name
        if compressed:
            (folder / f"{spelling}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / spelling).write_bytes(content)
    return folder


def cifar_pixels(batch: int, count: int = 4) -> Bytes:
    return np.random.default_rng(batch).integers(0, 256, (count, 3072), dtype=np.uint8)


def cifar_labels(batch: int, count: int = 4) -> list[int]:
    return [(batch + index) % 10 for index in range(count)]


def cifar_batch(batch: int) -> bytes:
    content = {
        b"batch_label": b"batch %d" % batch,
        b"labels": cifar_labels(batch),
        b"data": cifar_pixels(batch),
        b"filenames": [b"a.png"] * 4,
    }
    return pickle.dumps(content, protocol=2)


def python2_cifar_batch(pixels: Bytes, numbers: list[int]) -> bytes:
    """Writes a batch opcode by opcode as Python 2 and its NumPy did for the real files."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    element_type = (
        b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR"
        b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) * 2 + integer(0) + b"tb"
    )
    shape = b"(" + b"".join(integer(size) for size in pixels.shape) + b"t"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + integer(0) + b"t"
        b"" + text(b"b") + b"tR(" + integer(1) + shape + element_type + b"\x89"
        b"" + text(pixels.tobytes()) + b"tb"
    )
    numbers_list = b"](" + b"".join(integer(number) for number in numbers) + b"e"
    items = text(b"data") + array + text(b"labels") + numbers_list
    return b"\x80\x02}(" + items + b"u."


def cifar_files() -> dict[str, bytes]:
    files = {f"data_batch_{index}": cifar_batch(index) for index in range(1, 6)}
    return {**files, "test_batch": cifar_batch(6), "batches.meta": b"not read"}


def write_cifar_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in cifar_files().items():
        (folder / name).write_bytes(content)
    return folder


def write_cifar_archive(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar_files().items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
