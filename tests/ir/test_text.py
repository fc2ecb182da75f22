"""The text form: printing, reading back, and what the reader says about wrong text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc, Node
from graphkeras.ir.parse import parse_call
from graphkeras.ir.text import ParseError, attribute_text, parse_graph, print_graph
from graphkeras.ir.types import TensorType
from tests.graphgen import Case, cases

N = Size.symbol("N")


def assert_same(a: Graph, b: Graph) -> None:
    """Every part of two graphs but identity and origins is equal."""
    assert (a.name, a.output_names, dict(a.aliases)) == (b.name, b.output_names, dict(b.aliases))
    assert [(v.type, v.name, v.index) for v in a.inputs] == [
        (v.type, v.name, v.index) for v in b.inputs
    ]
    assert len(a.nodes) == len(b.nodes)
    numbers = dict(zip(a.inputs, b.inputs, strict=True))
    for x, y in zip(a.nodes, b.nodes, strict=True):
        assert (x.op, x.name, x.loc, x.made_by, x.types) == (
            y.op,
            y.name,
            y.loc,
            y.made_by,
            y.types,
        )
        assert [numbers[v] for v in x.inputs] == list(y.inputs)
        assert list(x.attrs) == list(y.attrs)
        for old, new in zip(x.attrs.values(), y.attrs.values(), strict=True):
            assert type(old) is type(new)
            if isinstance(old, np.ndarray):
                assert (old.dtype, old.shape) == (new.dtype, new.shape)
                assert old.tobytes() == new.tobytes()
            else:
                assert old == new
        assert (x.body is None) == (y.body is None)
        if x.body is not None and y.body is not None:
            assert_same(x.body, y.body)
        numbers.update(zip(x.results, y.results, strict=True))
    assert [numbers[v] for v in a.outputs] == list(b.outputs)


def example() -> Graph:
    body = Builder("body")
    p, q = body.input(TensorType((N, 3)), "p"), body.input(TensorType((N, 3)), "q")
    inner = body.build([body.emit("tanh", body.emit("add", p, q), name="h")])
    b = Builder('step "1"')
    x = b.input(TensorType((N, 3)), "x")
    w = b.input(TensorType((N, 3)), "dense/kernel")
    loc = Loc("model.py", 12, "dense", "forward")
    fused = Node("fused", (x, w), {"space": (N, 3)}, (x.type,), body=inner, loc=loc)
    b.nodes.append(fused)
    y = fused.result
    b.made_by = "autodiff"
    with b.at(Loc("model.py", 12, "dense", "backward")):
        z = b.emit("mul", y, w, name="dense/grad")
    return b.build([y, z], {1: 1}, ["y", "dense/kernel"])


TEXT = """\
graph "step \\"1\\"" {
  %0 = input f32[N,3] "x"
  %1 = input f32[N,3] "dense/kernel"
  %2:f32[N,3] = fused(%0, %1) {space=(N, 3)} loc("model.py":12, layer="dense") graph "body" {
    %0 = input f32[N,3] "p"
    %1 = input f32[N,3] "q"
    %2:f32[N,3] = add(%0, %1)
    %3:f32[N,3] = tanh(%2) @"h"
    return %3
  }
  %3:f32[N,3] = mul(%2, %1) @"dense/grad" loc("model.py":12, layer="dense", phase="backward") \
by "autodiff"
  return %2 "y", %3 "dense/kernel" -> %1
}"""


def test_print_shows_everything_a_reader_needs() -> None:
    assert print_graph(example()) == TEXT
    assert str(example()) == TEXT


def test_parse_is_the_inverse_of_print() -> None:
    graph = example()
    assert_same(graph, parse_graph(print_graph(graph)))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_random_graphs_survive_the_round_trip(case: Case) -> None:
    text = print_graph(case.graph)
    back = parse_graph(text)
    assert_same(case.graph, back)
    assert print_graph(back) == text


def test_comments_and_line_breaks_do_not_matter() -> None:
    text = 'graph "g" { # a graph\n %0 = input f32[]\n# nothing\n return %0 }'
    assert print_graph(parse_graph(text)) == 'graph "g" {\n  %0 = input f32[]\n  return %0\n}'


ARRAYS = [
    np.array(0.1, "float32"),
    np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], "float32"),
    np.array([0xFFC00001, 0x7F800001], "uint32").view("float32"),
    np.array([5e-324, 0.1, 1 / 3, 1e300]),
    np.array([[True, False]]),
    np.array([-(2**63), 2**63 - 1]),
    np.array([2**64 - 1], "uint64"),
    np.zeros((0, 3), "int8"),
    np.arange(40, dtype="float32").reshape(5, 8)[:, ::2],
    np.arange(40, dtype="int16"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{list(a.shape)}")
def test_arrays_are_kept_bit_for_bit(array: np.ndarray) -> None:
    b = Builder("g")
    graph = b.build([b.emit("constant", value=array)])
    assert_same(graph, parse_graph(print_graph(graph)))


def test_parsed_arrays_are_read_only() -> None:
    graph = parse_graph('graph "g" {\n%0:f32[1] = constant() {value=f32[1](1.5)}\nreturn %0\n}')
    with pytest.raises(ValueError, match="read-only"):
        graph.nodes[0].attrs["value"][0] = 2


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -7, 0.1, 1e300, float("inf"), -float("inf"), "a \"b\"\n", (), (1,),
        (1, (N, 2)),
        N * 2 + 1, N * N + -1,
    ],
    ids=str,
)  # fmt: skip
def test_attributes_are_kept(value: object) -> None:
    _, back = parse_call(f"a{{value={attribute_text(value)}}}")
    assert back["value"] == value
    assert type(back["value"]) is type(value)


def test_a_list_has_no_text_form() -> None:
    with pytest.raises(TypeError, match=r"an attribute of type list has no text form: \[1\]"):
        attribute_text([1])


def test_graph_with_an_undefined_value_is_printed_for_messages() -> None:
    stray = Node("exp", (), {}, (TensorType(()),))
    graph = Graph("g", (), (Node("neg", (stray.result,), {}, (TensorType(()),)),), (stray.result,))
    assert print_graph(graph) == 'graph "g" {\n  %0:f32[] = neg(%?)\n  return %?\n}'


WRONG = {
    "missing mark": (
        'graph "g" {\n  %0 = input f32[N]\n  %1:f32[N] = exp(%0\n  return %1\n}',
        "line 4, column 3: expected ',', received return\n    return %1\n    ^",
    ),
    "undefined value": (
        'graph "g" {\n  %1:f32[] = exp(%0)\n  return %1\n}',
        "line 2, column 18: expected a value defined on an earlier line, received %0\n"
        "    %1:f32[] = exp(%0)\n                   ^",
    ),
    "defined twice": (
        'graph "g" {\n  %0 = input f32[]\n  %0 = input f32[]\n  return %0\n}',
        "line 3, column 3: expected a value that is not defined yet, received %0",
    ),
    "bad type": (
        'graph "g" {\n  %0 = input f16[3]\n  return %0\n}',
        "line 2, column 14: not a tensor type: 'f16[3]'",
    ),
    "bad dimension": (
        'graph "g" {\n  %0 = input f32[2 3]\n  return %0\n}',
        "line 2, column 14: not a dimension: '2 3'",
    ),
    "bad attribute": (
        'graph "g" {\n  %0:f32[] = dim() {size=*}\n  return %0\n}',
        "line 2, column 26: expected the value of an attribute, received *",
    ),
    "no python": (
        'graph "g" {\n  %0:f32[] = dim() {size=exit(1)}\n  return %0\n}',
        "line 2, column 30: expected ',', received (",
    ),
    "wrong number of elements": (
        'graph "g" {\n  %0:f32[2] = constant() {value=f32[2](1.0)}\n  return %0\n}',
        "line 2, column 33: expected the elements of f32[2]",
    ),
    "bad base64": (
        'graph "g" {\n  %0:f32[2] = constant() {value=f32[2]"?"}\n  return %0\n}',
        "line 2, column 33: expected the elements of f32[2]",
    ),
    "some output names": (
        'graph "g" {\n  %0 = input f32[]\n  return %0 "a", %0\n}',
        "line 4, column 1: expected names for all outputs or for none",
    ),
    "alias of a node": (
        'graph "g" {\n  %0:f32[] = dim() {size=1}\n  return %0 -> %0\n}',
        "line 3, column 16: expected an input of the graph",
    ),
    "text after the end": ('graph "g" {\n return\n}\nx', "line 4, column 1: expected the end of"),
    "cut off": ('graph "g" {\n', "line 2, column 1: expected a value such as %0, or 'return'"),
    "open string": ('graph "g {\n return\n}', "line 1, column 7: expected the graph's name in quo"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_text_is_refused_with_its_place(name: str) -> None:
    text, message = WRONG[name]
    with pytest.raises(ParseError) as caught:
        parse_graph(text)
    assert message in str(caught.value)
