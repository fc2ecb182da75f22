"""Random graphs compute the same numbers compiled as in the evaluator, at every batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphkeras.compiler import PIPELINE, compile_graph
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes import Autodiff, PassManager
from tests.graphgen import SECOND_ORDER, Case, cases, random_graph, with_loss
from tests.planned import arrays_for, stateful_cases, with_state

Array = NDArray[Any]

NUDGE = 1e-5
GAIN = 100.0
TOLERANCE = 1e-4

# Shrinking would compile hundreds of graphs: the same seed with fewer nodes is a smaller graph.
COMPILED = settings(
    max_examples=6, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)


def nudged(arrays: Sequence[Array]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [
        (a + NUDGE * rng.choice([-1.0, 1.0], a.shape)).astype(a.dtype) if a.dtype.kind == "f" else a
        for a in arrays
    ]


def assert_agree(want: Array, got: Array, moved: Array) -> None:
    """`got` is `want` where `want` is well conditioned: where moved inputs move it little."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind != "f":
        if np.array_equal(want, moved):
            np.testing.assert_array_equal(got, want)
        return
    finite = np.abs(want[np.isfinite(want)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        if np.all(np.abs(want - moved) < GAIN * NUDGE * scale):
            np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE * scale)


def check(case: Case, batches: Sequence[int]) -> None:
    executable = compile_graph(case.graph)
    own = case.sizes["N"]
    for batch in (own, *batches):
        arrays = case.arrays if batch == own else arrays_for(case, {"N": batch})
        with np.errstate(all="ignore"):
            expected = evaluate(case.graph, arrays)
            moved = evaluate(case.graph, nudged(arrays))
        given_arrays = [array.copy() for array in arrays]
        returned = iter(executable(given_arrays))
        for i, want in enumerate(expected):
            aliases = case.graph.aliases
            got = given_arrays[aliases[i]] if i in aliases else next(returned)
            assert_agree(want, got, moved[i])


@COMPILED
@given(seed=st.integers(0, 2**20), nodes=st.integers(8, 14))
def test_compiled_graphs_keep_the_numbers(seed: int, nodes: int) -> None:
    check(random_graph(seed, nodes), [1, 2, 5, 17])


@COMPILED
@given(seed=st.integers(0, 2**20), state=st.integers(0, 9))
def test_compiled_updates_keep_the_numbers(seed: int, state: int) -> None:
    check(with_state(random_graph(seed, 8), state), [1, 17])


def with_gradients(case: Case) -> Case:
    # Max pooling can be differentiated once.
    assume(all(node.op not in SECOND_ORDER for node in case.graph.nodes))
    case = with_loss(case)
    floats = [i for i, v in enumerate(case.graph.inputs) if v.type.dtype == "float32"]
    return case._replace(graph=Autodiff(tuple(floats))(case.graph))


@settings(COMPILED, max_examples=4)
@given(seed=st.integers(0, 2**20))
def test_compiled_gradients_keep_the_numbers(seed: int) -> None:
    check(with_gradients(random_graph(seed, 8)), [1, 5])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=st.one_of(cases(), stateful_cases()))
def test_every_pass_of_the_pipeline_keeps_the_numbers(case: Case) -> None:
    PassManager(PIPELINE, verify=True, check_numbers=True, inputs=case.arrays).run(case.graph)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=cases(max_nodes=14))
def test_every_pass_keeps_the_numbers_of_gradients(case: Case) -> None:
    graph = with_gradients(case).graph
    manager = PassManager(PIPELINE, verify=True, check_numbers=True, inputs=case.arrays, rtol=1e-4)
    manager.run(graph)
