"""The last contest: a program with the chosen kernels against the same with the cost model's.

A contest of one contraction runs it again and again on the same arrays. In its program it finds
its operands in the cache of the thread that wrote them, or of another one, and may need a barrier
that the default kernel does not. In one run, threads that share out other dims made the first
layer of the MNIST MLP 1.2 times as fast by itself, and the training step 1.25 times as slow. So
the programs take turns, whole, and the chosen kernels stay where they win there, too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from graphkeras.codegen.cpu.contract import BY_MODEL
from graphkeras.codegen.program import Program
from graphkeras.ir.graph import Graph
from graphkeras.runtime import disk_cache, kernel_cache
from graphkeras.runtime.examples import example_arrays
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.pool import get_num_threads
from graphkeras.tuning import winners
from graphkeras.tuning.winners import Winner

SECONDS = 1.0
"""Time for the turns."""
LEAST_TURNS = 3


def whole_winner(
    graph: Graph, default: Program, chosen: Program, sizes: Mapping[str, int]
) -> Winner:
    """Seconds of a call of both, from the cache or timed now; `seconds` are the chosen ones'.

    Args:
        graph: What both compute.
        default: The program with the cost model's kernels.
        chosen: The program with the chosen ones.
        sizes: The run-time sizes to time them for.
    """
    kernels = [launch.kernel for program in (default, chosen) for launch in program.launches]
    identities = [kernel_cache.identity(kernel) for kernel in kernels]
    digest = disk_cache.sources_digest("tuning")
    facts = (identities, digest, sorted(sizes.items()), get_num_threads())
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    winner = winners.read(key, "whole")
    if winner is None:
        winner = Winner(BY_MODEL, *call_seconds(graph, (default, chosen), sizes))
        winners.keep(key, winner, "whole")
    return winner


def call_seconds(
    graph: Graph, programs: Sequence[Program], sizes: Mapping[str, int]
) -> list[float]:
    """The least time of a call of each program, in turns."""
    calls = []
    for program in programs:
        executable, arrays = Executable(program), example_arrays(graph, sizes)
        executable(arrays)
        calls.append((executable, arrays))
    seconds: list[list[float]] = []
    end = time.perf_counter() + SECONDS
    while len(seconds) < LEAST_TURNS or time.perf_counter() < end:
        turn = []
        for executable, arrays in calls:
            begin = time.perf_counter()
            executable(arrays)
            turn.append(time.perf_counter() - begin)
        seconds.append(turn)
    return [float(least) for least in np.min(seconds, axis=0)]
