"""The CPU that native code is made for, and LLVM's code generator for it."""

from __future__ import annotations

import platform
import threading
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from graphkeras.config import setting
from graphkeras.errors import ConfigError
from graphkeras.frozen import frozen
from graphkeras.locks import fork_safe


@frozen
class Cpu:
    """What code is generated for, in LLVM's words."""

    name: str
    features: str
    """`+avx2,-sse4a,...`; empty where the name says everything."""


@frozen
class _Level:
    """A set of instructions that kernels may be made of."""

    llvm: str
    """LLVM's name of the CPU that has these and no others."""
    machines: tuple[str, ...]
    """What Python calls the machines that may have them."""
    needs: tuple[str, ...] = ()
    """Features, in LLVM's names, that tell that this one has."""


_X86, _ARM = ("x86_64", "amd64"), ("aarch64", "arm64")
LEVELS = {
    "avx512": _Level("x86-64-v4", _X86, ("avx512f", "avx512bw", "avx512dq", "avx512vl")),
    "avx2": _Level("x86-64-v3", _X86, ("avx2", "fma", "bmi2")),
    "neon": _Level("generic", _ARM),  # every 64-bit Arm has it
    "generic": _Level("generic", (*_X86, *_ARM)),
}
"""The setting `cpu` -> what it allows, widest first."""

_WIDE = "-prefer-256-bit"
"""LLVM keeps to half of AVX-512's registers on many CPUs that have them, for the sake of programs
with little vector code. Whole registers made pooling 15 % and a softmax's loops 25 % faster."""


@cache
def levels() -> tuple[str, ...]:
    """The values of the setting `cpu` that this machine can run, widest first."""
    machine, features = platform.machine().lower(), llvm.get_host_cpu_features()
    return tuple(
        name
        for name, level in LEVELS.items()
        if machine in level.machines and all(features.get(f) for f in level.needs)
    ) or ("generic",)


def cpu() -> Cpu:
    """The CPU kernels are made for: this machine's, or the level in the setting `cpu`.

    Raises:
        ConfigError: The setting names instructions that this machine does not have.
    """
    level = setting("cpu")
    if not level:
        return host()
    if level not in levels():
        raise ConfigError(
            f"setting 'cpu': this machine ({platform.machine()}) does not run {level!r} "
            f"instructions; it runs {', '.join(map(repr, levels()))}\n"
            "  leave GRAPHKERAS_CPU empty for the widest of them"
        )
    return Cpu(LEVELS[level].llvm, _WIDE if level == "avx512" else "")


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
