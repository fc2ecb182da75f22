"""`graphkeras profile`: time, rates and share of the roofline of every kernel of a step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from graphkeras.cli.errors import CommandError
from graphkeras.cli.load import load_model, step_graph
from graphkeras.compiler import compile_graph
from graphkeras.passes import PassError
from graphkeras.runtime.examples import example_arrays
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
