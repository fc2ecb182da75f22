"""Cache folder, verified downloads and errors shared by the dataset loaders."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

ByteArray: TypeAlias = npt.NDArray[np.uint8]
ImageDataset: TypeAlias = tuple[tuple[ByteArray, ByteArray], tuple[ByteArray, ByteArray]]

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0


class DatasetUnavailableError(OSError):
    """A dataset is neither on this computer nor could it be downloaded."""


class DatasetFormatError(ValueError):
    """A dataset's file is corrupt or is not in a format that the loader reads."""


def datasets_folder() -> Path:
    """Returns the folder that holds downloaded datasets.

    It is `datasets` inside the folder named by the environment variable `GRAPHKERAS_HOME`, or
    inside `~/.graphkeras` where the variable is unset or empty.
    """
    home = os.environ.get("GRAPHKERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".graphkeras") / "datasets"


def keras_datasets_folder() -> Path:
    """Returns the folder in which Keras itself keeps downloaded datasets."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "datasets"


def file_sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def gunzipped_sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 digest of a gzip file's decompressed content.

    Unlike the digest of the file itself, it does not depend on the compressor or on the file
    name and time in the gzip header.

    Raises:
        DatasetFormatError: The file is not a complete gzip file.
    """
    try:
        with gzip.open(path, "rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetFormatError(f"{path} is not a complete gzip file: {error}") from error
    return digest.hexdigest()


def cached_download(
    url: str,
    target: Path,
    sha256: str,
    advice: str,
    digest: Callable[[Path], str] = file_sha256,
) -> Path:
    """Returns `target`, downloaded first unless it is there with the right content.

    The download goes to a temporary file beside `target`, which takes its final name only after
    its digest has been checked; concurrent downloads therefore never see each other's partial
    files.

    Args:
        url: Where the file is downloaded from.
        target: Where the file is kept.
        sha256: Expected hexadecimal digest.
        advice: What to do without a network; the end of the error's message.
        digest: Computes the digest to compare with `sha256`.

    Returns:
        The path of the verified file.

    Raises:
        DatasetUnavailableError: The file could not be downloaded.
    """
    if target.is_file() and _mismatch(target, sha256, digest) is None:
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise unavailable(target, url, f"the cache folder is not writable: {error}", advice) from (
            error
        )
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as output:
            _fetch(url, output, target.name)
        reason = _mismatch(partial, sha256, digest)
        if reason is not None:
            raise unavailable(target, url, f"the downloaded file is wrong: {reason}", advice)
        partial.chmod(0o644)
        partial.replace(target)
    except (http.client.HTTPException, urllib.error.URLError, TimeoutError, OSError) as error:
        if isinstance(error, DatasetUnavailableError):
            raise
        raise unavailable(target, url, f"the download failed: {error}", advice) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def unavailable(target: Path, url: str, reason: str, advice: str) -> DatasetUnavailableError:
    """Builds the error that names the missing file, its origin and the way out."""
    return DatasetUnavailableError(
        f"The dataset file {target} is missing and could not be downloaded from {url}: {reason}.\n"
        f"Without a network: {advice}"
    )


def _mismatch(path: Path, sha256: str, digest: Callable[[Path], str]) -> str | None:
    """Says how the content of `path` differs from the expected one; None where it does not."""
    try:
        actual = digest(path)
    except DatasetFormatError as error:
        return str(error)
    return None if actual == sha256 else f"its SHA-256 digest is {actual}, not {sha256}"


def _fetch(url: str, output: IO[bytes], label: str) -> None:
    """Copies the body of `url` to `output`, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        task = progress.add_task(f"Downloading {label}", total=total)
        received = 0
        while chunk := response.read(CHUNK_BYTES):
            output.write(chunk)
            received += len(chunk)
            progress.update(task, advance=len(chunk))
    if total is not None and received != total:
        raise http.client.IncompleteRead(b"", total - received)
