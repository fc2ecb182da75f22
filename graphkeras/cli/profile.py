"""`graphkeras profile`: time, rates and share of the roofline of every kernel of a step."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from graphkeras.cli.errors import CommandError
from graphkeras.cli.load import StepGraph, load_model, step_graph
from graphkeras.compiler import compile_graph, compile_halves
from graphkeras.passes import PassError
from graphkeras.runtime.examples import example_arrays
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.pool import set_num_threads


def profile(options: argparse.Namespace) -> int:
    """Prints the table, and writes the trace where one is asked for; returns the exit code."""
    if options.trace is not None and Path(options.trace).suffix != ".json":
        raise CommandError(f"cannot write the trace {options.trace}: its name must end in .json")
    model = load_model(options.model, options.name)
    step = step_graph(model, options.step, options.input)
    sizes = dict.fromkeys(step.graph.symbols, options.batch_size)
    if options.threads is not None:
        set_num_threads(options.threads)
    try:
        reports = [
            program.profile(example_arrays(program.program.graph, sizes), options.repeats)
            for program in _programs(step)
        ]
    except (PassError, RuntimeError) as error:
        raise CommandError(str(error), code=1) from error
    report = reports[0]
    print(report)
    for other in reports[1:]:
        print(f"\nwhere a variable has changed, before that:\n{other}")
    if options.trace is not None:
        path = report.to_chrome_trace(options.trace)
        print(f"wrote {path}: open it at https://ui.perfetto.dev", file=sys.stderr)
    return 0


def _programs(step: StepGraph) -> list[Executable]:
    """The program of every call, then the one that prepares variables, if there is one."""
    if not step.constant:
        return [compile_graph(step.graph)]
    found = compile_halves(step.graph, step.constant)
    return [found] if isinstance(found, Executable) else [found.main, found.prepare]
