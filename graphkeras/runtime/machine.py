"""What the machine can do: its rate of multiply-adds, and of bytes at each level of memory.

    share of the roofline = max(flops / peak, bytes / bandwidth) / seconds

Both rates are measured with the threads that run kernels, by loops that do nothing else, and
are the best of several rounds. Bytes are counted as for a kernel, those of its operands and
results: what a store reads of a line before it writes it counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from graphkeras.codegen.cpu.target import target
from graphkeras.codegen.program import KernelSource
from graphkeras.frozen import frozen
from graphkeras.ir.op import Array
from graphkeras.runtime import kernel_cache, pool
from graphkeras.runtime.context import ALIGNMENT, aligned
from graphkeras.runtime.pool import Job, row_of

SYSTEM = Path("/sys/devices/system/cpu/cpu0/cache")
UNKNOWN_CACHES = {"L2": 1 << 20, "L3": 32 << 20}
"""Bytes of the caches where the system does not tell."""
LARGEST = 1 << 30
"""Most bytes of memory to measure with."""

FMA_STEPS = 1_000_000
ROUNDS = 20
ROUND_BYTES = 128 << 20
"""Bytes that a round of a bandwidth measurement moves at least: some milliseconds."""

_FMA = """\
from graphkeras.codegen.cpu.intrinsics import float32_at
from graphkeras.codegen.cpu.rates import fma_loop

fma = fma_loop({lanes}, {chains})


def kernel(tid, nthreads, argv):
    fma(argv[1], float32_at(argv[0] + tid * argv[2]))
"""

_STREAM = """\
from graphkeras.codegen.cpu.intrinsics import add_any_order, float32_at, udiv
from numba import float32


def kernel(tid, nthreads, argv):
    x = float32_at(argv[0])
    y = float32_at(argv[1])
    z = float32_at(argv[2])
    low = udiv(argv[3] * tid, nthreads)
    high = udiv(argv[3] * (tid + 1), nthreads)
    total = float32(0.0)
    for turn in range(argv[4]):
        for i in range(low, high):
            {line}
    if total == float32(-1.0):
        x[low] = total
"""

STREAMS = {
    "read": (1, "total = add_any_order(total, x[i])"),
    "copy": (2, "y[i] = x[i]"),
    "triad": (3, "z[i] = x[i] + float32(3.0) * y[i]"),
}
"""Loop -> how many arrays it touches, and what it does with an element."""


@frozen
class Level:
    """A level of memory."""

    name: str
    """`L2`, `L3` or `memory`."""
    nbytes: int
    """Bytes it holds for all threads together; what does not fit lies in the next level."""
    measured_bytes: int
    """Bytes it was measured with."""
    rates: dict[str, float]
    """Bytes a second of each loop of `STREAMS`."""

    @property
    def bandwidth(self) -> float:
        """Bytes a second of the fastest loop."""
        return max(self.rates.values())


@frozen
class Machine:
    """Measured rates."""

    threads: int
    peak_of_one: float
    """float32 operations a second of one thread."""
    peak: float
    """float32 operations a second of all threads."""
    levels: tuple[Level, ...]
    """Nearest first; the last is memory."""

    def level(self, nbytes: int) -> Level:
        """The nearest level that holds so many bytes."""
        return next((each for each in self.levels if nbytes <= each.nbytes), self.levels[-1])

    def least_seconds(self, flops: int, nbytes: int, level: Level) -> float:
        """The roofline: a kernel of so many operations and bytes takes at least this long."""
        return max(flops / self.peak, nbytes / level.bandwidth)

    def __str__(self) -> str:
        lines = [
            f"fma peak    {self.peak_of_one / 1e9:8.1f} GFLOP/s on one thread, "
            f"{self.peak / 1e9:.1f} on {self.threads}"
        ]
        for each in self.levels:
            rates = ", ".join(f"{name} {rate / 1e9:.1f}" for name, rate in each.rates.items())
            lines.append(
                f"{each.name:11} {each.bandwidth / 1e9:8.1f} GB/s "
                f"({rates}; {each.measured_bytes / 2**20:.0f} MiB)"
            )
        return "\n".join(lines)


def measure_machine() -> Machine:
    """Measures with the threads that run kernels, once a process. Takes about a second."""
    return _measure(pool.current().threads)


@cache
def _measure(threads: int) -> Machine:
    caches = cache_sizes()
    levels = []
    near = caches["L2"] * threads
    levels.append(_level("L2", near, near // 2))
    if caches["L3"] >= 4 * near:
        levels.append(_level("L3", caches["L3"], max(2 * near, caches["L3"] // 4)))
    far = min(LARGEST, max(64 << 20, 2 * caches["L3"]))
    levels.append(_level("memory", 1 << 62, far))
    peak = fma_loop(threads).rate()
    return Machine(threads, fma_loop(1).rate() if threads > 1 else peak, peak, tuple(levels))


def cache_sizes(root: Path = SYSTEM) -> dict[str, int]:
    """Bytes of the second- and third-level cache of a core, by the system's tables.

    A machine without a third level has 0 there.
    """
    found: dict[str, int] = {}
    for folder in sorted(root.glob("index*")):
        try:
            level = (folder / "level").read_text().strip()
            size = (folder / "size").read_text().strip()
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(size[-1:], 1)
        digits = size.rstrip("KM")
        if level in ("2", "3") and digits.isdigit():
            found[f"L{level}"] = int(digits) * unit
    return {"L2": found["L2"], "L3": found.get("L3", 0)} if "L2" in found else UNKNOWN_CACHES


class Loop:
    """A kernel that does nothing but multiply-adds, or nothing but move bytes.

    Args:
        source: The kernel.
        arguments: Its argv.
        memory: What the arguments point into.
        threads: Largest team.
        amount: Operations or bytes of one run by the whole team.
        of_each: Whether each member does its own part of the amount, however few there are;
            else the members share all of it.
    """

    def __init__(
        self,
        source: KernelSource,
        arguments: Sequence[int],
        memory: Array,
        threads: int,
        amount: int,
        of_each: bool = False,
    ) -> None:
        (address,) = kernel_cache.load([source])
        self._argv = np.array(arguments, np.int64)
        self._memory = memory
        self._job = Job([row_of(address, self._argv.ctypes.data)], threads)
        self._job.attach(pool.current())
        self._amount = amount
        self._of_each = of_each

    def run(self) -> float:
        """Runs it once; returns the operations or bytes that were done."""
        team = self._job.run()
        return self._amount * team / self._job.team if self._of_each else self._amount

    def rate(self) -> float:
        """Operations or bytes a second, by the fastest of some runs."""
        best = 0.0
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            done = self.run()
            best = max(best, done / (time.perf_counter() - begin))
        return best


def fma_loop(threads: int, steps: int = FMA_STEPS) -> Loop:
    """Multiply-adds on registers, in more chains than hide the latency of one."""
    cpu = target()
    chains = min(24, cpu.registers - 4)
    source = KernelSource("fma_peak", _FMA.format(lanes=cpu.lanes, chains=chains))
    stride = -(-4 * cpu.lanes * (chains + 2) // ALIGNMENT) * ALIGNMENT
    memory, begin = _filled(stride * threads)
    amount = 2 * cpu.lanes * chains * steps * threads
    return Loop(source, (begin, steps, stride), memory, threads, amount, of_each=True)


def stream_loop(name: str, nbytes: int) -> Loop:
    """A loop of `STREAMS` over arrays of so many bytes together, by all threads."""
    arrays, line = STREAMS[name]
    memory, begin = _filled(nbytes)
    count = nbytes // arrays // ALIGNMENT * ALIGNMENT // 4
    turns = max(1, ROUND_BYTES // nbytes)
    addresses = [begin + 4 * count * min(i, arrays - 1) for i in range(3)]
    source = KernelSource(f"stream_{name}", _STREAM.format(line=line))
    amount = 4 * count * arrays * turns
    return Loop(source, (*addresses, count, turns), memory, pool.current().threads, amount)


def _level(name: str, capacity: int, measured: int) -> Level:
    rates = {loop: stream_loop(loop, measured).rate() for loop in STREAMS}
    return Level(name, capacity, measured, rates)


def _filled(nbytes: int) -> tuple[Array, int]:
    """Aligned memory whose pages exist, all zero."""
    memory, begin = aligned(nbytes)
    memory[...] = 0
    return memory, begin
