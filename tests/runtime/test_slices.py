"""Launches that take turns on slices of their work give the bits that they give one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.codegen import emit
from graphkeras.codegen.kernel_ir import ParallelFor
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.autodiff import gradients
from graphkeras.runtime import pool, slices
from graphkeras.runtime.executable import Executable
from tests.codegen.test_barriers import Machine, check_orders
from tests.graphgen import random_graph
from tests.planned import arrays_for, with_state

Array = NDArray[Any]

N = Size.symbol("N")
CONV = {
    "strides": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "groups": 1,
}


def _fine(variable: Any, extent: Any, body: Any, work: Any, _grain: int, *rest: Any) -> ParallelFor:
    return ParallelFor(variable, extent, body, work, 1, *rest)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Images of a few kilobytes are worth slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "ParallelFor", _fine)
        patch.setattr(slices, "LEAST_BYTES", 1024)
        patch.setattr(slices, "SLICE_BYTES", 8192)
        yield
    pool.set_num_threads(None)


def chain() -> Graph:
    """Images through a convolution, sums of each, a relu and a convolution, all written."""
    b = Builder("chain")
    x = b.input(TensorType((N, 9, 9, 16)), "x")
    w = b.input(TensorType((3, 3, 16, 16)), "w")
    e = b.emit("exp", x)
    y = b.emit("conv", e, w, **CONV)
    z = b.emit("conv", b.emit("relu", y), w, **CONV)
    dw = b.emit("conv_kernel_grad", y, z, kernel_size=(3, 3), **CONV)
    return b.build([e, y, z, b.emit("reduce_sum", z, axes=(1, 2)), dw])


def arrays(batch: int) -> list[Array]:
    rng = np.random.default_rng(batch)
    return [
        rng.standard_normal((batch, 9, 9, 16)).astype(np.float32),
        rng.standard_normal((3, 3, 16, 16)).astype(np.float32),
    ]


def step() -> Graph:
    """A training step of convolutions with batch normalisation, momentum, and a mean of images."""
    b = Builder("step")
    x = b.input(TensorType((N, 6, 5, 8)), "x")
    mean = b.input(x.type, "mean")
    weights, slots = [], []

    def weight(*shape: int) -> Value:
        weights.append(b.input(TensorType(shape), f"w{len(weights)}"))
        slots.append(b.input(TensorType(shape), f"m{len(slots)}"))
        return weights[-1]

    def scaled(value: Value, by: float) -> Value:
        spread = b.emit("broadcast", b.constant(by, "float32"), shape=value.type.shape, dims=())
        return b.emit("mul", value, spread)

    def centred(y: Value) -> Value:
        total = b.emit("reduce_sum", y, axes=(0, 1, 2))
        count = b.emit("dim", size=N * 30, dtype="float32")
        count = b.emit("broadcast", count, shape=total.type.shape, dims=())
        middle = b.emit("div", total, count)
        return b.emit("sub", y, b.emit("broadcast", middle, shape=y.type.shape, dims=(3,)))

    y = x
    for channels in (16, 8):
        y = scaled(b.emit("conv", y, weight(3, 3, int(y.type.shape[-1]), channels), **CONV), 0.1)
        y = b.emit("tanh", centred(y))
    y = b.emit("add", y, x)
    flat = b.emit("reshape", y, shape=(N, 240))
    dense = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    z = b.emit("tanh", scaled(b.emit("dot_general", flat, weight(240, 16), **dense), 0.1))
    loss = b.emit("reduce_sum", b.emit("mul", z, z), axes=(0, 1))
    outputs, aliases = [loss], {}
    for w, slot, slope in zip(weights, slots, gradients(b, loss, weights), strict=True):
        assert slope is not None
        moved = b.emit("add", scaled(slot, 0.9), slope)
        for old, new in ((slot, moved), (w, b.emit("sub", w, scaled(moved, 0.01)))):
            aliases[len(outputs)] = b.inputs.index(old)
            outputs.append(new)
    aliases[len(outputs)] = b.inputs.index(mean)
    return b.build([*outputs, b.emit("add", scaled(mean, 0.9), scaled(y, 0.1))], aliases)


def turns(executable: Executable, batch: int, threads: int) -> list[int]:
    """How many launches take turns, for each one."""
    sizes = {"N": batch}
    return [int(row[2]) for row in executable._free_teams(sizes, sizes, threads)]


def test_neighbours_take_turns_where_images_are_cut_alike() -> None:
    executable = compile_graph(chain())
    assert max(turns(executable, 32, 1)) >= 3
    assert max(turns(executable, 32, 2)) >= 3
    # 37 images are not cut alike by rows and by images.
    assert max(turns(executable, 37, 2)) == 1


def test_bits_are_those_without_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = compile_graph(chain())
    monkeypatch.setattr(slices, "MOST_SLICES", 1)
    plain = compile_graph(chain())
    for batch in (1, 5, 16, 32, 37):
        monkeypatch.setattr(slices, "MOST_SLICES", 1)
        pool.set_num_threads(1)
        want = [a.tobytes() for a in plain(arrays(batch))]
        monkeypatch.setattr(slices, "MOST_SLICES", 16)
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            for _ in range(3):
                assert [a.tobytes() for a in sliced(arrays(batch))] == want


def test_a_training_step_gives_the_bits_that_it_gives_without_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = step()
    sliced, plain = compile_graph(graph), compile_graph(graph)
    assert max(turns(sliced, 32, 2)) > 1

    def run(executable: Executable, given: list[Array], most: int) -> list[Array]:
        monkeypatch.setattr(slices, "MOST_SLICES", most)
        given = [array.copy() for array in given]
        returned = iter(executable(given))
        at = graph.aliases
        return [given[at[i]] if i in at else next(returned) for i in range(len(graph.outputs))]

    for batch in (1, 2, 3, 7, 17, 32):
        rng = np.random.default_rng(batch)
        shapes = [value.type.concrete({"N": batch}) for value in graph.inputs]
        given = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        pool.set_num_threads(1)
        want = run(plain, given, 1)
        for ours, right in zip(want, evaluate(graph, given), strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-3, atol=1e-3)
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            for _ in range(2):
                found = run(sliced, given, 16)
                assert [a.tobytes() for a in found] == [a.tobytes() for a in want]


def test_any_order_of_the_threads_and_their_slices_gives_the_same_bits() -> None:
    """Random graphs with state, played thread by thread."""
    together = 0
    for seed in (0, 6, 12, 20, 22):
        case = with_state(random_graph(seed, 14), seed % 10)
        machine = Machine(case.graph, arrays_for(case, {"N": 64}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slices, "LEAST_BYTES", 64)
            patch.setattr(slices, "SLICE_BYTES", 512)
            for team in (2, 3, 4):
                together += sum(rows > 1 for _, rows in machine.turns(team))
                check_orders(machine, team)
    assert together > 10


def test_a_team_that_came_together_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of a team of four, run by whoever came: each launch by itself."""
    monkeypatch.setattr(pool, "PATIENCE", 0)
    executable = compile_graph(chain())
    given = arrays(32)
    pool.set_num_threads(1)
    want = [a.tobytes() for a in executable(given)]
    pool.set_num_threads(4)
    for _ in range(50):
        assert [a.tobytes() for a in executable(given)] == want


def test_a_profile_has_each_launch_once() -> None:
    pool.set_num_threads(1)
    executable = compile_graph(chain())
    seconds = executable.launch_seconds(arrays(32), 3)
    assert seconds.shape == (3, executable.launch_count)
    assert np.all(seconds > 0)
