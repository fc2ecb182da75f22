"""A graph as a `networkx.MultiDiGraph`, for the algorithms and drawings of networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import get_op

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(graph: Graph) -> nx.MultiDiGraph[str]:
    """One vertex an input, node and output of `graph`; one edge a use of a value.

    Vertices are called `input0`, `node0`, `output0`, ... in the graph's order and have the
    attributes

    - `role`: `"input"`, `"node"` or `"output"`;
    - `label`: the input's or output's name, or the op;
    - `types`: tuple of types as text, such as `("f32[N,10]",)`;
    - for nodes `op`, `kind` (of `Kind`, as text), `name`, `attrs`, `layer`, `file`, `line`,
      `phase`, `made_by` and `node` (the `Node` itself).

    Edges have `type` (text), `operand` (position among the reader's operands) and `result`
    (position among the producer's results); an output that is the next value of an input has
    the attribute `alias`, the name of that input's vertex. The graph's name is the name of the
    networkx graph. Bodies of fused nodes are not entered.
    """
    import networkx as nx

    view: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=graph.name)
    sources: dict[Value, str] = {}
    for i, value in enumerate(graph.inputs):
        sources[value] = f"input{i}"
        types = (str(value.type),)
        view.add_node(sources[value], role="input", label=value.name or f"input{i}", types=types)
    for i, node in enumerate(graph.nodes):
        vertex = f"node{i}"
        sources.update(dict.fromkeys(node.results, vertex))
        view.add_node(vertex, **_node_attributes(node))
        for operand, value in enumerate(node.inputs):
            _add_use(view, sources, value, vertex, operand)
    for i, value in enumerate(graph.outputs):
        vertex = f"output{i}"
        name = graph.output_names[i] if graph.output_names else vertex
        view.add_node(vertex, role="output", label=name, types=(str(value.type),))
        if i in graph.aliases:
            view.nodes[vertex]["alias"] = f"input{graph.aliases[i]}"
        _add_use(view, sources, value, vertex, 0)
    return view


def _node_attributes(node: Node) -> dict[str, Any]:
    return {
        "role": "node",
        "label": node.op,
        "types": tuple(str(kind) for kind in node.types),
        "op": node.op,
        "kind": get_op(node.op).kind.value,
        "name": node.name,
        "attrs": dict(node.attrs),
        "layer": node.loc.layer,
        "file": node.loc.file,
        "line": node.loc.line,
        "phase": node.loc.phase,
        "made_by": node.made_by,
        "node": node,
    }


def _add_use(
    view: nx.MultiDiGraph[str], sources: dict[Value, str], value: Value, reader: str, operand: int
) -> None:
    result = 0 if value.producer is None else value.index
    view.add_edge(sources[value], reader, type=str(value.type), operand=operand, result=result)
