"""Where the time of a program goes: kernels, waiting, and what the machine could do.

Every thread notes three times for each launch::

    thread 0   |== conv ==========|.|== pool ===|        = work     begin .. end
    thread 1   |== conv =======|....|== pool ===|        . waiting  end .. passed

`seconds` of a kernel is the work of its slowest thread, `waiting` the mean wait of a thread at
the barrier behind it: the price of an uneven cut, or of threads that have nothing to do. Both
are medians over the runs. Rates divide the operations and bytes of the definition
(`ir/cost.py`) by `seconds`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphkeras.codegen.program import Program
from graphkeras.frozen import frozen
from graphkeras.ir.cost import flops, traffic
from graphkeras.ir.dims import evaluate
from graphkeras.ir.op import Array
from graphkeras.passes.memory import Buffer, Layout, Place
from graphkeras.runtime.machine import Level, Machine

_COLUMNS = f"{'us':>9} {'share':>6} {'wait us':>8} {'GFLOP/s':>8} {'GB/s':>7} {'roof':>6}  kernel"


@frozen
class KernelProfile:
    """One launch."""

    name: str
    layer: str
    """Path of the layer it computes, else file and line; `unknown` where it has neither."""
    phase: str
    """`forward`, `loss`, `metrics`, `backward` or `update`."""
    seconds: float
    """Work of its slowest thread."""
    waiting: float
    """Seconds that a thread waits behind it, on average."""
    threads: int
    """Threads that have a part in it."""
    flops: int
    nbytes: int
    """Bytes of its distinct operands and results."""
    roof: float | None
    """Share of the roofline, 1 at the roof; None where the machine was not measured."""

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations a second."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gigabytes(self) -> float:
        """Billions of bytes a second."""
        return self.nbytes / self.seconds / 1e9 if self.seconds else 0.0


@frozen
class Profile:
    """A program, measured."""

    name: str
    sizes: Mapping[str, int]
    threads: int
    runs: int
    """Complete runs that were measured."""
    seconds: float
    """A run, from the begin of the first kernel to the end of the last."""
    kernels: tuple[KernelProfile, ...]
    times: Array
    """The median run: nanoseconds `[thread, launch, begin | end | passed]` from its begin."""
    machine: Machine | None
    level: Level | None
    """The memory level of the roofline: the nearest that holds all the program touches."""

    @property
    def working(self) -> float:
        """Seconds of the median run that a thread works, on average."""
        return self._mean(0, 1)

    @property
    def waiting(self) -> float:
        """Seconds of the median run that a thread waits at barriers, on average."""
        return self._mean(1, 2)

    def _mean(self, begin: int, end: int) -> float:
        spent = self.times[:, :, end] - self.times[:, :, begin]
        return float(spent.sum()) / (1e9 * self.threads)

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {size}" for name, size in self.sizes.items())
        total = self.seconds or 1.0
        lines = [
            f"{self.name}{f' for {at}' if at else ''}: {self.seconds * 1e6:.1f} us, "
            f"{self.threads} thread{'s' * (self.threads > 1)}, median of {self.runs} runs",
            f"work {self.working / total:.0%}, waiting at barriers {self.waiting / total:.0%}",
            _COLUMNS,
        ]
        lines += [self._row(kernel) for kernel in self.kernels]
        done = sum(k.flops for k in self.kernels), sum(k.nbytes for k in self.kernels)
        lines.append(
            f"{self.seconds * 1e6:9.1f} {'':6} {self.waiting * 1e6:8.1f} "
            f"{done[0] / total / 1e9:8.1f} {done[1] / total / 1e9:7.1f} {self._roof(*done):>6}  all"
        )
        if self.machine is not None and self.level is not None:
            lines += ["", str(self.machine), f"roof: fma peak and {self.level.name}"]
        return "\n".join(lines)

    def _roof(self, operations: int, nbytes: int) -> str:
        if self.machine is None or self.level is None or not self.seconds:
            return "-"
        least = self.machine.least_seconds(operations, nbytes, self.level)
        return f"{least / self.seconds:.0%}"

    def _row(self, kernel: KernelProfile) -> str:
        roof = "-" if kernel.roof is None else f"{kernel.roof:.0%}"
        share = kernel.seconds / self.seconds if self.seconds else 0.0
        rate = f"{kernel.gflops:.1f}" if kernel.flops else "-"
        return (
            f"{kernel.seconds * 1e6:9.2f} {share:6.1%} {kernel.waiting * 1e6:8.2f} "
            f"{rate:>8} {kernel.gigabytes:7.1f} {roof:>6}  "
            f"{kernel.layer} ({kernel.phase}): {kernel.name}"
        )

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> Path:
        """Writes the median run for https://ui.perfetto.dev or chrome://tracing.

        One row a thread; work and waiting are events of the categories `kernel` and `wait`.

        Args:
            path: The `.json` file to write.

        Returns:
            The path.
        """
        events = [_named("process_name", 0, f"graphkeras {self.name}")]
        for tid in range(self.threads):
            events.append(_named("thread_name", tid, f"thread {tid}"))
            events.append(_named("thread_sort_index", tid, tid))
            for row, kernel in enumerate(self.kernels):
                events += self._events(tid, row, kernel)
        document = {"traceEvents": events, "displayTimeUnit": "ns"}
        path = Path(path)
        path.write_text(json.dumps(document, indent=0), encoding="utf-8")
        return path

    def _events(self, tid: int, row: int, kernel: KernelProfile) -> list[dict[str, Any]]:
        begin, end, passed = (int(each) for each in self.times[tid, row])
        facts: dict[str, Any] = {
            "launch": row,
            "layer": kernel.layer,
            "phase": kernel.phase,
            "flops": kernel.flops,
            "bytes": kernel.nbytes,
            "GFLOP/s": round(kernel.gflops, 2),
            "GB/s": round(kernel.gigabytes, 2),
        }
        if kernel.roof is not None:
            facts["share of the roofline"] = round(kernel.roof, 3)
        events = [_event(kernel.name, "kernel", tid, begin, end, facts)]
        if passed > end:
            events.append(_event("wait", "wait", tid, end, passed, {"launch": row}))
        return events


def _named(kind: str, tid: int, value: object) -> dict[str, Any]:
    key = "sort_index" if kind.endswith("sort_index") else "name"
    return {"ph": "M", "name": kind, "pid": 1, "tid": tid, "args": {key: value}}


def _event(
    name: str, category: str, tid: int, begin: int, end: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """A complete event; the format counts microseconds."""
    span = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
    return {"ph": "X", "name": name, "cat": category, "pid": 1, "tid": tid, **span, "args": facts}


def make_profile(
    program: Program,
    sizes: Mapping[str, int],
    layout: Layout,
    runs: Array,
    machine: Machine | None,
) -> Profile:
    """The report of measured runs.

    Args:
        program: The program.
        sizes: Its run-time sizes.
        layout: Its memory plan.
        runs: Nanoseconds `[run, thread, launch, begin | end | passed]`, all by a whole team.
        machine: What the machine can do.
    """
    count, threads, rows, _ = runs.shape
    level = machine.level(_memory(program, sizes, layout)) if machine is not None else None
    begins = runs[:, :, :1, :1].min(axis=1, keepdims=True) if rows else np.zeros((count, 1, 1, 1))
    times = runs - begins.astype(np.int64)
    totals = times.max(axis=(1, 2, 3), initial=0)
    middle = int(np.argsort(totals, kind="stable")[count // 2])
    work = np.median((times[..., 1] - times[..., 0]).max(axis=1), axis=0) / 1e9
    waits = np.median((times[..., 2] - times[..., 1]).mean(axis=1), axis=0) / 1e9
    kernels = []
    for launch, seconds, waiting in zip(program.launches, work, waits, strict=True):
        node = program.graph.nodes[launch.node]
        operations = evaluate(flops(node), sizes)
        nbytes = evaluate(traffic(node), sizes)
        roof = None
        if machine is not None and level is not None and seconds > 0:
            roof = machine.least_seconds(operations, nbytes, level) / float(seconds)
        parts = launch.footprint.parts(threads, sizes) if launch.footprint else threads
        kernels.append(
            KernelProfile(
                launch.kernel.name,
                node.loc.layer or str(node.loc),
                node.loc.phase,
                float(seconds),
                float(waiting),
                parts,
                operations,
                nbytes,
                roof,
            )
        )
    return Profile(
        program.signature.name,
        dict(sizes),
        threads,
        count,
        float(totals[middle]) / 1e9,
        tuple(kernels),
        times[middle],
        machine,
        level,
    )


def _memory(program: Program, sizes: Mapping[str, int], layout: Layout) -> int:
    """Bytes of all the memory that a run touches."""
    graph = program.signature
    read = {
        argument.index
        for launch in program.launches
        for argument in launch.arguments
        if isinstance(argument, Buffer) and argument.place is Place.INPUT
    }
    total = layout.peak_bytes + sum(array.nbytes for array in program.constants)
    total += sum(graph.inputs[i].type.nbytes(sizes) for i in read)
    outputs: Sequence[int] = [i for i in range(len(graph.outputs)) if i not in graph.aliases]
    return total + sum(graph.outputs[i].type.nbytes(sizes) for i in outputs)
