"""`graphkeras passes`: a table of what the compiler does to a model's step."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphkeras.cli.load import load_model, optimized, step_graph
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.memory import Layout, plan_memory
from graphkeras.passes.record import PassRecord
from graphkeras.utils.summary import readable_size

if TYPE_CHECKING:
    from rich.table import Table


def passes(options: argparse.Namespace) -> int:
    """Prints a table for each program of the step; returns the exit code."""
    from rich.console import Console

    model = load_model(options.model, options.name)
    step = step_graph(model, options.step, options.input)
    sizes = dict.fromkeys(step.graph.symbols, options.batch_size)
    console = Console(highlight=False)
    for records in optimized(step):
        console.print(_table(model.name, records, sizes))
        console.print(_memory_text(records[-1].after, sizes), soft_wrap=True)
    return 0


def _table(model: str, records: Sequence[PassRecord], sizes: Mapping[str, int]) -> Table:
    from rich.table import Table

    table = Table(title=f"{model}: {records[-1].after.name}", title_justify="left")
    table.add_column("pass", no_wrap=True, min_width=max(len(r.name) for r in records))
    for head in ("time", "nodes before", "nodes after", "kernels", "peak memory"):
        table.add_column(head, justify="right")
    for record in records:
        table.add_row(
            record.name,
            f"{record.seconds * 1e3:.1f} ms",
            str(record.nodes_before),
            str(record.nodes_after),
            str(kernel_count(record.after) or "-"),
            _peak(record.after, sizes),
        )
    seconds = sum(record.seconds for record in records)
    final = records[-1].after
    table.add_section()
    table.add_row(
        "all",
        f"{seconds * 1e3:.1f} ms",
        str(records[0].nodes_before),
        str(len(final.nodes)),
        str(kernel_count(final)),
        _peak(final, sizes),
    )
    return table


def kernel_count(graph: Graph) -> int:
    """Number of nodes that become kernels."""
    return sum(node.body is not None for node in graph.nodes)


def layout(graph: Graph, sizes: Mapping[str, int]) -> Layout | None:
    """The memory plan of a graph; None before every node is a kernel."""
    nodes = [node for node in graph.nodes if get_op(node.op).kind is not Kind.CONSTANT]
    if not all(node.body is not None for node in nodes):
        return None
    return plan_memory(graph).arena.layout(sizes)


def _peak(graph: Graph, sizes: Mapping[str, int]) -> str:
    plan = layout(graph, sizes)
    return "-" if plan is None else readable_size(plan.peak_bytes)


def _memory_text(graph: Graph, sizes: Mapping[str, int]) -> str:
    plan = layout(graph, sizes)
    assert plan is not None, "the pipeline ends with kernels"
    at = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return (
        f"memory between kernels{f' for {at}' if at else ''}: "
        f"planned {readable_size(plan.peak_bytes)}, "
        f"without planning {readable_size(plan.unplanned_bytes)}, "
        f"lower bound {readable_size(plan.lower_bound_bytes)}"
    )
