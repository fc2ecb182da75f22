"""LLVM's passes, as kernels need them."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from graphkeras.native.target import Cpu, target_machine


def optimise(module: Any, target: Cpu) -> None:
    """Runs LLVM's optimisations on an llvmlite module, in place."""
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = False
    options.loop_interleaving = True
    # Microkernels come unrolled; unrolling packing loops as well made a GEMM kernel's code three
    # times as long and its compile twice, and no faster.
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(target_machine(target), options)
    builder.getModulePassManager().run(module, builder)
