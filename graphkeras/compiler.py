"""The whole line, from a graph to an executable. No other module sees all of it.

What happens to a graph, in order::

    graph ─► simplify ─► fold ─► cse ─► winograd ─► dce ─► split
          ─► fuse ─► schedule ─► kernels ─► Executable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphkeras.codegen.generate import generate
from graphkeras.config import setting
from graphkeras.ir.graph import Graph
from graphkeras.passes import (
    CommonSubexpressions,
    DeadCodeElimination,
    FoldConstants,
    Fuse,
    Pass,
    PassManager,
    Schedule,
    Simplify,
    SplitReductions,
    Winograd,
)
from graphkeras.runtime.executable import Executable
from graphkeras.tuning import DEFAULT_SIZE, tune

PIPELINE: tuple[Pass, ...] = (
    # Gradient rules and layers emit the general form; most of it cancels.
    Simplify(),
    FoldConstants(),
    # Forward values that gradients computed again, constants that folding made equal.
    CommonSubexpressions(),
    # Folding and merging expose further identities (a cast of a cast, a sum with zero).
    Simplify(),
    # Late: the rules above know convolutions.
    Winograd(),
    DeadCodeElimination(),
    # Late: the rules above know whole reductions.
    SplitReductions(),
    # From here on every node is a kernel.
    Fuse(),
    Schedule(),
)
"""Every pass, in order. Memory planning and code generation follow."""


def optimize(graph: Graph, pipeline: Sequence[Pass] = PIPELINE) -> PassManager:
    """Runs the passes.

    Returns:
        The manager: its `records` tell what each pass did; the last one's `after` is the
        scheduled graph.
    """
    manager = PassManager(
        pipeline, verify=setting("verify"), check_numbers=setting("check_numbers")
    )
    manager.run(graph)
    return manager


def compile_graph(
    graph: Graph,
    pipeline: Sequence[Pass] = PIPELINE,
    autotune: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Executable:
    """Compiles a graph of primitives.

    Args:
        graph: Inputs may have symbolic dimensions; one executable serves all their values.
        pipeline: Passes to run; the last two must be `Fuse` and `Schedule`.
        autotune: Whether kernels of contractions are chosen by timing; None for the setting.
        sizes: The run-time sizes to time them for; 32 each by default.

    Returns:
        An executable: call it with one array an input. Outputs that alias an input are written
        into that input's array, the others are returned.
    """
    records = tuple(optimize(graph, pipeline).records)
    scheduled, tuning = records[-1].after, None
    if setting("autotune") if autotune is None else autotune:
        tuning = tune(scheduled, sizes or dict.fromkeys(graph.symbols, DEFAULT_SIZE))
    program = generate(scheduled, tuning.choices if tuning else None)
    executable = Executable(replace(program, explain=lambda: records))
    executable.tuning = tuning
    return executable
