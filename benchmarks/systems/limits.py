"""The machine's limits beside a kernel: the least seconds that its measured rates allow."""

from __future__ import annotations

from time import perf_counter

from benchmarks.systems.calls import ROUND
from benchmarks.work import Convolution, Prepared, Product, Work
from graphkeras.runtime.machine import Loop, fma_loop, measure_machine, stream_loop

SHORT_STEPS = 50_000
"""Multiply-adds of a chain in one run: below a millisecond, as long as a small kernel."""


def prepare(work: Work) -> Prepared:
    """Operations against the fma peak, or bytes against memory, whichever takes longer.

    Memory is the nearest level that holds the kernel's operands and result. A round is as long
    as that of any other system, and the mean of its runs counts: on a shared machine the best of
    many short runs would be a speed that nothing keeps up for a round.

    Raises:
        NotImplementedError: The work is no single kernel.
    """
    if not isinstance(work, Product | Convolution):
        raise NotImplementedError(f"no limit is known for {work}")
    machine = measure_machine()
    level = machine.level(int(work.bytes))
    needed, loop = work.operations, fma_loop(machine.threads, SHORT_STEPS)
    if work.bytes / level.bandwidth > work.operations / machine.peak:
        fastest = max(level.rates, key=level.rates.__getitem__)
        needed, loop = work.bytes, stream_loop(fastest, level.measured_bytes)
    return Prepared(lambda: needed * _seconds_of_one(loop), 1, [], tells_seconds=True)


def _seconds_of_one(loop: Loop) -> float:
    """Seconds of an operation, or of a byte, in a round."""
    done = 0.0
    begin = perf_counter()
    while (seconds := perf_counter() - begin) < ROUND or not done:
        done += loop.run()
    return seconds / done
