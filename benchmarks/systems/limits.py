"""The machine's limits, by the seconds of one fma operation and of one byte of memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.work import Prepared, Work

CHAINS = 16
"""Independent sums: more than latency times ports, fewer than registers."""
COPIED = 1 << 26
"""Elements a thread copies: 256 MiB, beyond every cache."""


def prepare(work: Work, limit: str) -> Prepared:
    """A round of `units` operations on all cores (`"fma"`) or bytes of memory (`"memory"`)."""
    threads = len(os.sched_getaffinity(0))
    workers = ThreadPoolExecutor(threads)
    if limit == "fma":
        kernel, lanes = _fma_loop()
        loops = 10_000_000
        jobs: list[Callable[[], Any]] = [lambda: kernel(loops, 1e-9)] * threads
        units = 2 * lanes * CHAINS * loops * threads
    else:
        size = COPIED // threads
        pairs = [(np.zeros(size, np.float32), np.ones(size, np.float32)) for _ in range(threads)]
        jobs = [lambda p=p: np.copyto(*p) for p in pairs]  # type: ignore[misc]
        units = 2 * 4 * size * threads

    def run() -> None:
        for future in [workers.submit(job) for job in jobs]:
            future.result()

    run()
    return Prepared(run, units, [])


def _fma_loop() -> tuple[Callable[[int, float], float], int]:
    """A loop of `CHAINS` independent vector fmas, and the lanes of a vector."""
    import llvmlite.binding as llvm

    from graphkeras.codegen.cpu.target import target

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    lanes = target().lanes
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_source(lanes)), machine)
    engine.finalize_object()
    address = engine.get_function_address("fma_loop")
    kind = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float)

    def kernel(loops: int, start: float, engine: Any = engine) -> float:
        return float(kind(address)(loops, start))

    return kernel, lanes


def _source(lanes: int) -> str:
    v, chains = f"<{lanes} x float>", range(CHAINS)
    phis = [f"  %p{i} = phi {v} [%a, %entry], [%r{i}, %loop]" for i in chains]
    fmas = [
        f"  %r{i} = call {v} @llvm.fmuladd.v{lanes}f32({v} %p{i}, {v} %a, {v} %p{i})"
        for i in chains
    ]
    sums = [f"  %s{i} = fadd {v} {'%r0' if i == 1 else f'%s{i - 1}'}, %r{i}" for i in chains[1:]]
    return "\n".join(
        [
            f"declare {v} @llvm.fmuladd.v{lanes}f32({v}, {v}, {v})",
            "define float @fma_loop(i64 %n, float %x) {",
            "entry:",
            f"  %b = insertelement {v} undef, float %x, i32 0",
            f"  %a = shufflevector {v} %b, {v} undef, <{lanes} x i32> zeroinitializer",
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [0, %entry], [%j, %loop]",
            *phis,
            *fmas,
            "  %j = add i64 %i, 1",
            "  %more = icmp slt i64 %j, %n",
            "  br i1 %more, label %loop, label %end",
            "end:",
            *sums,
            f"  %e = extractelement {v} %s{CHAINS - 1}, i32 0",
            "  ret float %e",
            "}",
        ]
    )
