"""LLVM's passes, as kernels need them.

Measured on the 29 kernels of a convnet's training step (1 core, AVX-512): level 2 makes code as
fast as level 3 and takes a sixth less time; level 1 loses a tenth on kernels with long epilogues.
With loop unrolling that step is 15 % slower and compiles half as long again: microkernels come
unrolled, and what is left are packing loops and epilogues.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from graphkeras.native.target import Cpu, target_machine


def optimise(module: Any, target: Cpu) -> None:
    """Runs LLVM's optimisations on an llvmlite module, in place."""
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    options.slp_vectorization = False
    options.loop_interleaving = True
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(target_machine(target), options)
    builder.getModulePassManager().run(module, builder)
