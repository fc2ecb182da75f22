"""The machine's limits beside a kernel: seconds of one fma operation, of one byte moved.

Both are measured on all cores at once. Bytes are moved within as much memory as the kernel's
operands and result take, so data that fit a cache are held against the speed of that cache.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.work import Convolution, Prepared, Product, Work

CHAINS = 16
"""Independent sums: more than latency times ports, fewer than registers."""
LOOPS = 5_000_000
"""Rounds of the fma loop, some tens of milliseconds."""
MOVED = 1e9
"""Bytes of one measurement, some tens of milliseconds."""


def prepare(work: Work, limit: str) -> Prepared:
    """A measurement of `units` floating-point operations (`"fma"`) or bytes (`"memory"`).

    Raises:
        NotImplementedError: The work is no single kernel.
    """
    if not isinstance(work, Product | Convolution):
        raise NotImplementedError(f"no limit is known for {work}")
    threads = len(os.sched_getaffinity(0))
    job, units = _fma_job() if limit == "fma" else _copy_job(int(work.bytes) // threads)
    jobs = [job() for _ in range(threads)]
    workers = ThreadPoolExecutor(threads)

    def run() -> None:
        for future in [workers.submit(each) for each in jobs]:
            future.result()

    run()
    return Prepared(run, units * threads, [])


Job = Callable[[], Callable[[], Any]]
"""Makes what one thread does; the call releases the interpreter lock."""


def _fma_job() -> tuple[Job, int]:
    from graphkeras.codegen.cpu.target import target

    lanes = target().lanes
    loop = _compiled(_fma_source(lanes), "fma_loop", ctypes.c_int64, ctypes.c_float)
    return lambda: lambda: loop(LOOPS, 1e-9), 2 * lanes * CHAINS * LOOPS


def _copy_job(size: int) -> tuple[Job, int]:
    """Copies half of `size` bytes onto the other half, again and again."""
    times = max(1, round(MOVED / size))
    loop = _compiled(_COPY, "copy_loop", *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)

    def job() -> Callable[[], Any]:
        memory = np.zeros((2, size // 2), np.uint8)
        return lambda: loop(memory[0].ctypes.data, memory[1].ctypes.data, size // 2, times)

    return job, 2 * (size // 2) * times


def _compiled(text: str, name: str, *arguments: Any) -> Callable[..., Any]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(ctypes.c_float, *arguments)(engine.get_function_address(name))
    # The engine owns the code.
    return lambda *values, engine=engine: function(*values)


# The system's memcpy, which goes around the caches where that is faster.
_COPY = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define float @copy_loop(ptr %to, ptr %from, i64 %bytes, i64 %times) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 true)
  %j = add i64 %i, 1
  %more = icmp slt i64 %j, %times
  br i1 %more, label %loop, label %end
end:
  ret float 0.0
}
"""


def _fma_source(lanes: int) -> str:
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
