"""Scheduling: updates in place where that is legal, through a copy where it is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Loc, Node
from graphkeras.ir.text import print_graph
from graphkeras.passes import Fuse, Schedule
from graphkeras.passes.numerics import random_inputs, relative_error
from graphkeras.passes.schedule import can_overwrite
from tests.graphgen import Case, cases
from tests.planned import Memory, launches, pairs_in_place, scheduled, stateful_cases

SQUARE = TensorType((4, 4))
N = Size.symbol("N")


def square_inputs(*names: str) -> tuple[Builder, list[Value]]:
    b = Builder("g")
    return b, [b.input(SQUARE, name) for name in names]


def transpose(b: Builder, x: Value) -> Value:
    return b.emit("transpose", x, perm=(1, 0))


def matmul(b: Builder, x: Value, y: Value) -> Value:
    return b.emit(
        "dot_general", x, y, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), rhs_contract=(0,)
    )


def bodies(graph: Graph) -> list[str]:
    """What each kernel ends with, in order."""
    return [node.body.nodes[-1].op for node in launches(graph) if node.body is not None]


def check(graph: Graph) -> Graph:
    """Runs the scheduled graph in its planned memory; returns it."""
    after = scheduled(graph)
    arrays = random_inputs(graph)
    expected = evaluate(graph, arrays)
    for want, got in zip(expected, Memory(after, arrays).run(), strict=True):
        assert relative_error(want, got) < 1e-6
    return after


def test_an_update_is_written_in_place() -> None:
    b, (w, g) = square_inputs("w", "g")
    after = check(b.build([b.emit("sub", w, g)], {0: 0}))
    assert bodies(after) == ["sub"]
    (node,) = launches(after)
    assert pairs_in_place(Memory(after, random_inputs(after)), node)[0][0] is after.inputs[0]


def test_readers_of_the_old_value_run_before_the_update() -> None:
    b, (w, g) = square_inputs("w", "g")
    new = b.emit("sub", w, g)
    late = matmul(b, w, g)
    after = check(b.build([new, late], {0: 0}))
    assert bodies(after) == ["dot_general", "sub"]


def test_a_reader_that_needs_the_update_first_makes_a_copy() -> None:
    # late = w @ new reads the old w and the new one.
    b, (w, g) = square_inputs("w", "g")
    new = b.emit("sub", w, g)
    late = matmul(b, w, b.emit("tanh", b.emit("exp", new)))
    after = check(b.build([new, late], {0: 0}))
    assert bodies(after)[-1] == "reshape"
    assert bodies(after).count("reshape") == 1


def test_a_kernel_that_reads_its_own_state_transposed_makes_a_copy() -> None:
    b, (w,) = square_inputs("w")
    after = check(b.build([b.emit("add", w, transpose(b, w))], {0: 0}))
    assert bodies(after) == ["add", "reshape"]


def test_a_matrix_product_with_its_own_state_makes_a_copy() -> None:
    b, (w,) = square_inputs("w")
    after = check(b.build([matmul(b, w, w)], {0: 0}))
    assert bodies(after) == ["dot_general", "reshape"]


def test_an_update_in_the_epilogue_of_a_product_is_in_place() -> None:
    b, (w, x, y) = square_inputs("w", "x", "y")
    after = check(b.build([b.emit("sub", w, matmul(b, x, y))], {0: 0}))
    assert bodies(after) == ["sub"]


def test_an_output_that_is_an_input_is_copied() -> None:
    b, (x,) = square_inputs("x")
    after = check(b.build([x, b.emit("exp", x)]))
    assert sorted(bodies(after)) == ["exp", "reshape"]
    assert all(v.producer is not None for v in after.outputs)


def test_a_state_that_stays_is_not_copied() -> None:
    b, (w, x) = square_inputs("w", "x")
    after = check(b.build([w, b.emit("exp", x)], {0: 0}))
    assert bodies(after) == ["exp"]


def test_a_value_for_two_outputs_gets_memory_for_each() -> None:
    b, (x,) = square_inputs("x")
    y = b.emit("exp", x)
    after = check(b.build([y, y]))
    assert bodies(after) == ["exp", "reshape"]
    assert len(set(after.outputs)) == 2


def test_a_constant_output_is_copied() -> None:
    b, (x,) = square_inputs("x")
    after = check(b.build([b.constant(3.0, "float32"), b.constant([1.0, 2.0], "float32"), x]))
    assert bodies(after) == ["reshape"] * 3


def test_two_states_swap_through_one_copy() -> None:
    b, (p, q) = square_inputs("p", "q")
    after = check(b.build([q, p], {0: 0, 1: 1}))
    assert bodies(after) == ["reshape"] * 3


def test_three_states_rotate() -> None:
    b, (p, q, r) = square_inputs("p", "q", "r")
    check(b.build([q, r, p], {0: 0, 1: 1, 2: 2}))


def test_two_states_swap_with_work() -> None:
    b, (p, q) = square_inputs("p", "q")
    check(b.build([b.emit("exp", q), b.emit("neg", p)], {0: 0, 1: 1}))
    b, (p, q) = square_inputs("p", "q")
    check(b.build([transpose(b, q), transpose(b, p)], {0: 0, 1: 1}))


def test_the_same_next_value_for_two_states() -> None:
    b, (p, q) = square_inputs("p", "q")
    new = b.emit("add", p, transpose(b, q))
    check(b.build([new, new], {0: 0, 1: 1}))


def test_updates_go_first_among_ready_kernels() -> None:
    b, (x, w, g) = square_inputs("x", "w", "g")
    first = b.emit("exp", transpose(b, x))
    with b.at(Loc(phase="update")):
        new = b.emit("sub", w, b.emit("tanh", g))
    after = check(b.build([first, new], {1: 1}))
    assert bodies(after) == ["sub", "exp"]


def test_scheduling_is_deterministic() -> None:
    def text() -> str:
        b, (x, w, g) = square_inputs("x", "w", "g")
        values = [b.emit("exp", transpose(b, v)) for v in (x, w, g)]
        new = b.emit("sub", w, matmul(b, values[0], values[1]))
        return print_graph(scheduled(b.build([*values, new], {3: 1})))

    assert len({text() for _ in range(3)}) == 1


def loop_kernel(build: Callable[[Builder, Value, Value], Value]) -> Graph:
    b = Builder("g")
    x, s = b.input(TensorType((N, 4)), "x"), b.input(TensorType((N,)), "s")
    return Fuse()(b.build([build(b, x, s)]))


def wide(b: Builder, s: Value) -> Value:
    return b.emit("broadcast", s, shape=(N, 4), dims=(0,))


def softmax(b: Builder, x: Value, s: Value) -> Value:
    e = b.emit("exp", b.emit("sub", x, wide(b, b.emit("reduce_max", x, axes=(1,)))))
    return b.emit("div", e, wide(b, b.emit("reduce_sum", e, axes=(1,))))


@pytest.mark.parametrize(
    ("build", "legal"),
    [
        (lambda b, x, s: b.emit("exp", x), True),
        (lambda b, x, s: b.emit("mul", b.emit("exp", x), x), True),
        (lambda b, x, s: b.emit("mul", x, wide(b, s)), True),
        (lambda b, x, s: b.emit("add", x, b.emit("reverse", x, axes=(1,))), False),
        (lambda b, x, s: b.emit("reverse", x, axes=(0,)), False),
        (softmax, True),
        (lambda b, x, s: b.emit("cast", x, dtype="float64"), False),
        (lambda b, x, s: b.emit("cast", x, dtype="int32"), False),
        (lambda b, x, s: b.emit("cumsum", x, axis=1, reverse=False), False),
        (lambda b, x, s: b.emit("reshape", b.emit("exp", x), shape=(N * 4,)), True),
        (lambda b, x, s: b.emit("transpose", x, perm=(1, 0)), False),
    ],
    ids=[
        "exp",
        "twice",
        "scaled",
        "self-reversed",
        "reversed",
        "softmax",
        "wider",
        "other-dtype",
        "opaque",
        "reshape",
        "transpose",
    ],
)
def test_what_a_kernel_may_overwrite(
    build: Callable[[Builder, Value, Value], Value], legal: bool
) -> None:
    graph = loop_kernel(build)
    (node,) = launches(graph)
    assert can_overwrite(node, graph.inputs[0], node.results[0]) is legal


def test_a_row_that_is_read_for_a_whole_row_is_not_overwritten() -> None:
    b = Builder("g")
    x, s = b.input(TensorType((N, 4)), "x"), b.input(TensorType((N,)), "s")
    total = b.emit("reduce_sum", x, axes=(1,))
    row = b.emit("add", total, s)
    scaled = b.emit("mul", b.emit("mul", x, wide(b, row)), wide(b, s))
    (node,) = launches(Fuse()(b.build([row, scaled])))
    results = {r.type.shape: r for r in node.results}
    assert not can_overwrite(node, s, results[(N,)])
    assert can_overwrite(node, x, results[(N, 4)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=stateful_cases())
def test_random_updates_give_the_numbers_in_planned_memory(case: Case) -> None:
    after = scheduled(case.graph)
    expected = evaluate(case.graph, case.arrays)
    for want, got in zip(expected, Memory(after, case.arrays).run(), strict=True):
        assert relative_error(want, got) < 1e-5


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=stateful_cases(12), seed=st.integers(0, 9))
def test_memory_written_in_place_is_read_by_its_own_element_only(case: Case, seed: int) -> None:
    after = scheduled(case.graph)
    memory = Memory(after, case.arrays)
    for node in launches(after):
        for operand, _ in pairs_in_place(memory, node):
            if operand.type.is_float:
                assert_pointwise(memory, node, operand, seed)
        memory.launch(node)


def assert_pointwise(memory: Memory, node: Node, operand: Value, seed: int) -> None:
    """Moves one element of the operand: only its own iteration's results may change."""
    view = memory.view(operand)
    if view.size == 0:
        return
    element = seed % view.size
    before = [np.array(r) for r in memory.results(node)]
    saved = view.copy()
    view.reshape(-1)[element] += 1.0
    changed = memory.results(node)
    view[...] = saved
    count = view.size
    for old, new in zip(before, changed, strict=True):
        same = (old == new) | ((old != old) & (new != new))
        moved = np.flatnonzero(~same.reshape(-1))
        if node.attrs["pattern"] == "rows" or node.attrs["rows"]:
            space = node.attrs["space"]
            extents = TensorType(space).concrete(memory.sizes)
            columns = int(np.prod(extents[node.attrs["rows"] :]))
            own, mine = moved * (count // max(old.size, 1)) // columns, element // columns
        else:
            own, mine = moved, element
        assert set(own.tolist()) <= {mine}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=cases())
def test_scheduling_again_changes_nothing(case: Case) -> None:
    after = scheduled(case.graph)
    assert print_graph(Schedule()(after)) == print_graph(after)
