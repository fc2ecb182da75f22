"""What the CPU offers the code generator: vector width, registers and cache.

The setting `cpu` (`GRAPHKERAS_CPU`) forces a narrower machine, to test its code paths; else it is
the widest that `native/target.py` says this machine runs.

    AVX-512  32 registers of 16 lanes
    AVX2     16 registers of  8 lanes
    NEON     32 registers of  4 lanes, 30 of them for tiles
    generic  16 registers of  4 lanes

NEON multiplies by an element of a register, where AVX-512 takes one from memory: with 28 sums of
14 x 2 vectors LLVM spills 25 times in a round of 4 steps, with 30 registers' worth never.
"""

from __future__ import annotations

from graphkeras.config import setting
from graphkeras.frozen import frozen
from graphkeras.native.target import levels


@frozen
class Target:
    """A CPU as the code generator sees it."""

    name: str
    lanes: int
    """float32 elements of a vector register."""
    registers: int
    """Vector registers that a tile may fill."""


AVX512 = Target("avx512", 16, 32)
AVX2 = Target("avx2", 8, 16)
NEON = Target("neon", 4, 30)
GENERIC = Target("generic", 4, 16)


_BY_NAME = {target.name: target for target in (AVX512, AVX2, NEON, GENERIC)}


def target() -> Target:
    """The CPU to generate code for."""
    return _BY_NAME[setting("cpu") or levels()[0]]
