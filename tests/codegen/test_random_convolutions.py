"""Random convolutions with what surrounds them, and their gradients: exact, against the evaluator.

Operands are small whole numbers, so that sums are the same in every order of additions, ties of a
maximum are ties, and a wrong element anywhere is seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.dims import Dim
from graphkeras.ir.evaluate import evaluate
from graphkeras.native.target import levels
from graphkeras.passes.autodiff import gradients
from graphkeras.runtime import pool

Array = NDArray[Any]
Pair = tuple[int, int]

N = Size.symbol("N")
SIZES = (1, 1, 2, 2, 3, 4, 5, 8, 13)
"""Lines and columns of an image: many results have a single one."""


class Geometry(NamedTuple):
    """A convolution, one entry a spatial dim."""

    batch: Dim
    image: tuple[int, ...]
    channels: int
    kernel: tuple[int, ...]
    filters: int
    groups: int
    strides: tuple[int, ...]
    padding: tuple[Pair, ...]
    lhs_dilation: tuple[int, ...]
    rhs_dilation: tuple[int, ...]

    @property
    def attrs(self) -> dict[str, Any]:
        names = ("groups", "strides", "padding", "lhs_dilation", "rhs_dilation")
        return {name: getattr(self, name) for name in names}


def geometry(rng: np.random.Generator) -> Geometry:
    def pick(*items: int) -> int:
        return int(rng.choice(items))

    rank = pick(1, 2, 2, 2, 3)
    image = tuple(pick(*SIZES) for _ in range(rank))
    channels, filters, groups = pick(1, 2, 3, 8, 16, 17, 33), pick(1, 3, 5, 16, 17, 33, 64), 1
    kind = pick(0, 0, 1, 2)
    if kind == 1:
        groups, channels, filters = 2, 2 * channels, 2 * filters
    elif kind == 2:
        groups, filters = channels, channels * pick(1, 1, 2)
    ones = (1,) * rank
    plain, bare = rank == 2 and pick(0, 0, 1), pick(0, 1)
    kernel = (3, 3) if plain else tuple(pick(1, 2, 3, size, size) for size in image)
    strides = ones if plain else tuple(pick(1, 1, 2, 3, 5) for _ in ones)
    apart = ones if plain or bare else tuple(pick(1, 1, 2, 3) for _ in ones)
    gaps = ones if plain or pick(0, 1) else tuple(pick(1, 1, 2, 3) for _ in ones)
    padding = []
    for size, taps, spread, gap in zip(image, kernel, apart, gaps, strict=True):
        low, high = (0, 0) if bare else (pick(0, 1, 2, -1), pick(0, 1, 3, -1))
        missing = (taps - 1) * spread + 1 - ((size - 1) * gap + 1 + low + high)
        padding.append((low + max(0, missing // 2), high + max(0, missing - missing // 2)))
    batch = N if pick(0, 1, 1) else pick(1, 2, 4, 6)
    return Geometry(
        batch, image, channels, kernel, filters, groups, strides, tuple(padding), gaps, apart
    )


def surrounded(b: Builder, g: Geometry, rng: np.random.Generator) -> list[Value]:
    """The convolution, perhaps bias, rectifier, windows; the result, often with its gradients."""
    x = b.input(TensorType((g.batch, *g.image, g.channels)), "x")
    w = b.input(TensorType((*g.kernel, g.channels // g.groups, g.filters)), "w")
    y = b.emit("conv", x, w, **g.attrs)
    if rng.random() < 0.5:
        bias = b.input(TensorType((g.filters,)), "bias")
        y = b.emit("add", y, b.emit("broadcast", bias, shape=y.type.shape, dims=(y.type.rank - 1,)))
    if rng.random() < 0.5:
        y = b.emit("relu", y)
    if rng.random() < 0.6:
        sizes = [int(min(d, rng.integers(1, 4))) for d in y.type.shape[1:-1] if isinstance(d, int)]
        steps = sizes if rng.random() < 0.7 else [int(rng.integers(1, 4)) for _ in sizes]
        attrs = {"window": (1, *sizes, 1), "strides": (1, *steps, 1)}
        y = b.emit("window_max", y, padding=((0, 0),) * y.type.rank, **attrs)
    if rng.random() < 0.3:
        return [y]
    dy = b.input(y.type, "dy")
    loss = b.emit("reduce_sum", b.emit("mul", y, dy), axes=tuple(range(y.type.rank)))
    return [y, *(each for each in gradients(b, loss, [x, w]) if each is not None)]


def whole_numbers(graph: Graph, n: int, rng: np.random.Generator) -> list[Array]:
    shapes = [value.type.concrete({"N": n}) for value in graph.inputs]
    return [rng.integers(-2, 3, shape).astype("float32") for shape in shapes]


@pytest.fixture(autouse=True)
def _threads_again():
    yield
    pool.set_num_threads(None)


@pytest.mark.parametrize("seed", range(20))
def test_random_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, b = geometry(rng), Builder("random")
    graph = b.build(surrounded(b, g, rng))
    cpus = ["", "", *levels()[1:]]
    cpu, winograd = str(rng.choice(cpus)), str(rng.choice(["auto", "always"]))
    with config.override(cpu=cpu, winograd=winograd):
        executable = compile_graph(graph)
    for n in (3, 0, 1, 19) if g.batch is N else (g.batch,):
        arrays = whole_numbers(graph, n, rng)
        expected = evaluate(graph, arrays)
        for threads in (1, 3):
            pool.set_num_threads(threads)
            for want, got in zip(expected, executable(arrays), strict=True):
                np.testing.assert_array_equal(got, want, err_msg=f"{g} {cpu} {winograd} {n}")
