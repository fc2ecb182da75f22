"""Barriers are left out only where no thread can see what another one does.

The grain of a share is forced to 1 here, so that graphs of a few hundred elements are cut for
every thread of a team.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import count, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphkeras.codegen import emit
from graphkeras.codegen.generate import generate
from graphkeras.codegen.kernel_ir import ParallelFor
from graphkeras.codegen.program import KernelSource, Launch, Program
from graphkeras.codegen.spans import (
    HIGH,
    LOW,
    Access,
    Between,
    Bounds,
    Extreme,
    Footprint,
    Form,
    Quotient,
    atom_form,
    number,
)
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.dims import Dim, evaluate
from graphkeras.passes.memory import Buffer, Layout, Place
from graphkeras.runtime import kernel_cache, pool
from graphkeras.runtime.barriers import find_barriers
from graphkeras.runtime.slices import find_slices
from tests.codegen.test_random_graphs import COMPILED, with_gradients
from tests.graphgen import random_graph
from tests.planned import Memory, arrays_for, stateful_cases, with_state

Array = NDArray[Any]

N = Size.symbol("N")
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
TEAMS = (2, 3, 4)


def _fine(variable: Any, extent: Any, body: Any, work: Any, _grain: int, *rest: Any) -> ParallelFor:
    return ParallelFor(variable, extent, body, work, 1, *rest)


@pytest.fixture(autouse=True, scope="module")
def _grain_of_one() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "ParallelFor", _fine)
        yield


class Machine:
    """Runs single kernels as single threads on the memory of a program."""

    def __init__(self, graph: Graph, arrays: Sequence[Array]) -> None:
        scheduled = optimize(graph).records[-1].after
        self.program: Program = generate(scheduled)
        self.memory = Memory(scheduled, arrays)
        self.sizes = self.memory.sizes
        self.kernels = kernel_cache.load([launch.kernel for launch in self.program.launches])
        memory = np.zeros(max(TEAMS) * self.program.scratch_bytes + 64, np.uint8)
        self.scratch = memory[-memory.ctypes.data % 64 :]

    def pieces(self) -> list[Array]:
        """All memory that kernels may write, as bytes."""
        memory = self.memory
        arrays = (*memory.inputs, *memory.outputs, memory.arena)
        return [array.reshape(-1).view(np.uint8) for array in arrays if array.size]

    def piece(self, buffer: Buffer) -> Array:
        """The memory that a buffer begins in, from its first byte."""
        memory = self.memory
        if buffer.place is Place.ARENA:
            return memory.arena[memory.layout.offsets[buffer.index] :]
        places = {Place.INPUT: memory.inputs, Place.OUTPUT: memory.outputs}
        array = places.get(buffer.place, memory.plan.constants)[buffer.index]
        return array.reshape(-1).view(np.uint8) if array.size else array

    def run(self, row: int, tid: int, team: int, slices: int = 1) -> None:
        """One thread's part of a launch; `tid` counts slices of threads where there are several."""
        argv = []
        for argument in self.program.launches[row].arguments:
            if not isinstance(argument, Buffer):
                argv.append(evaluate(argument, self.sizes))
            elif argument.place is Place.SCRATCH:
                argv.append(self.scratch.ctypes.data)
            elif argument.place is Place.SCRATCH_BYTES:
                argv.append(self.program.scratch_bytes)
            elif argument.place is Place.SLICES:
                argv.append(slices)
            else:
                argv.append(self.piece(argument).ctypes.data)
        KERNEL(self.kernels[row])(tid, team * slices, np.array(argv, np.int64).ctypes.data)

    def run_rows(
        self, first: int, stop: int, tid: int, team: int, turns: Sequence[tuple[int, int]]
    ) -> None:
        """What a thread does between two barriers, as `run_table`."""
        while first < stop:
            slices, together = turns[first]
            for part in range(tid * slices, (tid + 1) * slices):
                for row in range(first, first + together):
                    self.run(row, part, team, slices)
            first += together

    def turns(self, team: int) -> list[tuple[int, int]]:
        """For each launch slices, and launches that take turns."""
        needed, layout = self.barriers(team), self.memory.layout
        return find_slices(self.program.launches, self.sizes, layout, team, needed)

    def barriers(self, team: int) -> list[bool]:
        return find_barriers(self.program.launches, self.sizes, self.memory.layout, team)

    def keep(self) -> list[Array]:
        return [piece.copy() for piece in self.pieces()]

    def restore(self, kept: Sequence[Array]) -> None:
        for piece, old in zip(self.pieces(), kept, strict=True):
            piece[...] = old


def marked(machine: Machine, launch: Launch, tid: int, team: int, writes: bool) -> list[Array]:
    """For each byte of memory whether a thread may touch it, by the footprint."""
    assert launch.footprint is not None
    pieces = machine.pieces()
    marks = [np.zeros(piece.size, bool) for piece in pieces]
    for access, starts, stops in launch.footprint.intervals(team, machine.sizes):
        place = machine.piece(launch.arguments[access.argument])[starts[tid] : stops[tid]]
        for piece, mark in zip(pieces, marks, strict=True):
            first = place.ctypes.data - piece.ctypes.data
            if 0 <= first < piece.size and (access.writes or not writes):
                mark[first : first + place.size] = True
    return marks


def check_footprints(machine: Machine, team: int) -> None:
    """Each thread does its part right when all it may not read is broken, and leaves that alone.

    Kernels that run side by side do not meet in scratch memory: a thread has the same part of it
    in all of them.
    """
    for row, launch in enumerate(machine.program.launches):
        before = machine.keep()
        for tid in range(team):
            machine.run(row, tid, team)
        after = machine.keep()
        reached = [np.zeros(piece.size, bool) for piece in before]
        for tid in range(team):
            touched = marked(machine, launch, tid, team, writes=False)
            written = marked(machine, launch, tid, team, writes=True)
            broken = [np.where(m, old, 0xFF) for m, old in zip(touched, before, strict=True)]
            machine.restore(broken)
            machine.scratch[:] = 0xAA
            machine.run(row, tid, team)
            own = machine.program.scratch_bytes
            used = np.flatnonzero(machine.scratch != 0xAA)
            assert np.all(used // max(1, own) == tid), f"{launch.kernel.name}: scratch memory"
            for i, piece in enumerate(machine.pieces()):
                changed = piece != broken[i]
                assert not np.any(changed & ~written[i]), f"{launch.kernel.name}: writes"
                assert np.array_equal(piece[changed], after[i][changed]), launch.kernel.name
                reached[i] |= changed
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            assert np.all(reached[i] | (old == new)), f"{launch.kernel.name}: not all is written"
        machine.restore(after)


def check_orders(machine: Machine, team: int) -> None:
    """Between barriers threads may run in any order: each first, each last."""
    start = machine.keep()
    for row in range(len(machine.program.launches)):
        machine.run(row, 0, 1)
    expected = [machine.memory.view(value).copy() for value in machine.memory.graph.outputs]
    needed, turns = machine.barriers(team), machine.turns(team)
    ends = [row + 1 for row, wait in enumerate(needed) if wait] + [len(needed)]
    for order in (*permutations(range(team)),)[:: max(1, team - 1)]:
        machine.restore(start)
        first = 0
        for end in ends:
            for tid in order:
                machine.run_rows(first, end, tid, team, turns)
            first = end
        for value, want in zip(machine.memory.graph.outputs, expected, strict=True):
            assert machine.memory.view(value).tobytes() == want.tobytes()
    machine.restore(start)


@settings(COMPILED, max_examples=8)
@given(seed=st.integers(0, 2**20), nodes=st.integers(8, 14), state=st.integers(0, 9))
def test_threads_touch_no_more_than_their_footprint(seed: int, nodes: int, state: int) -> None:
    case = with_state(random_graph(seed, nodes), state)
    for team in TEAMS:
        check_footprints(Machine(case.graph, arrays_for(case, {"N": 13})), team)


@settings(COMPILED, max_examples=8)
@given(seed=st.integers(0, 2**20), nodes=st.integers(8, 14), state=st.integers(0, 9))
def test_any_order_of_threads_gives_the_same_bits(seed: int, nodes: int, state: int) -> None:
    case = with_state(random_graph(seed, nodes), state)
    for team in TEAMS:
        check_orders(Machine(case.graph, arrays_for(case, {"N": 13})), team)


@settings(COMPILED, max_examples=4)
@given(seed=st.integers(0, 2**20))
def test_any_order_of_threads_gives_the_same_gradients(seed: int) -> None:
    case = with_gradients(random_graph(seed, 8))
    machine = Machine(case.graph, case.arrays)
    for team in TEAMS:
        check_footprints(machine, team)
        check_orders(Machine(case.graph, case.arrays), team)


@settings(COMPILED, max_examples=4)
@given(case=stateful_cases(12))
def test_any_number_of_threads_gives_the_same_bits(case: Any) -> None:
    executable = compile_graph(case.graph)
    results = []
    try:
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            arrays = [array.copy() for array in case.arrays]
            returned = executable(arrays)
            results.append([a.tobytes() for a in (*returned, *arrays)])
    finally:
        pool.set_num_threads(None)
    assert all(result == results[0] for result in results)


class Chain(Builder):
    """Builds graphs whose values are written to memory in between, as graph outputs."""

    def __init__(self) -> None:
        super().__init__("chain")
        self.written: list[Value] = []

    def given(self, *shape: Dim) -> Value:
        return self.input(TensorType(shape), f"x{len(self.inputs)}")

    def dense(self, x: Value, units: int) -> Value:
        width = x.type.shape[-1]
        attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
        return self.write(self.emit("dot_general", x, self.given(width, units), **attrs))

    def write(self, value: Value) -> Value:
        self.written.append(value)
        return value

    def barriers(self, batch: int, team: int = 2) -> list[bool]:
        rng = np.random.default_rng(0)
        types = [value.type for value in self.inputs]
        arrays = [(rng.random(t.concrete({"N": batch})) * 50).astype(t.dtype) for t in types]
        machine = Machine(self.build(self.written), arrays)
        check_orders(machine, team)
        return machine.barriers(team)


def test_kernels_over_the_same_rows_need_no_barrier() -> None:
    chain = Chain()
    x = chain.given(N, 40)
    for _ in range(3):
        x = chain.write(chain.emit("cumsum", x, axis=1, reverse=False))
    assert chain.barriers(480) == [False, False, False]


def test_layers_over_the_same_rows_need_no_barrier() -> None:
    chain = Chain()
    chain.dense(chain.dense(chain.dense(chain.given(N, 40), 48), 32), 24)
    for batch in (480, 479, 37):
        assert chain.barriers(batch) == [False, False, False]


def test_what_data_pick_from_a_row_needs_none() -> None:
    chain = Chain()
    place = chain.input(TensorType((N, 3), "int32"), "place")
    x = chain.write(chain.emit("cumsum", chain.given(N, 40), axis=1, reverse=False))
    chain.write(chain.emit("take_along", x, place, axis=1))
    assert chain.barriers(4096) == [False, False]


def test_rows_cut_elsewhere_need_one() -> None:
    chain = Chain()
    # 4 tiles of rows on 3 threads; the sums are cut row by row.
    x = chain.dense(chain.given(N, 40), 48)
    chain.write(chain.emit("cumsum", x, axis=1, reverse=False))
    assert chain.barriers(41, team=3)[:-1] == [True]


def test_whole_rows_of_a_product_need_none() -> None:
    """Each thread finishes the rows that it has computed, and writes no others."""
    chain = Chain()
    x = chain.dense(chain.given(N, 40), 48)
    chain.write(
        chain.emit(
            "sub",
            x,
            chain.emit(
                "broadcast", chain.emit("reduce_max", x, axes=(1,)), shape=x.type.shape, dims=(0,)
            ),
        )
    )
    chain.dense(x, 24)
    for batch in (480, 479, 37):
        assert chain.barriers(batch) == [False, False]


def test_a_sum_over_the_rows_needs_one() -> None:
    chain = Chain()
    chain.write(chain.emit("reduce_sum", chain.dense(chain.given(N, 40), 48), axes=(0,)))
    assert chain.barriers(480) == [True, False]


def test_kernels_that_share_operands_only_need_none() -> None:
    chain = Chain()
    x = chain.given(N, 40)
    chain.dense(x, 48)
    chain.write(chain.emit("reduce_sum", x, axes=(0,)))
    assert chain.barriers(480) == [False, False]


_texts = count()


class _Hand:
    """Launches made by hand over arena buffers of N rows of 4 bytes."""

    def launch(self, *touched: tuple[Buffer, bool, Form | None], multiple: int = 1) -> Launch:
        accesses = tuple(Access(i, w, form, N, 4) for i, (_, w, form) in enumerate(touched))
        footprint = Footprint(accesses, N, N, 1, multiple)
        source = KernelSource("hand", str(next(_texts)))
        return Launch(source, tuple(b for b, _, _ in touched), 0, footprint)


def layout(*offsets: int) -> Layout:
    return Layout(offsets, 0, 0, 0)


ROW = atom_form(Between(atom_form(LOW), atom_form(HIGH).plus(number(-1))))
ARENA = [Buffer(Place.ARENA, i) for i in range(3)]


def test_buffers_that_share_memory_are_seen_as_one() -> None:
    hand = _Hand()
    rows = [hand.launch((ARENA[0], True, ROW)), hand.launch((ARENA[1], True, ROW))]
    assert find_barriers(rows, {"N": 100}, layout(0, 448), 2) == [False, False]
    assert find_barriers(rows, {"N": 100}, layout(0, 0), 2) == [False, False]
    # Half of the second lies on the other half of the first.
    assert find_barriers(rows, {"N": 100}, layout(0, 200), 2) == [True, False]
    rows = [hand.launch((ARENA[0], False, None)), hand.launch((ARENA[1], True, ROW))]
    assert find_barriers(rows, {"N": 100}, layout(0, 0), 2) == [True, False]


def test_every_two_launches_of_a_group_are_compared() -> None:
    hand = _Hand()
    write = hand.launch((ARENA[0], True, ROW))
    other = hand.launch((ARENA[1], True, ROW))
    read = hand.launch((ARENA[0], False, None), (ARENA[2], True, ROW))
    rows = [write, other, read, other]
    spread = layout(0, 4096, 8192)
    assert find_barriers(rows, {"N": 100}, spread, 2) == [False, True, False, False]
    assert find_barriers(rows, {"N": 100}, spread, 1) == [False] * 4
    # One row is one thread's work: it follows itself in order.
    assert find_barriers(rows, {"N": 1}, spread, 2) == [False] * 4


def test_the_cut_of_the_rows_counts() -> None:
    hand = _Hand()
    fine = hand.launch((ARENA[0], True, ROW))
    coarse = hand.launch((ARENA[0], False, ROW), multiple=16)
    for batch, same in ((64, True), (100, False), (96, True)):
        needed = find_barriers([fine, coarse], {"N": batch}, layout(0), 2)
        assert needed == [not same, False], batch


def test_a_kernel_that_is_not_understood_stands_alone() -> None:
    hand = _Hand()
    known = hand.launch((ARENA[0], True, ROW))
    unknown = Launch(KernelSource("hand", ""), (ARENA[1],), 0)
    rows = [known, unknown, known, known]
    assert find_barriers(rows, {"N": 8}, layout(0, 64), 2) == [True, True, False, False]


def bounds(form: Form) -> tuple[int, int]:
    """Of the second of two threads, whose run is `[20, 30)`."""
    ends = Bounds({}, np.array([0, 20]), np.array([9, 30])).of(form)
    least, most = (int(np.broadcast_to(end, 2)[1]) for end in ends)
    return least, most


def test_quotients_and_remainders_cancel() -> None:
    quotient = Quotient(ROW, 7)
    taken = atom_form(quotient)
    rest = ROW.plus(taken, -7)
    together = number(0).plus(taken, 70).plus(rest, 10).plus(number(3))
    assert bounds(together) == (203, 293)
    assert bounds(taken) == (2, 4)
    assert bounds(rest) == (0, 6)
    below = atom_form(Between(ROW, atom_form(Extreme(ROW, number(24), least=True))))
    assert bounds(below) == (20, 24)


def test_a_bound_cancels_with_what_it_depends_on() -> None:
    stop = atom_form(Extreme(ROW.plus(number(6)), atom_form(HIGH), least=True))
    inner = atom_form(Between(number(0), stop.plus(ROW, -1).plus(number(-1))))
    assert bounds(ROW.plus(inner)) == (20, 29)
    assert bounds(inner) == (0, 5)
    assert bounds(inner.plus(ROW, -1)) == (-29, -15)
