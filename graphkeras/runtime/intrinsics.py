"""What the launcher needs of the machine: atomics, pauses, a clock, futexes, calls by address.

Every intrinsic takes int64 arguments (addresses count bytes).
"""

from __future__ import annotations

import platform
import sys
from typing import Any

from llvmlite import ir

from graphkeras.native.intrinsic import Emit, Intrinsic, declared, stack_slot

I32, I64, VOID = ir.IntType(32), ir.IntType(64), ir.VoidType()

_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARM = platform.machine().lower() in ("arm64", "aarch64")


def _intrinsic(name: str, arguments: int, emit: Emit, result: str = "int64") -> Intrinsic:
    return Intrinsic(name, ("int64",) * arguments, result, emit)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, I64.as_pointer())


def _load(builder: Any, operands: list[Any]) -> Any:
    return builder.load_atomic(_pointer(builder, operands[0]), "acquire", 8)


def _store(builder: Any, operands: list[Any]) -> None:
    builder.store_atomic(operands[1], _pointer(builder, operands[0]), "release", 8)


def _read_modify_write(operation: str) -> Emit:
    def emit(builder: Any, operands: list[Any]) -> Any:
        place = _pointer(builder, operands[0])
        return builder.atomic_rmw(operation, place, operands[1], "seq_cst")

    return emit


def _compare_exchange(builder: Any, operands: list[Any]) -> Any:
    place = _pointer(builder, operands[0])
    pair = builder.cmpxchg(place, operands[1], operands[2], "seq_cst", "seq_cst")
    return builder.extract_value(pair, 0)


def _ask_for(builder: Any, operands: list[Any]) -> None:
    kinds = [ir.PointerType(ir.IntType(8)), I32, I32, I32]
    function = declared(builder, "llvm.prefetch.p0", VOID, kinds)
    place = builder.inttoptr(operands[0], kinds[0])
    builder.call(function, [place, I32(0), I32(2), I32(1)])


def _relax(builder: Any, _operands: list[Any]) -> None:
    if _X86:
        builder.call(declared(builder, "llvm.x86.sse2.pause", VOID, []), [])
    elif _ARM:
        hint = declared(builder, "llvm.aarch64.hint", VOID, [I32])
        builder.call(hint, [I32(1)])


_MXCSR_FLUSH = 0x8040
"""x86: results (FTZ) and operands (DAZ) below the normal range count as zero."""
_FPCR_FLUSH = 1 << 24
"""Arm: the FZ bit."""


def _flush_denormals(builder: Any, _operands: list[Any]) -> Any:
    if _X86:
        place = stack_slot(builder, I32)
        builder.call(declared(builder, "llvm.x86.sse.stmxcsr", VOID, [place.type]), [place])
        mode = builder.load(place)
        builder.store(builder.or_(mode, ir.Constant(I32, _MXCSR_FLUSH)), place)
        builder.call(declared(builder, "llvm.x86.sse.ldmxcsr", VOID, [place.type]), [place])
        return builder.zext(mode, I64)
    if _ARM:
        mode = builder.call(declared(builder, "llvm.aarch64.get.fpcr", I64, []), [])
        flushing = builder.or_(mode, ir.Constant(I64, _FPCR_FLUSH))
        builder.call(declared(builder, "llvm.aarch64.set.fpcr", VOID, [I64]), [flushing])
        return mode
    return ir.Constant(I64, 0)


def _restore_float_mode(builder: Any, operands: list[Any]) -> None:
    if _X86:
        place = stack_slot(builder, I32)
        builder.store(builder.trunc(operands[0], I32), place)
        builder.call(declared(builder, "llvm.x86.sse.ldmxcsr", VOID, [place.type]), [place])
    elif _ARM:
        builder.call(declared(builder, "llvm.aarch64.set.fpcr", VOID, [I64]), [operands[0]])


def _yield(builder: Any, _operands: list[Any]) -> None:
    builder.call(declared(builder, "sched_yield", I32, []), [])


def _nap(builder: Any, _operands: list[Any]) -> None:
    builder.call(declared(builder, "usleep", I32, [I32]), [I32(50)])


def _nanoseconds(builder: Any, _operands: list[Any]) -> Any:
    clock = I32(6 if sys.platform == "darwin" else 1)  # CLOCK_MONOTONIC
    time = stack_slot(builder, ir.ArrayType(I64, 2))
    fields = builder.bitcast(time, I64.as_pointer())
    read = declared(builder, "clock_gettime", I32, [I32, I64.as_pointer()])
    builder.call(read, [clock, fields])
    seconds = builder.load(fields)
    rest = builder.load(builder.gep(fields, [I32(1)]))
    return builder.add(builder.mul(seconds, I64(1_000_000_000)), rest)


_FUTEX = 98 if _ARM else 202
_WAIT, _WAKE = 128, 129  # with FUTEX_PRIVATE_FLAG


def _futex(operation: int) -> Emit:
    def emit(builder: Any, operands: list[Any]) -> None:
        if sys.platform == "linux":
            call = declared(builder, "syscall", I64, [I64], var_arg=True)
            arguments = [operands[0], I64(operation), operands[1], I64(0), I64(0), I64(0)]
            builder.call(call, [I64(_FUTEX), *arguments])

    return emit


def _call_kernel(builder: Any, operands: list[Any]) -> None:
    kernel = ir.FunctionType(VOID, [I64, I64, I64.as_pointer()])
    function = builder.inttoptr(operands[0], kernel.as_pointer())
    builder.call(function, [operands[1], operands[2], _pointer(builder, operands[3])])


def _call_launch(builder: Any, operands: list[Any]) -> Any:
    launch = ir.FunctionType(I64, [I64, I64])
    return builder.call(builder.inttoptr(operands[0], launch.as_pointer()), operands[1:])


atomic_load = _intrinsic("atomic_load", 1, _load)
atomic_store = _intrinsic("atomic_store", 2, _store, "void")
atomic_add = _intrinsic("atomic_add", 2, _read_modify_write("add"))
atomic_or = _intrinsic("atomic_or", 2, _read_modify_write("or"))
atomic_exchange = _intrinsic("atomic_exchange", 2, _read_modify_write("xchg"))
compare_exchange = _intrinsic("compare_exchange", 3, _compare_exchange)
"""`(address, expected, new)` -> the value found; equal to `expected` where `new` was stored."""

ask_for = _intrinsic("ask_for", 1, _ask_for, "void")
"""Has the second-level cache fetch a line that is read later; any address will do."""
relax = _intrinsic("relax", 0, _relax, "void")
"""Tells the core that this is a waiting loop."""
flush_denormals = _intrinsic("flush_denormals", 0, _flush_denormals)
"""From now on numbers below the normal range are zero on this thread; returns the old mode."""
restore_float_mode = _intrinsic("restore_float_mode", 1, _restore_float_mode, "void")
yield_cpu = _intrinsic("yield_cpu", 0, _yield, "void")
nap = _intrinsic("nap", 0, _nap, "void")
"""Sleeps 50 microseconds: where there is no futex."""
nanoseconds = _intrinsic("nanoseconds", 0, _nanoseconds)
"""A clock that only goes forward."""
futex_wait = _intrinsic("futex_wait", 2, _futex(_WAIT), "void")
"""`(address, value)`: sleeps while the 32-bit word at `address` holds `value`. Linux."""
futex_wake = _intrinsic("futex_wake", 2, _futex(_WAKE), "void")
"""`(address, count)`: wakes at most `count` sleepers. Linux."""
call_kernel = _intrinsic("call_kernel", 4, _call_kernel, "void")
"""`(function address, tid, nthreads, argv address)`."""
call_launch = _intrinsic("call_launch", 3, _call_launch)
"""`(function address, job address, times)`: `launcher_kernels.launch`."""
