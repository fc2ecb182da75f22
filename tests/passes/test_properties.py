"""What holds for every graph: passes keep the numbers, gradients are derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphkeras.ir import OPS
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.text import print_graph
from graphkeras.ir.verify import verify
from graphkeras.passes import (
    Autodiff,
    CommonSubexpressions,
    DeadCodeElimination,
    FoldConstants,
    Pass,
    PassManager,
    Simplify,
)
from graphkeras.passes.numerics import relative_error
from tests.graphgen import SECOND_ORDER, Case, cases, random_graph, with_loss

PASSES: list[Pass] = [
    Simplify(),
    FoldConstants(),
    CommonSubexpressions(),
    DeadCodeElimination(),
]


STEEP = ("pow", "sqrt", "asin", "acos", "acosh", "atan2")
"""Ops that have no slope at an operand where they have a value, as the root of 0. A sample stays
there where the operand does not depend on it: `sqrt(x - x)`, `acos(x / x)`."""


def float_inputs(case: Case) -> tuple[int, ...]:
    dtype = case.graph.inputs[0].type.dtype
    return tuple(i for i, v in enumerate(case.graph.inputs) if v.type.dtype == dtype)


@pytest.mark.parametrize("which", PASSES, ids=lambda p: p.name)
@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_every_pass_keeps_the_numbers_and_is_done_after_one_run(which: Pass, case: Case) -> None:
    before = evaluate(case.graph, case.arrays)
    after = which(case.graph)
    verify(after, after=which.name)
    for old, new in zip(before, evaluate(after, case.arrays), strict=True):
        assert relative_error(old, new) < 1e-5
    assert print_graph(which(after)) == print_graph(after)


@settings(max_examples=40, deadline=None)
@given(case=cases(max_nodes=16))
def test_pipeline_keeps_the_numbers_of_a_loss_and_its_gradients(case: Case) -> None:
    case = with_loss(case)
    assume(not any(has(case, op) for op in SECOND_ORDER))
    manager = PassManager(
        [Autodiff(float_inputs(case)), *PASSES, Simplify(), DeadCodeElimination()],
        verify=True,
        check_numbers=True,
        inputs=case.arrays,
        rtol=1e-4,
    )
    manager.run(case.graph)


def has(case: Case, op: str) -> bool:
    return any(node.op == op for node in case.graph.nodes)


@settings(max_examples=60, deadline=None)
@given(case=cases(dtype="float64", max_nodes=16), seed=st.integers(0, 99))
def test_gradients_agree_with_finite_differences(case: Case, seed: int) -> None:
    assume(not has(case, "stop_gradient"))
    assume(not any(has(case, op) for op in SECOND_ORDER))
    case = with_loss(case)
    wrt = float_inputs(case)
    graph = Autodiff(wrt)(case.graph)
    verify(graph)
    gradients = evaluate(graph, case.arrays)[1:]
    rng = np.random.default_rng(seed)
    for position, gradient in zip(wrt, gradients, strict=True):
        assume(np.isfinite(gradient).all() or not any(has(case, op) for op in STEEP))
        direction = rng.normal(size=gradient.shape)

        def slope(step: float, at: int = position, d: np.ndarray = direction) -> float:
            return (loss_at(case, at, step * d) - loss_at(case, at, -step * d)) / (2 * step)

        expected, coarser = slope(1e-6), slope(4e-6)
        scale = max(1.0, abs(expected))
        assume(abs(expected - coarser) < 1e-5 * scale)
        assert abs(float((gradient * direction).sum()) - expected) < 1e-4 * scale


def loss_at(case: Case, position: int, change: np.ndarray) -> float:
    arrays = list(case.arrays)
    arrays[position] = arrays[position] + change
    return float(evaluate(case.graph, arrays)[0])


def test_the_generator_reaches_the_whole_op_table() -> None:
    found = {node.op for seed in range(250) for node in random_graph(seed, 24).graph.nodes}
    made = {
        "fused",
        "conv_kernel_grads",
        "winograd_conv",
        "winograd_kernel",
        "winograd_kernel_grad",
    }
    assert set(OPS) - found - made <= {"not", "or", "xor", "shift_left", "shift_right"}


def test_the_generator_is_deterministic() -> None:
    one, two = random_graph(7, 20), random_graph(7, 20)
    assert print_graph(one.graph) == print_graph(two.graph)
    assert all(np.array_equal(a, b) for a, b in zip(one.arrays, two.arrays, strict=True))
