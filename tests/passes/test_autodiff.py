"""Reverse-mode differentiation."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph, Loc, Value
from graphkeras.ir.op import OPS, Kind, Op
from graphkeras.ir.types import TensorType
from graphkeras.passes import Autodiff, GradientError, gradients

N = Size.symbol("N")
F = TensorType((N, 3))


def total(b: Builder, x: Value) -> Value:
    return b.emit("reduce_sum", x, axes=tuple(range(x.type.rank)))


def test_backward_nodes_know_where_they_come_from() -> None:
    b = Builder("g")
    x = b.input(F, "x")
    with b.at(Loc("model.py", 7, "dense")):
        y = b.emit("sin", x)
    loss = total(b, y)
    forward = len(b.nodes)
    (dx,) = gradients(b, loss, [x])
    assert dx is not None
    assert dx.type == x.type
    assert b.made_by == "trace"
    added = b.nodes[forward:]
    assert {node.made_by for node in added} == {"autodiff"}
    assert {node.loc.phase for node in added} == {"backward"}
    cos = next(node for node in added if node.op == "cos")
    assert cos.origins == (y.producer,)
    assert (cos.loc.layer, cos.loc.file, cos.loc.line) == ("dense", "model.py", 7)


def test_frozen_layers_leave_no_nodes() -> None:
    def nodes(trained: int) -> int:
        b = Builder("g")
        x, *weights = [b.input(TensorType((4, 4)), f"w{i}") for i in range(5)]
        for w in weights:
            dims = {"lhs_contract": (1,), "rhs_contract": (0,), "lhs_batch": (), "rhs_batch": ()}
            x = b.emit("tanh", b.emit("dot_general", x, w, **dims))
        forward = len(b.nodes)
        gradients(b, total(b, x), weights[-trained:])
        return len(b.nodes) - forward

    last, two, all_four = nodes(1), nodes(2), nodes(4)
    assert last < two < all_four
    assert two - last == (all_four - last) / 3
    b = Builder("g")
    x, w = b.input(F, "x"), b.input(F, "w")
    loss = total(b, b.emit("mul", b.emit("exp", x), w))
    gradients(b, loss, [w])
    assert not any(n.op == "exp" for n in b.nodes[3:])


def test_what_has_no_gradient_gives_none() -> None:
    b = Builder("g")
    x, y, z = b.input(F, "x"), b.input(F, "y"), b.input(F, "z")
    i = b.input(TensorType((N, 3), "int32"), "i")
    smooth = b.emit("mul", z, b.emit("cast", i, dtype="float32"))
    stopped = b.emit("stop_gradient", y)
    jumps = b.emit("floor", b.emit("mul", x, x))
    loss = total(b, b.emit("add", smooth, b.emit("mul", stopped, jumps)))
    unused = b.input(F, "unused")
    assert gradients(b, loss, [x, y, i, unused]) == [None] * 4
    (dz,) = gradients(b, loss, [z])
    assert dz is not None


def test_gradient_of_an_intermediate_value_and_of_the_loss() -> None:
    b = Builder("g")
    x = b.input(TensorType((3,)), "x")
    y = b.emit("mul", x, x)
    loss = total(b, b.emit("exp", y))
    dy, dloss = gradients(b, loss, [y, loss])
    assert dy is not None
    assert dloss is not None
    array = np.array([0.1, 0.2, 0.3], "float32")
    got = evaluate(b.build([dy, dloss]), [array])
    np.testing.assert_allclose(got[0], np.exp(array**2), rtol=1e-6)
    assert got[1] == 1


def test_second_derivative() -> None:
    b = Builder("g")
    x = b.input(TensorType(()), "x")
    (first,) = gradients(b, b.emit("sin", b.emit("mul", x, x)), [x])
    assert first is not None
    (second,) = gradients(b, first, [x])
    assert second is not None
    at = 0.7
    (got,) = evaluate(b.build([second]), [np.float32(at)])
    assert got == pytest.approx(2 * np.cos(at**2) - 4 * at**2 * np.sin(at**2), rel=1e-5)


@pytest.mark.parametrize("shape", [(N, 1, 3), (1, 5, 1), (3,), (), (N, 5, 3)], ids=lambda s: f"{s}")
def test_gradient_of_a_broadcast_operand_has_its_shape(shape: tuple[int, ...]) -> None:
    b = Builder("g")
    x = b.input(TensorType((N, 5, 3), "float64"), "x")
    w = b.input(TensorType(shape, "float64"), "w")
    dims = tuple(range(3 - len(shape), 3))
    wide = b.emit("broadcast", w, shape=(N, 5, 3), dims=dims)
    (dw,) = gradients(b, total(b, b.emit("mul", x, wide)), [w])
    assert dw is not None
    assert dw.type == w.type
    data = np.random.default_rng(0).normal(size=(2, 5, 3))
    small = np.ones([2 if d == N else d for d in shape])
    (got,) = evaluate(b.build([dw]), [data, small])
    axes = tuple(d for d in range(3) if d not in dims or shape[d - 3 + len(shape)] == 1)
    np.testing.assert_allclose(got, data.sum(axis=axes).reshape(small.shape))


def test_loss_must_be_a_float_scalar_of_this_builder() -> None:
    b = Builder("train")
    x = b.input(F, "x")
    with b.at(Loc("model.py", 3, "dense")):
        y = b.emit("neg", x)
    with pytest.raises(GradientError, match=r"must be a float scalar.*f32\[N,3\]\n  at: dense mod"):
        gradients(b, y, [x])
    with pytest.raises(GradientError, match=r"received i32\[\]"):
        gradients(b, b.emit("dim", size=3), [x])
    stranger = Builder("other").input(TensorType(()), "loss")
    with pytest.raises(GradientError, match="the loss was not computed in 'train'"):
        gradients(b, stranger, [x])
    assert len(b.nodes) == 2


def test_op_without_a_rule_is_named_with_layer_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder("g")
    x = b.input(F, "x")
    with b.at(Loc("model.py", 12, "pool")):
        y = b.emit("reduce_max", x, axes=(1,))
    loss = total(b, y)
    op = OPS["reduce_max"]
    bare = Op(op.name, Kind.REDUCE, op.doc, op.infer, op.reference, op.attrs)
    monkeypatch.setitem(OPS, "reduce_max", bare)
    with pytest.raises(GradientError) as caught:
        gradients(b, loss, [x])
    assert str(caught.value) == (
        "cannot differentiate through 'reduce_max': it has no gradient rule\n"
        "  node: reduce_max(f32[N,3]) -> f32[N]\n"
        "  layer: pool\n"
        "  line: model.py:12\n"
        "  put ops.stop_gradient before it, or use operations that have a gradient"
    )
    assert gradients(b, loss, [b.input(F, "other")]) == [None]


def test_rule_that_gives_a_wrong_type_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder("g")
    x = b.input(F, "x")
    loss = total(b, b.emit("tanh", x))
    op = OPS["tanh"]
    wrong = Op(
        op.name, op.kind, op.doc, op.infer, op.reference,
        gradient=lambda b, node, dy: (b.constant(0.0, "float32"),),
    )  # fmt: skip
    monkeypatch.setitem(OPS, "tanh", wrong)
    with pytest.raises(GradientError, match=r"'tanh' gave f32\[\] for an operand of type f32\[N,3"):
        gradients(b, loss, [x])


def graph() -> Graph:
    b = Builder("g")
    x = b.input(F, "x")
    b.input(TensorType((2,), "int32"), "i")
    return b.build([total(b, x)], output_names=["loss"])


def test_pass_names_the_gradients_and_checks_its_options() -> None:
    assert Autodiff((0,))(graph()).output_names == ("loss", "d_x")
    with pytest.raises(GradientError, match=r"wrt=1: i32\[2\] has no gradient, only floats do"):
        Autodiff((1,))(graph())
    with pytest.raises(GradientError, match="wrt=2: the graph has 2 inputs"):
        Autodiff((2,))(graph())
