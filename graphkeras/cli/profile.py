"""`graphkeras profile`: time, rates and share of the roofline of every kernel of a step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphkeras.cli.errors import CommandError
from graphkeras.cli.load import load_model, step_graph
from graphkeras.compiler import compile_graph
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array
from graphkeras.passes import PassError
from graphkeras.runtime.pool import set_num_threads


def profile(options: argparse.Namespace) -> int:
    """Prints the table, and writes the trace where one is asked for; returns the exit code."""
    if options.trace is not None and Path(options.trace).suffix != ".json":
        raise CommandError(f"cannot write the trace {options.trace}: its name must end in .json")
    model = load_model(options.model, options.name)
    graph = step_graph(model, options.step, options.input)
    sizes = dict.fromkeys(graph.symbols, options.batch_size)
    if options.threads is not None:
        set_num_threads(options.threads)
    try:
        executable = compile_graph(graph)
        report = executable.profile(example_arrays(graph, sizes), options.repeats)
    except (PassError, RuntimeError) as error:
        raise CommandError(str(error), code=1) from error
    print(report)
    if options.trace is not None:
        path = report.to_chrome_trace(options.trace)
        print(f"wrote {path}: open it at https://ui.perfetto.dev", file=sys.stderr)
    return 0


def example_arrays(graph: Graph, sizes: Mapping[str, int]) -> list[Array]:
    """An array for each input of a graph: small positive floats, class and index 0, random keys.

    Times of kernels do not depend on numbers, except where an index says what is read.
    """
    rng = np.random.default_rng(0)
    arrays: list[Array] = []
    for value in graph.inputs:
        shape, dtype = value.type.concrete(sizes), np.dtype(value.type.dtype)
        if dtype.kind == "f":
            arrays.append(np.asarray(0.01 * rng.random(shape), dtype))
        elif dtype.kind == "u":
            arrays.append(np.asarray(rng.integers(0, 1 << 8, shape), dtype))
        else:
            arrays.append(np.zeros(shape, dtype))
    return arrays
