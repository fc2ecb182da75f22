"""What the verifier finds, and how it says it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import get_op
from graphkeras.ir.text import attribute_text, parse_graph
from graphkeras.ir.types import TensorType
from graphkeras.ir.verify import VerifyError, verify

N = Size.symbol("N")
F = TensorType((N, 3))
ATTRS = ", ".join(f"{k}={attribute_text(v)}" for k, v in get_op("fused").check_attrs({}).items())
"""Text of the attributes every fused node has."""


def chain() -> Graph:
    b = Builder("chain")
    x = b.input(F, "x")
    for _ in range(8):
        x = b.emit("tanh", x)
    return b.build([x], output_names=["y"])


def broken(graph: Graph, at: int, **changes: object) -> Graph:
    """The graph with one node changed; nodes after it keep reading the old one's result."""
    nodes = list(graph.nodes)
    nodes[at] = replace(nodes[at], **changes)  # type: ignore[arg-type]
    return replace(graph, nodes=tuple(nodes))


def message(graph: Graph, after: str = "") -> str:
    with pytest.raises(VerifyError) as caught:
        verify(graph, after)
    return str(caught.value)


def test_good_graph_passes() -> None:
    verify(chain())


def test_message_names_the_pass_and_shows_the_lines_around() -> None:
    bad = broken(chain(), 4, types=(TensorType((N, 4)),))
    assert message(bad, after="simplify") == (
        "graph 'chain' is wrong after 'simplify': 'tanh' gives f32[N,3], "
        "but the graph says f32[N,4]\n"
        "     4 |   %2:f32[N,3] = tanh(%1)\n"
        "     5 |   %3:f32[N,3] = tanh(%2)\n"
        "     6 |   %4:f32[N,3] = tanh(%3)\n"
        ">    7 |   %5:f32[N,4] = tanh(%4)\n"
        "     8 |   %6:f32[N,3] = tanh(%?)\n"
        "     9 |   %7:f32[N,3] = tanh(%6)\n"
        "    10 |   %8:f32[N,3] = tanh(%7)"
    )
    assert message(bad).startswith("graph 'chain' is wrong: 'tanh' gives")


def test_use_before_definition() -> None:
    graph = chain()
    nodes = list(graph.nodes)
    nodes[2], nodes[3] = nodes[3], nodes[2]
    text = message(replace(graph, nodes=tuple(nodes)))
    assert "operand 0 of 'tanh' is used before it is defined" in text
    assert ">    5 |   %3:f32[N,3] = tanh(%?)" in text


def test_node_twice() -> None:
    graph = chain()
    text = message(replace(graph, nodes=(*graph.nodes, graph.nodes[0])))
    assert "the node 'tanh' appears twice" in text


def test_input_twice_and_input_that_is_a_result() -> None:
    graph = chain()
    assert "input 'x' appears twice" in message(replace(graph, inputs=graph.inputs * 2))
    stray = Value(F, graph.nodes[0], 0, "z")
    assert "input 'z' is the result of a node" in message(replace(graph, inputs=(stray,)))


def test_undefined_output_and_wrong_names() -> None:
    graph = chain()
    text = message(replace(graph, outputs=(Value(F, None),)))
    assert "output 0 is not defined" in text
    assert '>   11 |   return %? "y"' in text
    assert "1 outputs have 2 names" in message(replace(graph, output_names=("a", "b")))


def test_aliases() -> None:
    graph = chain()
    verify(replace(graph, aliases={0: 0}))
    assert "output 0 is the next value of input 3, but the graph has 1 outputs" in message(
        replace(graph, aliases={0: 3})
    )
    b = Builder("g")
    x, w = b.input(F, "x"), b.input(TensorType((N,)), "w")
    total = b.emit("reduce_sum", x, axes=(1,))
    assert "output 0 of type f32[N] is the next value of input 0 of type f32[N,3]" in message(
        b.build([total], {0: 0})
    )
    assert "input 1 has two next values" in message(b.build([total, w], {0: 1, 1: 1}))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%1:f32[N,3] = nosuch(%0)", "unknown op 'nosuch'"),
        ("%1:f32[N,3] = tanh(%0) {axis=1}", "unknown attribute 'axis'"),
        ("%1:f32[N] = reduce_sum(%0)", "attribute 'axes' is missing"),
        ("%1:f32[N] = reduce_sum(%0) {axes=1}", "attribute 'axes' must be"),
        ("%1:f32[N] = reduce_sum(%0) {axes=(5,)}", "axis 5 is out of range"),
        ("%1:f32[N,3] = add(%0)", "expected 2 operand(s), received 1"),
        ("%1:i32[2] = iota() {shape=(2,), axis=0}", "'iota' lacks the attribute 'dtype'"),
        ('%1:f32[M] = iota() {shape=(M,), axis=0, dtype="float32"}', "the size M is unknown"),
        (f"%1:f32[N,3] = fused(%0) {{{ATTRS}}}", "'fused' lacks its body"),
    ],
)  # fmt: skip
def test_nodes_fit_their_op(line: str, expected: str) -> None:
    text = message(parse_graph(f'graph "g" {{\n %0 = input f32[N,3]\n {line}\n return %1\n}}'))
    assert expected in text
    assert "\n>    3 |   %1:" in text


def fused(body: str, head: str = f"fused(%0) {{{ATTRS}}}") -> Graph:
    return parse_graph(
        f'graph "g" {{\n %0 = input f32[N,3]\n %1:f32[N,3] = {head} graph "b" {{\n'
        f"{body}\n}}\n return %1\n}}"
    )


def test_bodies_are_verified() -> None:
    verify(fused("%0 = input f32[N,3]\n%1:f32[N,3] = tanh(%0)\nreturn %1"))
    text = message(fused("%0 = input f32[N,3]\n%1:f32[N,4] = tanh(%0)\nreturn %1"))
    assert ">    5 |     %1:f32[N,4] = tanh(%0)" in text
    assert "takes f32[N], but receives f32[N,3]" in message(fused("%0 = input f32[N]\nreturn %0"))
    assert "'fused' gives f32[N], but the graph says f32[N,3]" in message(
        fused("%0 = input f32[N,3]\n%1:f32[N] = reduce_sum(%0) {axes=(1,)}\nreturn %1")
    )
    assert "'tanh' must not have a body" in message(
        fused("%0 = input f32[N,3]\nreturn %0", "tanh(%0)")
    )
    assert "unknown attribute 'nonsense'" in message(
        fused("%0 = input f32[N,3]\nreturn %0", "fused(%0) {nonsense=1}")
    )


def test_results_must_belong_to_their_node() -> None:
    node = Node("dim", (), {"size": 3, "dtype": "float32"}, (TensorType(()),))
    object.__setattr__(node, "results", (Value(TensorType((2,)), node),))
    assert "the results of 'dim' do not belong to it" in message(
        Graph("g", (), (node,), node.results)
    )
