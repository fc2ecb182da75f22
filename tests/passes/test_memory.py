"""Memory planning: live buffers never overlap, dead ones are used again."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.memory import ALIGNMENT, MemoryPlan, Place, plan_memory
from graphkeras.passes.numerics import relative_error
from tests.graphgen import Case, cases
from tests.planned import Memory, arrays_for, launches, scheduled

N = Size.symbol("N")


def lifetimes(graph: Graph, plan: MemoryPlan) -> dict[Value, tuple[int, int]]:
    """First and last launch of every value in the arena, found anew from the schedule."""
    found: dict[Value, tuple[int, int]] = {}
    for t, node in enumerate(launches(graph)):
        for value in node.results:
            found[value] = (t, t)
        for value in node.inputs:
            if value in found:
                found[value] = (found[value][0], t)
    return {v: span for v, span in found.items() if plan.places[v].place is Place.ARENA}


def check_plan(graph: Graph, sizes: dict[str, int]) -> None:
    plan = plan_memory(graph)
    layout = plan.arena.layout(sizes)
    assert layout.lower_bound_bytes <= layout.peak_bytes <= layout.unplanned_bytes
    assert all(offset % ALIGNMENT == 0 for offset in layout.offsets)
    spans = lifetimes(graph, plan)
    for (a, (first_a, last_a)), (b, (first_b, last_b)) in combinations(spans.items(), 2):
        if plan.places[a].index == plan.places[b].index:
            # In place: one value ends at the launch that writes the other.
            assert last_a <= first_b or last_b <= first_a
        elif first_a <= last_b and first_b <= last_a:
            begin_a, begin_b = (layout.offsets[plan.places[v].index] for v in (a, b))
            end_a, end_b = begin_a + a.type.nbytes(sizes), begin_b + b.type.nbytes(sizes)
            assert end_a <= begin_b or end_b <= begin_a
    for value in spans:
        end = layout.offsets[plan.places[value].index] + value.type.nbytes(sizes)
        assert end <= layout.peak_bytes


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=cases(max_nodes=40), n=st.sampled_from([1, 2, 3, 17, 256]))
def test_live_buffers_do_not_overlap(case: Case, n: int) -> None:
    check_plan(scheduled(case.graph), {"N": n})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cases(max_nodes=30), n=st.sampled_from([1, 5, 17]))
def test_one_plan_serves_every_size(case: Case, n: int) -> None:
    arrays = arrays_for(case, {"N": n})
    expected = evaluate(case.graph, arrays)
    got = Memory(scheduled(case.graph), arrays).run()
    for want, array in zip(expected, got, strict=True):
        assert relative_error(want, array) < 1e-4


def chain(length: int) -> Graph:
    """Kernels that cannot fuse, each elementwise on the last: read once more by a reversal."""
    b = Builder("chain")
    x = b.input(TensorType((N, 64)), "x")
    for _ in range(length):
        order = b.emit("cumsum", x, axis=1, reverse=False)
        x = b.emit("tanh", b.emit("exp", order))
    return scheduled(b.build([b.emit("reverse", x, axes=(1,))]))


def test_an_elementwise_kernel_takes_its_operands_memory() -> None:
    graph = chain(4)
    plan = plan_memory(graph)
    for node in launches(graph)[:-1]:
        if node.attrs["pattern"] == "loop":
            (operand,) = node.inputs
            assert plan.places[node.results[0]] == plan.places[operand]
    assert [len(buffer.types) for buffer in plan.arena.buffers] == [2, 2, 2, 1]


def test_the_peak_of_a_chain_does_not_grow_with_its_length() -> None:
    sizes = {"N": 10}
    short, long = (plan_memory(chain(n)).arena.layout(sizes) for n in (3, 12))
    assert short.peak_bytes == long.peak_bytes == 2 * 10 * 64 * 4
    assert long.unplanned_bytes > 3 * short.unplanned_bytes


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_the_layout_grows_with_the_batch(n: int) -> None:
    layout = plan_memory(chain(3)).arena.layout({"N": n})
    assert layout.peak_bytes == layout.lower_bound_bytes == 2 * n * 64 * 4


def test_a_value_that_is_still_needed_is_not_overwritten() -> None:
    b = Builder("g")
    x = b.input(TensorType((8,)), "x")
    kept = b.emit("cumsum", x, axis=0, reverse=False)
    late = b.emit("cumsum", b.emit("exp", kept), axis=0, reverse=False)
    graph = scheduled(b.build([b.emit("add", b.emit("reverse", kept, axes=(0,)), late)]))
    plan = plan_memory(graph)
    first, second = launches(graph)[:2]
    assert plan.places[first.results[0]] != plan.places[second.results[0]]


def test_inputs_outputs_and_constants_are_not_in_the_arena() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 3)), "x"), b.input(TensorType((N, 3)), "w")
    table = b.constant([1.0, 2.0, 3.0], "float32")
    wide = b.emit("broadcast", table, shape=(N, 3), dims=(1,))
    y = b.emit("add", x, wide)
    graph = scheduled(b.build([b.emit("reverse", y, axes=(0,)), b.emit("sub", w, y)], {1: 1}))
    plan = plan_memory(graph)
    place = {v: plan.places[v] for v in (*graph.inputs, *graph.outputs)}
    assert [place[v].place for v in graph.inputs] == [Place.INPUT] * 2
    assert place[graph.outputs[0]].place is Place.OUTPUT
    assert place[graph.outputs[1]] == place[graph.inputs[1]]
    assert [c.tolist() for c in plan.constants] == [[1.0, 2.0, 3.0]]


def test_a_graph_without_intermediate_values_needs_no_arena() -> None:
    b = Builder("g")
    x = b.input(TensorType((N,)), "x")
    layout = plan_memory(scheduled(b.build([b.emit("exp", x)]))).arena.layout({"N": 5})
    assert (layout.offsets, layout.peak_bytes, layout.unplanned_bytes) == ((), 0, 0)


def test_sizes_are_rounded_up_to_cache_lines() -> None:
    b = Builder("g")
    x = b.input(TensorType((N,)), "x")
    y = b.emit("cumsum", x, axis=0, reverse=False)
    z = b.emit("cumsum", b.emit("reverse", y, axes=(0,)), axis=0, reverse=False)
    graph = scheduled(b.build([z]))
    for n, bytes_of_two in ((1, 128), (16, 128), (17, 256)):
        assert plan_memory(graph).arena.layout({"N": n}).peak_bytes == bytes_of_two
