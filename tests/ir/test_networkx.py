"""Graphs as networkx graphs."""

from __future__ import annotations

import networkx as nx

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc
from graphkeras.ir.types import TensorType

N = Size.symbol("N")


def example() -> Graph:
    b = Builder("g")
    x, w = b.input(TensorType((N, 3)), "x"), b.input(TensorType((N, 3)), "w")
    with b.at(Loc("model.py", 7, "dense", "backward")):
        y = b.emit("mul", x, x, name="square")
        z = b.emit("sub", y, w)
    return b.build([z, x], {0: 1}, ["next", "same"])


def test_every_input_node_and_output_is_a_vertex() -> None:
    view = example().to_networkx()
    assert view.name == "g"
    assert list(view) == ["input0", "input1", "node0", "node1", "output0", "output1"]
    assert view.nodes["input1"] == {"role": "input", "label": "w", "types": ("f32[N,3]",)}
    assert view.nodes["output0"]["alias"] == "input1"
    assert view.nodes["output1"] == {"role": "output", "label": "same", "types": ("f32[N,3]",)}


def test_nodes_carry_what_drawings_need() -> None:
    graph = example()
    square = graph.to_networkx().nodes["node0"]
    assert square["node"] is graph.nodes[0]
    picked = {key: square[key] for key in ("op", "kind", "name", "layer", "file", "line", "phase")}
    assert picked == {
        "op": "mul",
        "kind": "elementwise",
        "name": "square",
        "layer": "dense",
        "file": "model.py",
        "line": 7,
        "phase": "backward",
    }


def test_every_use_is_an_edge() -> None:
    view = example().to_networkx()
    assert sorted((a, b, d["operand"]) for a, b, d in view.edges(data=True)) == [
        ("input0", "node0", 0),
        ("input0", "node0", 1),
        ("input0", "output1", 0),
        ("input1", "node1", 1),
        ("node0", "node1", 0),
        ("node1", "output0", 0),
    ]
    assert nx.is_directed_acyclic_graph(view)
    assert nx.ancestors(view, "output0") == {"input0", "input1", "node0", "node1"}
