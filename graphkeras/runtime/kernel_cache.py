"""Compiled kernels, kept on disk and shared by processes.

    generated text -> <text16>_<name>.py -> LLVM -> <key>.o.bin -> address

The source file is named by a digest of its text, the object code by the key: a digest of
everything it depends on, which is the text, the code generator's own sources, versions, and
the CPU. A damaged entry (`disk_cache.py`) is compiled again. Loading a cached kernel compiles
nothing.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from graphkeras.codegen.program import KernelSource
from graphkeras.config import setting
from graphkeras.frozen import frozen
from graphkeras.locks import fork_safe
from graphkeras.native import objects
from graphkeras.native.compiler import Unit, compile_unit, compiler_version
from graphkeras.native.target import Cpu, cpu, target_machine
from graphkeras.runtime import disk_cache


@frozen
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
_lock = fork_safe(threading.RLock())


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


def identity(source: KernelSource) -> str:
    """Digest of all that decides a kernel's machine code: its text, what compiles it, the CPU."""
    return _key(Function.of(source), cpu())


def discard(sources: Sequence[KernelSource]) -> None:
    """Removes kernels from the disk. Where one is asked for again, it is compiled again."""
    for source in sources:
        for path in (source_path(source), disk_cache.folder() / _entry(identity(source))):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def source_path(source: KernelSource) -> Path:
    """Where the readable source of a kernel is kept."""
    return _source_path(Function.of(source))


def _versions(compiler: str) -> str:
    """Everything but text and target that decides how a text becomes machine code."""
    # The compilers, and what texts import.
    sources = disk_cache.sources_digest("native", "codegen/cpu", "runtime/intrinsics.py")
    return f"{sources}\n{compiler_version(compiler)}"


def _key(function: Function, target: Cpu) -> str:
    signature = f"{function.entry}({','.join(function.arguments)})->{function.result}"
    compiler = setting("compiler")
    made_by = (_versions(compiler), compiler, target.name, target.features)
    parts = (*made_by, signature, function.text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _symbol(key: str) -> str:
    return f"graphkeras_{key[:32]}"


def _source_path(function: Function) -> Path:
    readable = re.sub(r"\W+", "_", function.name)[:80]
    digest = hashlib.sha256(function.text.encode()).hexdigest()
    return disk_cache.folder() / f"{digest[:16]}_{readable}.py"


def _object_codes(functions: Mapping[str, Function], target: Cpu) -> dict[str, bytes]:
    """Object code by key: from the disk, and what is missing there compiled and kept."""
    found = {key: disk_cache.read(_entry(key)) for key in functions}
    missing = [key for key, code in found.items() if code is None]
    if missing:
        # The pool loads its own functions from here.
        from graphkeras.native.workers import compile_objects
        from graphkeras.runtime.pool import get_num_threads

        units = [_unit(functions[key], key) for key in missing]
        compiled = compile_objects(units, setting("compiler"), target, get_num_threads())
        for key, code in zip(missing, compiled, strict=True):
            found[key] = code
            disk_cache.write(_entry(key), code)
    return {key: code for key, code in found.items() if code is not None}


def _entry(key: str) -> str:
    return f"{key}.o.bin"


def _compile(function: Function, target: Cpu) -> Any:
    return compile_unit(_unit(function, _key(function, target)), setting("compiler"), target)


def _unit(function: Function, key: str) -> Unit:
    """What to compile, with its text in its file."""
    path = _source_path(function)
    head = "".join(f"# {line}".rstrip() + "\n" for line in function.comment.splitlines())
    text = (head + function.text).encode()
    if not path.exists() or path.read_bytes() != text:
        disk_cache.write_file(path, text)
    return Unit(path, function.entry, _symbol(key), function.arguments, function.result)
