"""The machine's limits beside a kernel: the least seconds that its measured rates allow."""

from __future__ import annotations

from benchmarks.work import Convolution, Prepared, Product, Work
from graphkeras.runtime.machine import measure_machine


def prepare(work: Work) -> Prepared:
    """A round measures the machine again, as its speed changes during a run.

    Operations are held against the fma peak, bytes against the nearest level of memory that
    holds the kernel's operands and result.

    Raises:
        NotImplementedError: The work is no single kernel.
    """
    if not isinstance(work, Product | Convolution):
        raise NotImplementedError(f"no limit is known for {work}")
    operations, nbytes = int(work.operations), int(work.bytes)

    def run() -> float:
        machine = measure_machine(again=True)
        return machine.least_seconds(operations, nbytes, machine.level(nbytes))

    return Prepared(run, 1, [], tells_seconds=True)
