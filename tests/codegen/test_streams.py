"""What tiles ask the cache for, and rows of A that are packed for several tiles together.

To see what is asked for, the kernel's text is run as Python, with tiles that note their arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from graphkeras import config
from graphkeras.codegen.cpu.contract import plan
from graphkeras.codegen.generate import generate
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.dims import Dim
from graphkeras.ir.evaluate import evaluate
from graphkeras.runtime import pool

N = Size.symbol("N")
CONV = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}


def product(a: tuple[Dim, ...], b: tuple[Dim, ...], lhs: int, rhs: int, then: str = "") -> Graph:
    builder = Builder("product")
    operands = [builder.input(TensorType(shape), name) for shape, name in ((a, "a"), (b, "b"))]
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (lhs,), "rhs_contract": (rhs,)}
    result = builder.emit("dot_general", *operands, **attrs)
    return builder.build([builder.emit(then, result) if then else result])


def pointwise_gradient(size: int, channels: int, filters: int, window: int = 1) -> Graph:
    b, pad = Builder("gradient"), window // 2
    x = b.input(TensorType((N, size, size, channels)), "x")
    dy = b.input(TensorType((N, size, size, filters)), "dy")
    attrs = {**CONV, "kernel_size": (window, window), "padding": ((pad, pad),) * 2}
    return b.build([b.emit("conv_kernel_grad", x, dy, **attrs)])


@dataclass
class Tile:
    """A tile that notes what it reads and what it asks for."""

    given: tuple[Any, ...]
    notes: list[tuple[str, set[tuple[str, int]], set[tuple[str, int]]]]

    def __call__(self, *arguments: Any) -> None:
        _, _, valid, rows, loops, _, accumulate, _, asked, in_memory, *more = self.given
        paces: tuple[int, ...] = more[0] if more else ()
        counts = max(1, sum(extent is None for extent, *_ in loops)) + (accumulate and in_memory)
        pointers = arguments[counts : len(arguments) - min(1, asked)]
        (a, at_a), (b, at_b), _, *others = zip(pointers[::2], pointers[1::2], strict=True)
        extents, steps = iter(arguments), [(0, 0)]
        for extent, one, two, *_ in loops:
            count = next(extents) if extent is None else extent
            steps = [(x + i * one, y + i * two) for x, y in steps for i in range(count)]
        read = {(a, at_a + x + row) for x, _ in steps for row in rows}
        read |= {(b, at_b + y + column) for _, y in steps for column in range(valid)}
        streams = others[len(others) - len(paces) :]
        ahead = {
            (name, place + i)
            for (name, place), pace in zip(streams, paces, strict=True)
            for i in range(pace * len(steps))
        }
        self.notes.append((f"{len(rows)}x{valid}", read, ahead))


def notes_of(graph: Graph, n: int, threads: int = 1) -> list[Any]:
    """(rows x columns, elements read, elements asked for) of every tile of the last thread."""
    (launch,) = generate(optimize(graph).records[-1].after).launches
    text, notes = launch.kernel.text, []

    class Memory(str):
        def __getitem__(self, i: Any) -> Any:
            return 0.0

        def __setitem__(self, i: int, value: float) -> None:
            pass

    names = iter(["x0", "x1", "y0", *(f"s{i}" for i in range(9))])
    scope: dict[str, Any] = {
        "float32_at": lambda address: Memory(next(names)),
        "float32": float,
        "udiv": lambda a, b: a // b,
        "urem": lambda a, b: a % b,
        "product_tile": lambda *given: Tile(given, notes),
        "transpose_tile": lambda *given: lambda *arguments: None,
    }
    exec(re.sub(r"^from .*$", "", text, flags=re.MULTILINE), scope)
    scope["kernel"](threads - 1, threads, [n] * 8)
    return notes


def unasked(notes: list[Any]) -> set[tuple[str, int]]:
    """What whole tiles are the first to read of operands in memory, without having asked for it."""
    known: set[tuple[str, int]] = set()
    missing: set[tuple[str, int]] = set()
    for _, read, ahead in notes:
        operands = {each for each in read if each[0].startswith("x")}
        if ahead:
            missing |= operands - known
        known |= operands | ahead
    return missing


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("columns", [40, 200])
def test_a_tile_of_rows_is_asked_for_by_the_one_before(columns: int, threads: int) -> None:
    with config.override(cpu="avx512"):
        notes = notes_of(product((N, 80), (80, columns), 1, 0), 201, threads)
    height = int(notes[0][0].split("x")[0])
    first = min(at for name, at in notes[0][1] if name == "x0")
    missing = {at for name, at in unasked(notes) if name == "x0"}
    assert missing == set(range(first, first + height * 80))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_block_of_columns_is_asked_for_by_the_one_before(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "B_ELEMENTS_ASKED_FOR", 48 * 80)
    with config.override(cpu="avx512"):
        notes = notes_of(product((N, 80), (200, 80), 1, 1), 201, threads)
    asked = {at for _, _, ahead in notes for name, at in ahead if name == "x1"}
    block = min(asked)
    assert block == {1: 48, 2: 144}[threads] * 80
    assert asked >= set(range(block, 200 * 80))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("channels", "filters"), [(64, 64), (96, 80)])
def test_a_chunk_is_asked_for_by_the_one_before(channels: int, filters: int, threads: int) -> None:
    with config.override(cpu="avx512"):
        notes = notes_of(pointwise_gradient(6, channels, filters), 7, threads)
    steps = len({at // filters for name, at in notes[0][1] if name == "x1"})
    assert 1 < steps < 7 * 36
    for name, at in unasked(notes):
        assert at < steps * (filters if name == "x1" else channels)


def test_lines_that_are_laid_out_are_asked_for_by_the_tiles_before() -> None:
    b, line, n = Builder("gradient"), 32 * 16, 3
    x = b.input(TensorType((N, 32, 32, 16)), "x")
    dy = b.input(x.type, "dy")
    attrs = {**CONV, "kernel_size": (3, 3), "padding": ((1, 1), (1, 1)), "bands": 1}
    graph = b.build([b.emit("conv_kernel_grads", b.emit("relu", x), dy, **attrs)])
    with config.override(cpu="avx512"):
        notes = notes_of(graph, n)
    lines = {at // line for name, at in set.union(*(ahead for *_, ahead in notes)) if name == "x0"}
    first = min(lines)
    assert 1 < first < 32
    assert lines >= set(range(first, n * 32))


@pytest.mark.parametrize(
    "graph",
    [
        # Rows of a tile do not follow each other.
        product((40, N), (40, 64), 0, 0),
        # Taps take different parts of a chunk.
        pointwise_gradient(6, 16, 64, window=3),
    ],
    ids=["rows", "taps"],
)
def test_what_is_not_asked_for(graph: Graph) -> None:
    (launch,) = compile_graph(graph).program.launches
    assert "next" not in launch.kernel.text


CPUS = ["avx512", "avx2", "generic"]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("then", ["", "tanh"])
def test_rows_that_are_packed_together(then: str, cpu: str) -> None:
    rows, columns = 1027, 257
    graph = product((N, rows), (N, columns), 0, 0, then)
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    (launch,) = executable.program.launches
    assert "slot" in launch.kernel.text
    rng = np.random.default_rng(0)
    for n in (1, 5, 130):
        arrays = [rng.integers(-2, 3, (n, d)).astype("float32") for d in (rows, columns)]
        (expected,) = evaluate(graph, arrays)
        for threads in (1, 2, 4):
            pool.set_num_threads(threads)
            (found,) = executable(arrays)
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_the_gradient_of_a_small_pointwise_kernel_is_taken_image_by_image(n: int) -> None:
    graph = pointwise_gradient(20, 8, 9)
    executable = compile_graph(graph)
    assert executable.launch_count == 2
    rng = np.random.default_rng(0)
    shapes = [value.type.concrete({"N": n}) for value in graph.inputs]
    arrays = [rng.integers(-2, 3, shape).astype("float32") for shape in shapes]
    (expected,) = evaluate(graph, arrays)
    for threads in (1, 2, 4):
        pool.set_num_threads(threads)
        np.testing.assert_array_equal(executable(arrays)[0], expected)
    # As much to write and read again as x and dy.
    assert compile_graph(pointwise_gradient(6, 64, 64)).launch_count == 1


@pytest.fixture(autouse=True)
def _threads_again():
    yield
    pool.set_num_threads(None)
