"""Files of the cache: named by what they depend on, whole or not there, checked when read.

    name = digest of everything that decides the content
    file = magic, checksum, name, content

Files are written beside their place and moved there in one step, so processes and threads may
make the same entry at once: the last one wins, all are equal. Reading an entry runs nothing of it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import warnings
from functools import cache
from pathlib import Path

import numpy as np

import graphkeras
from graphkeras.config import setting
from graphkeras.locks import fork_safe

_log = logging.getLogger("graphkeras.cache")

_MAGIC = b"graphkeras-cache-1\n"
_DIGEST = hashlib.sha256().digest_size

_folders: dict[Path, Path] = {}
_lock = fork_safe(threading.RLock())


def folder() -> Path:
    """The folder that entries are written to: `kernels` in the setting `home`.

    Where it cannot be written, a folder that lives as long as this process takes its place,
    and a warning says so.
    """
    wanted = _wanted()
    with _lock:
        if wanted not in _folders:
            _folders[wanted] = _writable(wanted)
        return _folders[wanted]


def _wanted() -> Path:
    return Path(setting("home")) / "kernels"


def _writable(wanted: Path) -> Path:
    # 3 ms of imports that a process does without where all it needs is in the cache.
    import atexit
    import tempfile

    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=wanted, prefix=".probe"):
            return wanted
    except OSError as error:
        instead = Path(tempfile.mkdtemp(prefix="graphkeras-kernels-"))
        atexit.register(_remove, instead, os.getpid())
        warnings.warn(
            f"the kernel cache folder {wanted} cannot be written ({error.strerror}); kernels of "
            "this process are kept in a temporary folder and compiled again next time. Set "
            "GRAPHKERAS_HOME to a writable folder to keep them.",
            RuntimeWarning,
            stacklevel=2,
        )
        return instead


def _remove(temporary: Path, owner: int) -> None:
    import shutil

    # A forked child ends before its parent is through with the folder.
    if os.getpid() == owner:
        shutil.rmtree(temporary, ignore_errors=True)


def read(name: str) -> bytes | None:
    """The content of an entry, or None where there is no intact one.

    It is looked for in the folder of the setting `home`, be it read-only, and in the folder that
    stands in for it.
    """
    wanted = _wanted()
    for place in dict.fromkeys((wanted, _folders.get(wanted, wanted))):
        content = _read(place / name)
        if content is not None:
            return content
    return None


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _log.debug("cannot read cache entry %s: %s", path, error)
        return None
    head = len(_MAGIC)
    payload = data[head + _DIGEST :]
    intact = data[:head] == _MAGIC and data[head : head + _DIGEST] == _checksum(payload)
    name, _, content = payload.partition(b"\0")
    if intact and name == path.name.encode():
        return content
    _log.debug("cache entry %s is damaged or foreign; it is made again", path)
    return None


def write(name: str, content: bytes) -> None:
    """Keeps an entry; a warning is logged where that fails."""
    path = folder() / name
    payload = name.encode() + b"\0" + content
    try:
        write_file(path, _MAGIC + _checksum(payload) + payload)
    except OSError as error:
        _log.warning("cannot keep the cache entry %s: %s", path, error)


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def write_file(path: Path, data: bytes) -> None:
    """Writes a file that other processes see complete or not at all."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:20]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@cache
def sources_digest(*places: str) -> str:
    """Digest of the package's own sources, and of the versions of Python and NumPy.

    Args:
        places: Files and folders of the package, such as `"native"`.
    """
    root = Path(graphkeras.__file__).parent
    digest = hashlib.sha256(f"{graphkeras.__version__}\n{sys.version}\n{np.__version__}".encode())
    for place in places:
        path = root / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
