"""Compiled kernels, kept on disk and shared by processes.

    generated text -> <text16>_<name>.py -> LLVM -> <key>.o.bin -> address

The source file is named by a digest of its text, the object code by the key: a digest of
everything it depends on, which is the text, the code generator's own sources, versions, and
the CPU. Files are written beside their place and moved there in one step, so processes and
threads may compile the same kernel at once: the last one wins, all are equal. An entry carries
a checksum; a damaged one is compiled again. Loading a cached kernel compiles nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import graphkeras
from graphkeras.codegen.program import KernelSource
from graphkeras.config import setting
from graphkeras.native import objects
from graphkeras.native.compiler import Unit, compile_unit
from graphkeras.native.target import Cpu, cpu, target_machine

_log = logging.getLogger("graphkeras.kernels")

_MAGIC = b"graphkeras-kernel-1\n"
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Function:
    """A native function to compile: one function of a generated module, with a C signature."""

    name: str
    """For file names only."""
    text: str
    """Complete Python source of the module."""
    entry: str = "kernel"
    arguments: tuple[str, ...] = ("int64", "int64", "int64*")
    result: str = "void"
    comment: str = ""
    """Lines for the head of the file; like the name, no part of what is compiled."""

    @staticmethod
    def of(source: KernelSource) -> Function:
        """A kernel as a function with the kernel's signature."""
        return Function(source.name, source.text, comment=source.comment)


_addresses: dict[str, int] = {}
_folders: dict[Path, Path] = {}
_lock = threading.RLock()


def _forget_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def load(sources: Sequence[KernelSource]) -> list[int]:
    """Addresses of kernels, compiled where neither this process nor the disk has them.

    Args:
        sources: Generated kernels; equal texts give one address.

    Returns:
        The address of each, callable as `void kernel(int64 tid, int64 nthreads, int64 *argv)`
        for the life of the process.

    Raises:
        KernelCompileError: A source does not compile.
    """
    return load_functions([Function.of(source) for source in sources])


def load_functions(functions: Sequence[Function]) -> list[int]:
    """As `load`, for functions of any signature."""
    target = cpu()
    keys = [_key(function, target) for function in functions]
    if any(key not in _addresses for key in keys):
        with _lock:
            missing = {k: f for k, f in zip(keys, functions, strict=True) if k not in _addresses}
            code = _object_codes(missing, target)
            loaded = objects.load_objects([(_symbol(key), code[key]) for key in missing])
            _addresses.update(zip(missing, loaded, strict=True))
    return [_addresses[key] for key in keys]


def assembly(source: KernelSource) -> str:
    """The machine code of a kernel as assembly text, compiled anew."""
    target = cpu()
    module = _compile(Function.of(source), target)
    return str(target_machine(target).emit_assembly(module))


def llvm_ir(source: KernelSource) -> str:
    """The optimised LLVM IR of a kernel, compiled anew."""
    return str(_compile(Function.of(source), cpu()))


def source_path(source: KernelSource) -> Path:
    """Where the readable source of a kernel is kept."""
    return _source_path(Function.of(source))


def folder() -> Path:
    """The folder of the cache: `kernels` in the setting `home`.

    Where it cannot be written, a folder that lives as long as this process takes its place,
    and a warning says so.
    """
    wanted = Path(setting("home")) / "kernels"
    with _lock:
        if wanted not in _folders:
            _folders[wanted] = _usable(wanted)
        return _folders[wanted]


def _usable(wanted: Path) -> Path:
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
    # A forked child ends before its parent is through with the folder.
    if os.getpid() == owner:
        shutil.rmtree(temporary, ignore_errors=True)


@cache
def _sources_digest() -> bytes:
    """Digest of the sources that decide how a text becomes machine code.

    They are the compilers, and what texts import.
    """
    root = Path(graphkeras.__file__).parent
    sources = [root / "runtime/intrinsics.py"]
    sources += [*(root / "native").rglob("*.py"), *(root / "codegen" / "cpu").rglob("*.py")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


@cache
def _versions() -> str:
    packages = ("numba", "llvmlite")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    own = getattr(graphkeras, "__version__", "")
    return "\n".join([f"graphkeras {own}", *versions, sys.version, _sources_digest().hex()])


def _key(function: Function, target: Cpu) -> str:
    signature = f"{function.entry}({','.join(function.arguments)})->{function.result}"
    made_by = (_versions(), setting("compiler"), target.name, target.features)
    parts = (*made_by, signature, function.text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _symbol(key: str) -> str:
    return f"graphkeras_{key[:32]}"


def _source_path(function: Function) -> Path:
    readable = re.sub(r"\W+", "_", function.name)[:80]
    return folder() / f"{hashlib.sha256(function.text.encode()).hexdigest()[:16]}_{readable}.py"


def _object_codes(functions: Mapping[str, Function], target: Cpu) -> dict[str, bytes]:
    """Object code by key: from the disk, and what is missing there compiled and kept."""
    found = {key: _read_entry(_entry_path(key), key) for key in functions}
    missing = [key for key, code in found.items() if code is None]
    if missing:
        # The pool loads its own functions from here.
        from graphkeras.native.workers import compile_objects
        from graphkeras.runtime.pool import get_num_threads

        units = [_unit(functions[key], key) for key in missing]
        compiled = compile_objects(units, setting("compiler"), target, get_num_threads())
        for key, code in zip(missing, compiled, strict=True):
            found[key] = code
            _write_entry(_entry_path(key), key, code)
    return {key: code for key, code in found.items() if code is not None}


def _entry_path(key: str) -> Path:
    return folder() / f"{key}.o.bin"


def _read_entry(path: Path, key: str) -> bytes | None:
    """The object code in a cache entry, or None where there is no intact entry."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.debug("cannot read kernel cache entry %s: %s", path, error)
        return None
    head = len(_MAGIC)
    payload = data[head + _DIGEST :]
    intact = data[:head] == _MAGIC and data[head : head + _DIGEST] == _checksum(payload)
    symbol, _, code = payload.partition(b"\0")
    if intact and symbol == _symbol(key).encode():
        return code
    _log.debug("kernel cache entry %s is damaged or foreign; compiling it again", path)
    return None


def _write_entry(path: Path, key: str, code: bytes) -> None:
    payload = _symbol(key).encode() + b"\0" + code
    try:
        _write(path, _MAGIC + _checksum(payload) + payload)
    except OSError as error:
        _log.warning("cannot keep the compiled kernel %s: %s", path, error)


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def _write(path: Path, data: bytes) -> None:
    """Writes a file that other processes see complete or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:20]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _compile(function: Function, target: Cpu) -> Any:
    return compile_unit(_unit(function, _key(function, target)), setting("compiler"), target)


def _unit(function: Function, key: str) -> Unit:
    """What to compile, with its text in its file."""
    path = _source_path(function)
    head = "".join(f"# {line}".rstrip() + "\n" for line in function.comment.splitlines())
    text = (head + function.text).encode()
    if not path.exists() or path.read_bytes() != text:
        _write(path, text)
    return Unit(path, function.entry, _symbol(key), function.arguments, function.result)
