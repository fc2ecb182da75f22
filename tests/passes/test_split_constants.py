"""Graphs split by what depends on rarely changing inputs, and scales folded into weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph, Value
from graphkeras.ir.types import TensorType
from graphkeras.ir.verify import verify
from graphkeras.passes import DeadCodeElimination, FoldScales
from graphkeras.passes.split_constants import Split, constant_values, split_constants
from tests.graphgen import cases

N = Size.symbol("N")


def run(split: Split, arrays: list[np.ndarray]) -> list[np.ndarray]:
    prepared = evaluate(split.prepare, [arrays[i] for i in split.constant])
    inputs = [prepared[i] if made else arrays[i] for made, i in split.sources]
    return list(evaluate(split.main, inputs))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def dense(b: Builder, x: Value, w: Value) -> Value:
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    return b.emit("dot_general", x, w, **attrs)


def spread(b: Builder, vector: Value) -> Value:
    return b.emit("broadcast", vector, shape=(N, *vector.type.shape), dims=(1,))


def test_what_depends_on_variables_is_prepared_and_a_broadcast_is_not() -> None:
    b = Builder("g")
    x, v = b.input(TensorType((N, 4)), "x"), b.input(TensorType((4,)), "variance")
    factor = b.emit("rsqrt", v)
    graph = b.build([b.emit("mul", x, spread(b, factor))])
    split = split_constants(graph, [1])
    assert ops(split.prepare) == ["rsqrt"]
    assert ops(split.main) == ["broadcast", "mul"]
    assert split.sources == ((False, 0), (True, 0))
    assert split.prepare.name == "prepare_g"
    assert [value.type for value in split.main.inputs] == [x.type, factor.type]


def test_moves_and_growth_stay_in_the_main_graph() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 4)), "x"), b.input(TensorType((3, 4)), "w")
    turned = b.emit("transpose", w, perm=(1, 0))
    wide = b.emit("broadcast", w, shape=(100, 3, 4), dims=(1, 2))
    split = split_constants(b.build([dense(b, x, turned), wide]), [1])
    assert ops(split.prepare) == []
    assert split.sources == ((False, 0), (False, 1))


def test_a_move_that_both_need_is_in_both() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 4)), "x"), b.input(TensorType((3, 4)), "w")
    turned = b.emit("transpose", w, perm=(1, 0))
    graph = b.build([dense(b, x, turned), dense(b, x, b.emit("exp", turned))])
    split = split_constants(graph, [1])
    assert ops(split.prepare) == ["transpose", "exp"]
    assert ops(split.main) == ["transpose", "dot_general", "dot_general"]


def test_outputs_stay_in_the_main_graph() -> None:
    b = Builder("g")
    w = b.input(TensorType((4,)), "w")
    split = split_constants(b.build([b.emit("exp", w)]), [0])
    assert ops(split.main) == ["exp"]
    assert split.prepare.outputs == ()


def test_aliases_name_the_inputs_that_are_left() -> None:
    b = Builder("g")
    w, total = b.input(TensorType((4,)), "w"), b.input(TensorType((4,)), "total")
    graph = b.build([b.emit("add", total, b.emit("exp", w))], {0: 1})
    split = split_constants(graph, [0])
    assert split.sources == ((False, 1), (True, 0))
    assert split.main.aliases == {0: 0}


def test_nothing_that_depends_on_a_run_time_size_is_constant() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 4)), "x"), b.input(TensorType((4,)), "w")
    wide = spread(b, w)
    result = b.emit("add", x, b.emit("exp", wide))
    known = constant_values(b.build([result]), [1])
    assert w in known
    assert wide not in known


def test_cuts_are_named_after_their_layer() -> None:
    from graphkeras.ir.graph import Loc

    b = Builder("g")
    x, w = b.input(TensorType((N, 4)), "x"), b.input(TensorType((4,)), "w")
    with b.at(Loc("net.py", 3, "model/norm")):
        factor = b.emit("exp", w)
    split = split_constants(b.build([b.emit("mul", x, spread(b, factor))]), [1])
    assert split.prepare.output_names == ("model/norm/exp",)
    assert split.main.inputs[1].name == "model/norm/exp"
    assert split.prepare.nodes[0].loc.layer == "model/norm"


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_both_graphs_compute_what_one_did(case, random) -> None:
    fixed = [i for i, v in enumerate(case.graph.inputs) if not any(
        isinstance(d, Size) for d in v.type.shape
    )]  # fmt: skip
    constant = sorted(random.sample(fixed, random.randint(0, len(fixed))))
    split = split_constants(case.graph, constant)
    verify(split.prepare)
    verify(split.main)
    with np.errstate(all="ignore"):
        expected = evaluate(case.graph, case.arrays)
        for one, other in zip(run(split, list(case.arrays)), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def normalised() -> Graph:
    b = Builder("g")
    x, w = b.input(TensorType((N, 3)), "x"), b.input(TensorType((3, 4)), "w")
    mean, factor = b.input(TensorType((4,)), "mean"), b.input(TensorType((4,)), "factor")
    centred = b.emit("sub", dense(b, x, w), spread(b, mean))
    return b.build([b.emit("mul", centred, spread(b, factor))])


def folded(graph: Graph) -> Graph:
    after = DeadCodeElimination()(FoldScales((1, 2, 3))(graph))
    assert after is not graph
    return after


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_in_the_data_stays_so(bad: float) -> None:
    graph = normalised()
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 3)).astype("f"), rng.normal(size=(3, 4)).astype("f")
    x[1, 2] = bad
    mean, factor = rng.normal(size=4).astype("f"), np.array([2, -3, 0.5, 0], "f")
    with np.errstate(all="ignore"):
        (expected,) = evaluate(graph, [x, w, mean, factor])
        (found,) = evaluate(folded(graph), [x, w, mean, factor])
    assert np.isfinite(found[[0, 2]]).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_factor_that_is_not_finite_reaches_its_channel_only() -> None:
    graph = normalised()
    x, w = np.ones((2, 3), "f"), np.ones((3, 4), "f")
    factor = np.array([1, np.inf, np.nan, 1], "f")
    with np.errstate(all="ignore"):
        (found,) = evaluate(folded(graph), [x, w, np.zeros(4, "f"), factor])
    assert np.isfinite(found).tolist() == [[True, False, False, True]] * 2


def test_the_contraction_keeps_its_place_and_the_sum_gets_that_of_the_normalisation() -> None:
    from graphkeras.ir.graph import Loc

    b = Builder("g")
    x, w = b.input(TensorType((N, 3)), "x"), b.input(TensorType((3, 4)), "w")
    mean, factor = b.input(TensorType((4,)), "mean"), b.input(TensorType((4,)), "factor")
    with b.at(Loc("net.py", 1, "conv")):
        c = dense(b, x, w)
    with b.at(Loc("net.py", 2, "norm")):
        centred = b.emit("sub", c, spread(b, mean))
        y = b.emit("mul", centred, spread(b, factor))
    after = folded(b.build([y]))
    layers = {node.op: node.loc.layer for node in after.nodes}
    assert layers["dot_general"] == "conv"
    assert layers["add"] == "norm"
