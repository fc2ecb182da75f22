"""CIFAR-10: archives, extracted folders, downloads, and pickles that are not plain data."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from graphkeras.datasets import DatasetFormatError, DatasetUnavailableError, cifar10
from graphkeras.datasets._files import ImageDataset
from graphkeras.datasets._pickles import read_batch
from tests.datasets import samples
from tests.datasets.conftest import Server


class _Call:
    """Pickles to a call of a function with arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def check(loaded: ImageDataset) -> None:
    (x_train, y_train), (x_test, y_test) = loaded
    assert x_train.shape == (20, 32, 32, 3)
    assert y_train.shape == (20, 1)
    assert x_test.shape == (4, 32, 32, 3)
    assert y_test.shape == (4, 1)
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    first = samples.cifar_pixels(1).reshape(4, 3, 32, 32)
    for channel in range(3):
        np.testing.assert_array_equal(x_train[:4, :, :, channel], first[:, channel])
    assert y_train[4:8, 0].tolist() == samples.cifar_labels(2)
    assert y_test[:, 0].tolist() == samples.cifar_labels(6)


def test_archive(tmp_path: Path) -> None:
    check(cifar10.load_data(samples.write_cifar_archive(tmp_path / "archive.tar.gz")))


def test_folders(tmp_path: Path) -> None:
    folder = samples.write_cifar_folder(tmp_path / "cifar-10-batches-py")
    check(cifar10.load_data(folder))
    check(cifar10.load_data(str(tmp_path)))


def test_downloads_into_cache(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = samples.write_cifar_archive(server.folder / "cifar-10-python.tar.gz")
    monkeypatch.setattr(cifar10, "URL", server.url + archive.name)
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    check(cifar10.load_data())
    check(cifar10.load_data())
    assert server.requests == ["/cifar-10-python.tar.gz"]
    assert os.listdir(home) == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize(
    "place",
    [
        "home/datasets/cifar-10-batches-py",
        "keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py",
    ],
)
@pytest.mark.usefixtures("home")
def test_local_copies(place: str, tmp_path: Path) -> None:
    samples.write_cifar_folder(tmp_path / place)
    check(cifar10.load_data())


def test_offline_message(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "URL", "http://127.0.0.1:1/cifar-10-python.tar.gz")
    with pytest.raises(DatasetUnavailableError) as caught:
        cifar10.load_data()
    for part in (home / "cifar-10-python.tar.gz", cifar10.URL, "path="):
        assert str(part) in str(caught.value)


def test_absent_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cifar10.load_data(tmp_path / "nowhere")


def test_missing_batches(tmp_path: Path) -> None:
    folder = samples.write_cifar_folder(tmp_path / "cifar-10-batches-py")
    (folder / "data_batch_3").unlink()
    with pytest.raises(DatasetUnavailableError, match="has no file data_batch_3"):
        cifar10.load_data(folder)
    archive = tmp_path / "archive.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tmp_path, folder.name], check=True)
    with pytest.raises(DatasetFormatError, match="has no file data_batch_3"):
        cifar10.load_data(archive)


@pytest.mark.parametrize("kept", [0, 10, 2000])
def test_corrupt_archive(kept: int, tmp_path: Path) -> None:
    path = samples.write_cifar_archive(tmp_path / "archive.tar.gz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetFormatError, match=r"archive\.tar\.gz"):
        cifar10.load_data(path)


def test_python2_batch() -> None:
    pixels = samples.cifar_pixels(9)
    images, labels = read_batch(samples.python2_cifar_batch(pixels, [3, 1, 4, 9]), "batch")
    np.testing.assert_array_equal(images, pixels)
    assert labels.tolist() == [3, 1, 4, 9]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_pickle_protocols(order: str, protocol: int) -> None:
    pixels = np.array(samples.cifar_pixels(2), order=order)
    content = pickle.dumps({"data": pixels, "labels": [0, 1, 2, 3]}, protocol=protocol)
    images, _ = read_batch(content, "batch")
    np.testing.assert_array_equal(images, pixels)
    images[0, 0] = 1


def test_malicious_pickle_runs_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    folder = samples.write_cifar_folder(tmp_path / "cifar-10-batches-py")
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": _Call(os.remove, str(victim))}))
    with pytest.raises(DatasetFormatError, match=r"refers to posix\.\w+, which is refused"):
        cifar10.load_data(folder)
    assert victim.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"builtins\neval",
        b"__builtin__\neval",
        b"numpy\nload",
        b"numpy.core.multiarray\nscalar",
        b"numpy\nndarray.__reduce__",
        b"_codecs\ndecode",
        b"functools\npartial",
    ],
)
def test_refused_names(name: bytes) -> None:
    with pytest.raises(DatasetFormatError, match="which is refused"):
        read_batch(b"\x80\x02c" + name + b"\n.", "batch")


@pytest.mark.parametrize(
    "state",
    [
        b"cnumpy\ndtype\n}X\x04\x00\x00\x00codeK\x01sb.",
        b"cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb.",
        b"c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.",
    ],
)
def test_stand_ins_cannot_be_altered(state: bytes) -> None:
    with pytest.raises(DatasetFormatError):
        read_batch(b"\x80\x02" + state, "batch")
    read_batch(samples.cifar_batch(1), "batch")


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {b"data": 1, b"labels": []},
        {b"data": np.zeros((1, 3072), np.float32), b"labels": [0]},
        {b"data": np.zeros((1, 3071), np.uint8), b"labels": [0]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": [-1]},
        {b"data": np.zeros((1, 3072), np.uint8), b"labels": ["a"]},
    ],
)
def test_malformed_batches(content: object) -> None:
    with pytest.raises(DatasetFormatError, match=r"^batch "):
        read_batch(pickle.dumps(content, protocol=2), "batch")


def test_truncated_batches() -> None:
    content = samples.cifar_batch(1)
    for kept in (0, 1, 40, len(content) // 2, len(content) - 1):
        with pytest.raises(DatasetFormatError, match=r"^batch "):
            read_batch(content[:kept], "batch")
