"""`graphkeras show`: the graph of a step as a picture, or as text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from graphkeras.cli.errors import CommandError
from graphkeras.cli.load import StepGraph, load_model, optimized, step_graph
from graphkeras.errors import did_you_mean
from graphkeras.ir.graph import Graph
from graphkeras.passes.record import PassRecord
from graphkeras.viz import explain, write_picture

START = "trace"
"""Name of the graph before all passes."""


def show(options: argparse.Namespace) -> int:
    """Draws or prints; returns the exit code."""
    model = load_model(options.model, options.name)
    step = step_graph(model, options.step, options.input)
    traced = step.graph
    graph = traced if options.after == START else _after(_records(step, options), options.after)
    if options.output == "-":
        print(graph)
        return 0
    path = options.output or f"{Path(options.model).stem}_{graph.name}.png"
    title = f"{model.name}: {graph.name}"
    written = write_picture(graph, path, options.detail, options.direction, title)
    print(_counted(graph))
    print(explain(path, written))
    return 0


def _records(step: StepGraph, options: argparse.Namespace) -> Sequence[PassRecord]:
    """What the passes did to the program that is asked for."""
    programs = optimized(step)
    if options.prepare and len(programs) == 1:
        raise CommandError(
            f"nothing is prepared for the {step.graph.name.replace('_', ' ')} of this model: "
            "leave --prepare out"
        )
    return programs[1 if options.prepare else 0]


def _after(records: Sequence[PassRecord], name: str) -> Graph:
    """The graph after the last run of a pass."""
    for record in reversed(records):
        if record.name == name:
            return record.after
    known = list(dict.fromkeys([START, *(record.name for record in records)]))
    raise CommandError(
        f"there is no pass {name!r}. {did_you_mean(name, known)}".rstrip()
        + f"\n  --after takes: {', '.join(known)}"
    )


def _counted(graph: Graph) -> str:
    kernels = sum(node.body is not None for node in graph.nodes)
    ops = sum(len(node.body.nodes) if node.body is not None else 1 for node in graph.nodes)
    inside = f" in {kernels} kernels" if kernels else ""
    return f"{graph.name}: {ops} ops{inside}"
