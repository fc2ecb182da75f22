"""What the CPU offers the code generator: vector width, registers, and the tile for a GEMM.

The host's features come from LLVM. The setting `cpu` (`GRAPHKERAS_CPU`) forces a narrower
machine, to test its code paths.

Tiles (rows x vectors) keep every accumulator in a register and leave some for operands::

    AVX-512  32 registers of 16 lanes    12 x 2 = 24 accumulators (1 x 2 vectors: 14 x 1)
    AVX2     16 registers of  8 lanes     6 x 2 = 12
    NEON     32 registers of  4 lanes     6 x 4 = 24
    generic  16 registers of  4 lanes     4 x 2 =  8
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from graphkeras.config import setting
from graphkeras.ir.dims import Dim


@dataclass(frozen=True)
class Target:
    """A CPU as the code generator sees it."""

    name: str
    lanes: int
    """float32 elements of a vector register."""
    rows: int
    """Rows of a GEMM tile."""
    vectors: int
    """Vectors of a GEMM tile's row."""


AVX512 = Target("avx512", 16, 12, 2)
AVX2 = Target("avx2", 8, 6, 2)
NEON = Target("neon", 4, 6, 4)
GENERIC = Target("generic", 4, 4, 2)


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


@dataclass(frozen=True)
class Tile:
    """A register tile of `rows` x `columns` elements and the blocks around it."""

    dtype: str
    rows: int
    columns: int
    lanes: int

    @property
    def vectors(self) -> int:
        """Vector registers of a row."""
        return self.columns // self.lanes


def gemm_tile(dtype: str, itemsize: int, columns: Dim) -> Tile:
    """The tile for a product with `columns` columns: one vector wide for narrow ones."""
    cpu = target()
    lanes = cpu.lanes * 4 // itemsize
    if isinstance(columns, int) and columns <= lanes:
        return Tile(dtype, cpu.rows, lanes, lanes)
    return Tile(dtype, cpu.rows, cpu.vectors * lanes, lanes)
