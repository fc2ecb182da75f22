"""Loads object code into this process, with LLVM's own linker (MCJIT).

Nothing is compiled here, so a process whose kernels are all cached starts fast.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import llvmlite.binding as llvm

from graphkeras.locks import fork_safe
from graphkeras.native.errors import NativeCodeError
from graphkeras.native.target import host, new_machine

_ELF = b"\x7fELF\x02\x01"
"""Head of a 64-bit little-endian ELF file."""

_engine: Any = None
_kept: list[bytes] = []
_lock = fork_safe(threading.RLock())


def load_objects(objects: Sequence[tuple[str, bytes]]) -> list[int]:
    """Loads object files for the life of the process.

    Args:
        objects: Pairs of a symbol and the object code that defines it. A symbol must not have
            been loaded before.

    Returns:
        The address of every symbol.

    Raises:
        NativeCodeError: An object needs a symbol that this process does not have.
    """
    global _engine
    with _lock:
        if _engine is None:
            _load_math_library()
        for symbol, code in objects:
            _check_symbols(symbol, code)
        if _engine is None:
            # The engine owns its machine, so it gets one of its own.
            _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), new_machine(host()))
        for _, code in objects:
            _kept.append(code)
            _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        _engine.finalize_object()
        return [_engine.get_function_address(symbol) for symbol, _ in objects]


def _load_math_library() -> None:
    # glibc keeps `expf` and its like in a library of their own, which Python loads for itself
    # only. Elsewhere (musl, macOS) they are in the C library, and this file does not exist.
    if sys.platform.startswith("linux"):
        with suppress(RuntimeError):
            llvm.load_library_permanently("libm.so.6")


def _check_symbols(symbol: str, code: bytes) -> None:
    # LLVM ends the process at an unknown symbol; an exception says which one it is.
    if not code.startswith(_ELF):
        return
    missing = [name for name in undefined_symbols(code) if not llvm.address_of_symbol(name)]
    if missing:
        raise NativeCodeError(f"{symbol} needs {', '.join(missing)}, unknown in this process")


def undefined_symbols(code: bytes) -> list[str]:
    """Sorted names that an ELF object file takes from elsewhere (`expf`, `memset`, ...).

    Raises:
        NativeCodeError: `code` is not a 64-bit little-endian ELF object.
    """
    if not code.startswith(_ELF):
        raise NativeCodeError("not a 64-bit little-endian ELF object file")
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + i * size) for i in range(count)]
    names = set()
    for _, kind, _, _, offset, length, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for at in range(offset + entry, offset + length, entry):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            if section == 0:
                names.add(code[strings + name : code.index(b"\0", strings + name)].decode())
    return sorted(names - {""})
