"""Downloads into the cache folder."""

from __future__ import annotations

import gzip
import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest

from graphkeras.datasets import DatasetFormatError, DatasetUnavailableError
from graphkeras.datasets._files import (
    cached_download,
    datasets_folder,
    file_sha256,
    gunzipped_sha256,
)
from tests.datasets.conftest import Server

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def target(home: Path) -> Path:
    return home / "file.bin"


def _download(url: str, target: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait(timeout=30)
    cached_download(url, target, DIGEST, "do without.")


def test_folder_follows_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHKERAS_HOME", str(tmp_path))
    assert datasets_folder() == tmp_path / "datasets"
    monkeypatch.setenv("GRAPHKERAS_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert datasets_folder() == tmp_path / "user" / ".graphkeras" / "datasets"


def test_downloads_once(server: Server, target: Path) -> None:
    (server.folder / "file.bin").write_bytes(CONTENT)
    for _ in range(2):
        assert cached_download(server.url + "file.bin", target, DIGEST, "") == target
    assert target.read_bytes() == CONTENT
    assert server.requests == ["/file.bin"]
    assert os.listdir(target.parent) == ["file.bin"]


def test_damaged_cached_file_is_downloaded_again(server: Server, target: Path) -> None:
    (server.folder / "file.bin").write_bytes(CONTENT)
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    cached_download(server.url + "file.bin", target, DIGEST, "")
    assert target.read_bytes() == CONTENT


def test_wrong_checksum_is_refused(server: Server, target: Path) -> None:
    (server.folder / "file.bin").write_bytes(b"something else")
    actual = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DatasetUnavailableError, match=f"{actual}, not {DIGEST}"):
        cached_download(server.url + "file.bin", target, DIGEST, "")
    assert os.listdir(target.parent) == []


def test_truncated_download_is_refused(server: Server, target: Path) -> None:
    with pytest.raises(DatasetUnavailableError, match="the download failed: IncompleteRead"):
        cached_download(server.url + "truncated/file.bin", target, DIGEST, "")
    assert os.listdir(target.parent) == []


def test_missing_file_names_everything(server: Server, target: Path) -> None:
    url = server.url + "file.bin"
    with pytest.raises(DatasetUnavailableError) as caught:
        cached_download(url, target, DIGEST, "copy it by hand.")
    message = str(caught.value)
    assert str(target) in message
    assert url in message
    assert "404" in message
    assert message.endswith("Without a network: copy it by hand.")
    assert isinstance(caught.value, OSError)


def test_refused_connection(target: Path) -> None:
    with pytest.raises(DatasetUnavailableError, match="the download failed"):
        cached_download("http://127.0.0.1:1/file.bin", target, DIGEST, "")


def test_unusable_cache_folder(server: Server, home: Path) -> None:
    home.parent.mkdir(parents=True)
    home.write_bytes(b"a file where the folder should be")
    with pytest.raises(DatasetUnavailableError, match="cache folder is not writable"):
        cached_download(server.url + "file.bin", home / "file.bin", DIGEST, "")


def test_concurrent_downloads(server: Server, target: Path) -> None:
    (server.folder / "file.bin").write_bytes(CONTENT)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (server.url + "file.bin", target, barrier)
    processes = [context.Process(target=_download, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert target.read_bytes() == CONTENT
    assert os.listdir(target.parent) == ["file.bin"]


def test_digests(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(CONTENT, mtime=1))
    assert gunzipped_sha256(path) == DIGEST
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetFormatError, match="complete gzip file"):
        gunzipped_sha256(path)
