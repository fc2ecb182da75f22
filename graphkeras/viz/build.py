"""Builds the view of a graph at the level of detail that keeps it readable."""

from __future__ import annotations

from graphkeras.errors import did_you_mean
from graphkeras.ir.graph import Graph
from graphkeras.viz.facts import Facts
from graphkeras.viz.kernels_view import kernels_view
from graphkeras.viz.layers_view import layers_view
from graphkeras.viz.ops_view import ops_view
from graphkeras.viz.view import DETAILS, View

READABLE_OPS = 40
"""Primitives up to which a picture of all of them is readable."""
READABLE_KERNELS = 12
"""Nodes up to which a picture without a table is readable."""


def default_detail(graph: Graph) -> str:
    """The finest level of detail at which the graph is still readable."""
    primitives = sum(len(node.body.nodes) if node.body else 1 for node in graph.nodes)
    if primitives <= READABLE_OPS:
        return "ops"
    fused = any(node.body is not None for node in graph.nodes)
    if fused and len(graph.nodes) <= READABLE_KERNELS:
        return "kernels"
    return "layers" if Facts(graph).layer_order else "kernels"


def make_view(graph: Graph, detail: str | None = None) -> View:
    """The view of a graph.

    Args:
        graph: Any graph, at any point of the pipeline.
        detail: `"ops"`, `"kernels"` or `"layers"`; None: the finest one that is readable.

    Raises:
        ValueError: There is no such level of detail.
    """
    detail = default_detail(graph) if detail is None else detail
    builders = {"ops": ops_view, "kernels": kernels_view, "layers": layers_view}
    if detail not in builders:
        raise ValueError(
            f"unknown detail {detail!r}. {did_you_mean(detail, DETAILS)}".rstrip()
            + f"\n  expected one of {', '.join(map(repr, DETAILS))}"
        )
    return builders[detail](Facts(graph))
