"""What the CPU offers the code generator: vector width, registers and cache.

The host's features come from LLVM. The setting `cpu` (`GRAPHKERAS_CPU`) forces a narrower
machine, to test its code paths.

    AVX-512  32 registers of 16 lanes
    AVX2     16 registers of  8 lanes
    NEON     32 registers of  4 lanes
    generic  16 registers of  4 lanes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from graphkeras.config import setting


@dataclass(frozen=True)
class Target:
    """A CPU as the code generator sees it."""

    name: str
    lanes: int
    """float32 elements of a vector register."""
    registers: int
    """Vector registers."""


AVX512 = Target("avx512", 16, 32)
AVX2 = Target("avx2", 8, 16)
NEON = Target("neon", 4, 32)
GENERIC = Target("generic", 4, 16)


@cache
def _host() -> Target:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    if all(features.get(f) for f in ("avx512f", "avx512vl", "avx512dq")):
        return AVX512
    if features.get("avx2") and features.get("fma"):
        return AVX2
    if features.get("neon"):
        return NEON
    return GENERIC


def target() -> Target:
    """The CPU to generate code for."""
    forced = setting("cpu")
    known = {t.name: t for t in (AVX512, AVX2, GENERIC)}
    return known[forced] if forced else _host()
