"""The CPU that native code is made for, and LLVM's code generator for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from graphkeras.config import setting
from graphkeras.locks import fork_safe


@dataclass(frozen=True)
class Cpu:
    """What code is generated for, in LLVM's words."""

    name: str
    features: str
    """`+avx2,-sse4a,...`; empty where the name says everything."""


_LEVELS = {"avx512": "x86-64-v4", "avx2": "x86-64-v3", "generic": "generic"}
"""The setting `cpu` -> the CPU whose instructions are allowed."""

_WIDE = "-prefer-256-bit"
"""LLVM keeps to half of AVX-512's registers on many CPUs that have them, for the sake of programs
with little vector code. Whole registers made pooling 15 % and a softmax's loops 25 % faster."""


def cpu() -> Cpu:
    """The CPU kernels are made for: this machine's, or the level in the setting `cpu`."""
    level = setting("cpu")
    if level:
        return Cpu(_LEVELS[level], _WIDE if level == "avx512" else "")
    return host()


@cache
def host() -> Cpu:
    """This machine's CPU."""
    features = llvm.get_host_cpu_features()
    wide = [_WIDE] if features.get("avx512f") else []
    return Cpu(llvm.get_host_cpu_name(), ",".join([features.flatten(), *wide]))


_machines: dict[Cpu, Any] = {}
_lock = fork_safe(threading.RLock())


def target_machine(target: Cpu) -> Any:
    """LLVM's code generator for `target`, at its highest optimisation level."""
    with _lock:
        if target not in _machines:
            _machines[target] = new_machine(target)
        return _machines[target]


def new_machine(target: Cpu) -> Any:
    """A code generator of the caller's own; see `target_machine`."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    # Static relocations with LLVM's model for JIT code: sections may lie anywhere in memory.
    return triple.create_target_machine(
        cpu=target.name,
        features=target.features,
        opt=3,
        reloc="static" if triple.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
