"""CSE, DCE, constant folding and the rewriter beyond their golden cases."""

from __future__ import annotations

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc, Value
from graphkeras.ir.types import TensorType
from graphkeras.passes import (
    CommonSubexpressions,
    DeadCodeElimination,
    FoldConstants,
    Pass,
    Simplify,
)

N = Size.symbol("N")
F = TensorType((N, 3))


def count(graph: Graph, op: str) -> int:
    return sum(node.op == op for node in graph.nodes)


def dropout(b: Builder, x: Value, key: Value) -> Value:
    bits = b.emit("random_bits", key, shape=x.type.shape)
    half = b.emit("broadcast", b.constant(2**31, "uint32"), shape=x.type.shape, dims=())
    zero = b.emit("broadcast", b.constant(0.0, "float32"), shape=x.type.shape, dims=())
    return b.emit("select", b.emit("lt", bits, half), x, zero)


def optimized(graph: Graph) -> Graph:
    passes: list[Pass] = [
        Simplify(), FoldConstants(), CommonSubexpressions(), DeadCodeElimination()
    ]  # fmt: skip
    for which in passes:
        graph = which(graph)
    return graph


def test_dropout_stays_random() -> None:
    b = Builder("g")
    x, key = b.input(F, "x"), b.input(TensorType((2,), "uint32"), "key")
    assert count(optimized(b.build([dropout(b, x, key)])), "random_bits") == 1


def test_dropout_of_a_constant_with_a_constant_key_stays_random() -> None:
    b = Builder("g")
    x = b.constant([1.0, 2.0], "float32")
    key = b.constant([1, 2], "uint32")
    after = optimized(b.build([dropout(b, x, key)]))
    assert count(after, "random_bits") == 1
    assert count(after, "select") == 1


def test_two_dropouts_with_two_keys_stay_two() -> None:
    b = Builder("g")
    x = b.input(F, "x")
    keys = [b.input(TensorType((2,), "uint32"), f"key{i}") for i in range(2)]
    graph = b.build([dropout(b, x, key) for key in keys])
    after = optimized(graph)
    assert count(after, "random_bits") == 2
    assert count(after, "constant") == 2
    assert count(graph, "constant") == 4


def test_cse_counts() -> None:
    b = Builder("g")
    x = b.input(F, "x")
    terms = [b.emit("tanh", b.emit("exp", x)) for _ in range(10)]
    total = terms[0]
    for term in terms[1:]:
        total = b.emit("add", total, term)
    after = CommonSubexpressions()(b.build([total]))
    assert (count(after, "exp"), count(after, "tanh"), count(after, "add")) == (1, 1, 9)


def test_dce_counts_and_keeps_inputs() -> None:
    b = Builder("g")
    x, unused = b.input(F, "x"), b.input(F, "unused")
    for _ in range(5):
        unused = b.emit("tanh", unused)
    after = DeadCodeElimination()(b.build([b.emit("exp", x)]))
    assert [node.op for node in after.nodes] == ["exp"]
    assert [v.name for v in after.inputs] == ["x", "unused"]


def test_passes_with_nothing_to_do_return_the_same_graph() -> None:
    b = Builder("g")
    x = b.input(F, "x")
    three = b.emit("broadcast", b.constant(3.0, "float32"), shape=(N, 3), dims=())
    graph = b.build([b.emit("mul", b.emit("exp", x), three)])
    assert optimized(graph) is graph


def test_rewritten_nodes_keep_location_and_name_their_origin() -> None:
    b = Builder("g")
    x, y = b.input(F, "x"), b.input(F, "y")
    with b.at(Loc("model.py", 9, "act")):
        total = b.emit("add", x, b.emit("neg", y))
        b.emit("exp", total, name="act/exp")
    graph = b.build([b.nodes[-1].result])
    sub, exp = Simplify()(graph).nodes[-2:]
    assert (sub.op, sub.loc, sub.made_by) == ("sub", Loc("model.py", 9, "act"), "simplify")
    assert sub.origins == (graph.nodes[1],)
    assert (exp.name, exp.made_by, exp.origins) == ("act/exp", "trace", (graph.nodes[2],))


def test_aliases_and_names_of_outputs_survive() -> None:
    b = Builder("g")
    x, w = b.input(F, "x"), b.input(F, "w")
    new = b.emit("sub", w, b.emit("neg", x))
    after = optimized(b.build([new], {0: 1}, ["w"]))
    assert dict(after.aliases) == {0: 1}
    assert after.output_names == ("w",)
    assert after.outputs[0].producer is after.nodes[-1]
