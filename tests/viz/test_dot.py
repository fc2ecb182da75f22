from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc
from graphkeras.ir.types import TensorType
from graphkeras.viz import to_dot
from graphkeras.viz.build import default_detail, make_view
from graphkeras.viz.palette import PHASE_INKS, ROLE_INKS
from tests.viz.graphs import fused, train_step

N = Size.symbol("N")
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs the dot program")


def small() -> Graph:
    b = Builder("small")
    x = b.input(TensorType((N, 3)), "x")
    w = b.input(TensorType((3,)), "dense/bias")
    half = b.emit("broadcast", b.constant(0.5, "float32"), shape=(N, 3), dims=())
    with b.at(Loc("train.py", 7, "net/dense")):
        scaled = b.emit("mul", x, half)
        shifted = b.emit("add", scaled, b.emit("broadcast", w, shape=(N, 3), dims=(1,)))
        table = b.constant(np.arange(3, dtype="float32"))
        out = b.emit("mul", shifted, b.emit("broadcast", table, shape=(N, 3), dims=(1,)))
    return b.build([out], output_names=["scores"])


def boxes_of(graph: Graph, detail: str) -> dict[str, list[str]]:
    """Titles of the boxes by role."""
    found: dict[str, list[str]] = {}
    for box in make_view(graph, detail).boxes:
        found.setdefault(box.role, []).append(box.title)
    return found


def test_ops_show_types_layers_and_every_role() -> None:
    boxes = boxes_of(small(), "ops")
    assert boxes["data"] == ["x"]
    assert boxes["parameter"] == ["dense/bias"]
    assert boxes["constant"] == ["constant"]
    assert boxes["output"] == ["scores"]
    text = to_dot(small(), "ops").source
    assert "f32[N,3]" in text
    assert "net/dense" in text
    assert ROLE_INKS["parameter"].pale in text
    assert "shape=note" in text


def test_scalar_constants_stand_in_the_boxes_that_read_them() -> None:
    boxes = boxes_of(small(), "ops")
    assert boxes["node"] == ["mul(·, 0.5)", "broadcast", "add", "broadcast", "mul"]


def test_edges_follow_the_graph() -> None:
    view = make_view(small(), "ops")
    titles = {box.id: box.title for box in view.boxes}
    edges = {(titles[e.source], titles[e.target]) for e in view.edges}
    assert ("x", "mul(·, 0.5)") in edges
    assert ("mul(·, 0.5)", "add") in edges
    assert ("mul", "scores") in edges


def test_a_literal_that_is_an_output_is_drawn() -> None:
    b = Builder("literal")
    graph = b.build([b.constant(2.0, "float32")], output_names=["two"])
    for detail in ("ops", "kernels"):
        assert boxes_of(graph, detail)["output"] == ["two"]


def test_phases_have_their_own_colours() -> None:
    text = to_dot(train_step(), "ops").source
    for phase in ("forward", "loss", "metrics", "backward", "update"):
        assert PHASE_INKS[phase].pale in text, phase
        assert f">{phase}</td>" in text, "the legend names the phase"


def test_kernels_are_clusters_around_their_bodies() -> None:
    graph = fused(train_step())
    view = make_view(graph, "ops")
    kernels = [node for node in graph.nodes if node.body is not None]
    assert len(view.groups) == len(kernels)
    text = to_dot(graph, "ops").source
    assert text.count("subgraph cluster_") == len(kernels)
    forward = {g.id for g in view.groups if g.phase == "forward" and g.title.endswith("dense0")}
    inside = [box.title for box in view.boxes if box.group in forward]
    assert "dot_general" in inside
    assert any(title.startswith("relu") for title in inside)
    assert "kernel0" in inside, "variables stand inside the kernel that reads them"


def test_kernels_view_has_a_box_a_kernel() -> None:
    graph = fused(train_step())
    view = make_view(graph, "kernels")
    nodes = [box for box in view.boxes if box.role == "node"]
    assert len(nodes) == sum(node.body is not None for node in graph.nodes)
    lines = [line for box in nodes for line in box.lines]
    assert any(line.role == "write" and line.text == "kernel0" for line in lines)
    assert any(line.role == "parameter" and line.text == "rate" for line in lines)
    assert any(line.role == "kept" for line in lines)


@pytest.mark.parametrize("compiled", [False, True], ids=["traced", "fused"])
def test_layers_view_is_a_table_of_layers_and_phases(compiled: bool) -> None:
    graph = train_step(3)
    view = make_view(fused(graph) if compiled else graph, "layers")
    places = {(box.title, box.phase): (box.row, box.column) for box in view.boxes if box.row >= 0}
    forward = [places[f"dense{i}", "forward"] for i in range(3)]
    assert forward == [(0, 0), (1, 0), (2, 0)]
    assert [places[f"dense{i}", "update"] for i in range(3)] == [(0, 2), (1, 2), (2, 2)]
    assert places["dense2", "backward"] == (2, 1)
    assert places["loss", "loss"][0] == 4
    assert view.columns == ("forward", "backward", "update")
    updates = [box for box in view.boxes if box.phase == "update" and box.title == "dense1"]
    assert [line.text for line in updates[0].lines if line.role == "write"] == ["kernel1"]


def test_big_graphs_are_shown_by_layer_and_small_ones_by_op() -> None:
    assert default_detail(small()) == "ops"
    assert default_detail(train_step(4)) == "layers"
    assert default_detail(fused(train_step(4))) == "layers"


def test_graph_has_the_method() -> None:
    text = small().to_dot(direction="LR", title="a < b").source
    assert "rankdir=LR" in text
    assert "a &lt; b" in text


def test_text_from_the_user_is_escaped() -> None:
    b = Builder("evil")
    x = b.input(TensorType((N,)), '<img src="x">&\\N')
    with b.at(Loc(layer="net/<b>bold</b>")):
        graph = b.build([b.emit("neg", x)])
    for detail in ("ops", "kernels", "layers"):
        text = re.sub('tooltip="[^"]*"', "", to_dot(graph, detail).source)
        assert "&lt;img" in text or "&lt;b&gt;bold" in text
        assert "<img" not in text
        assert "<b>bold" not in text


@needs_dot
@pytest.mark.parametrize("detail", ["ops", "kernels", "layers"])
def test_the_dot_program_accepts_it(detail: str) -> None:
    b = Builder("evil")
    x = b.input(TensorType((N,)), '"<&>\n\\')
    evil = b.build([b.emit("neg", x)], output_names=["]]>"])
    for graph in (evil, train_step(2), fused(train_step(2)), b.build([])):
        source = to_dot(graph, detail).source
        done = subprocess.run(
            ["dot", "-Tsvg"], input=source, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        assert re.search("<svg", done.stdout)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown detail 'kernel'. Did you mean 'kernels'\?"):
        to_dot(small(), "kernel")
    with pytest.raises(ValueError, match="unknown direction 'down'; expected one of 'TB'"):
        to_dot(small(), direction="down")
