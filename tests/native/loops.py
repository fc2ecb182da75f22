"""Compiles `y[i] = f(x0[i], ...)` for an emitter, vectorised as a kernel's loop would be."""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
KINDS = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
X86 = platform.machine().lower() in ("x86_64", "amd64")
FLUSH = 0x8040
"""Bits of x86's MXCSR: denormal operands and results count as zero."""

Array = np.ndarray[Any, Any]


def _mode(builder: Any, name: str, place: Any) -> None:
    symbol = f"llvm.x86.sse.{name}"
    function = builder.module.globals.get(symbol) or ir.Function(
        builder.module, ir.FunctionType(ir.VoidType(), [I8.as_pointer()]), symbol
    )
    builder.call(function, [builder.bitcast(place, I8.as_pointer())])


def _flush_denormals(builder: Any) -> Any:
    """As the launcher does; returns where the mode before it is kept."""
    before, during = builder.alloca(I32), builder.alloca(I32)
    _mode(builder, "stmxcsr", before)
    builder.store(builder.or_(builder.load(before), ir.Constant(I32, FLUSH)), during)
    _mode(builder, "ldmxcsr", during)
    return before


def loop_module(emit: Any, inputs: Sequence[str], output: str) -> Any:
    """LLVM IR of `void loop(int64 n, T *x0, ..., T *y)`."""
    module = ir.Module("loop")
    module.triple = llvm.get_process_triple()
    pointers = [KINDS[name].as_pointer() for name in (*inputs, output)]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, *pointers]), "loop")
    count, *arrays = function.args
    for array in arrays:
        array.add_attribute("noalias")
    before = function.append_basic_block("entry")
    body, done = function.append_basic_block("body"), function.append_basic_block("done")
    builder = ir.IRBuilder(before)
    mode = _flush_denormals(builder) if X86 else None
    builder.branch(body)
    builder.position_at_end(body)
    i = builder.phi(I64)
    i.add_incoming(ir.Constant(I64, 0), before)
    operands = [builder.load(builder.gep(array, [i])) for array in arrays[:-1]]
    builder.store(emit(builder, operands), builder.gep(arrays[-1], [i]))
    after = builder.add(i, ir.Constant(I64, 1))
    i.add_incoming(after, builder.block)
    builder.cbranch(builder.icmp_signed("<", after, count), body, done)
    builder.position_at_end(done)
    if mode is not None:
        _mode(builder, "ldmxcsr", mode)
    builder.ret_void()
    return module


def cpus() -> tuple[str, ...]:
    """Names, in LLVM's words, of the machines whose code this one can run."""
    if not X86:
        return (llvm.get_host_cpu_name(),)
    features = llvm.get_host_cpu_features()
    levels = {"x86-64-v4": "avx512vl", "x86-64-v3": "fma", "x86-64": "sse2"}
    return tuple(name for name, feature in levels.items() if features.get(feature))


def _machine(cpu: str) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.Target.from_triple(llvm.get_process_triple())
    return triple.create_target_machine(cpu=cpu, opt=3, jit=True)


def optimised(module: Any, cpu: str) -> Any:
    """The module after LLVM's passes."""
    wide = r'\1 "prefer-vector-width"="512"'
    parsed = llvm.parse_assembly(re.sub(r"(define void @\"loop\"\(.*\))", wide, str(module)))
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = False
    options.loop_interleaving = True
    options.loop_unrolling = False
    passes = llvm.create_pass_builder(_machine(cpu), options)
    passes.getModulePassManager().run(parsed, passes)
    return parsed


def compiled(module: Any, cpu: str) -> Callable[..., None]:
    """`loop(*arrays)`: runs the loop over arrays of one length."""
    engine = llvm.create_mcjit_compiler(optimised(module, cpu), _machine(cpu))
    engine.finalize_object()
    pointers = [ctypes.c_void_p] * (len(module.globals["loop"].args) - 1)
    native = ctypes.CFUNCTYPE(None, ctypes.c_int64, *pointers)(engine.get_function_address("loop"))

    def loop(*arrays: Array) -> None:
        assert engine is not None  # lives as long as its code is called
        native(len(arrays[0]), *(a.ctypes.data for a in arrays))

    return loop
