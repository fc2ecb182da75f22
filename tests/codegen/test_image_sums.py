"""Sums over images in the kernel of a convolution, and the batch statistics made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Node
from graphkeras.runtime import pool
from graphkeras.runtime.executable import Executable

Array = NDArray[Any]

N = Size.symbol("N")


class Case(NamedTuple):
    """A convolution of images; one entry a spatial dim."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    filters: int
    strides: int = 1
    same: bool = True
    winograd: str = "never"


CASES = {
    "3x3": Case((9, 13, 3), (3, 3), 20),
    "3x3 without padding": Case((8, 11, 4), (3, 3), 16, same=False),
    "lines of 16": Case((16, 16, 16), (3, 3), 16),
    "short lines": Case((12, 4, 8), (3, 3), 32),
    "strides": Case((11, 10, 5), (3, 3), 33, strides=2),
    "1x1": Case((7, 9, 6), (1, 1), 17),
    "1x1 strides": Case((14, 12, 6), (1, 1), 16, strides=2),
    "many filters": Case((6, 6, 4), (3, 3), 300),
    "1D": Case((40, 3), (5,), 24),
    "3D": Case((4, 5, 6, 2), (2, 2, 3), 9),
    "Winograd": Case((9, 12, 8), (3, 3), 40, winograd="always"),
    "Winograd in panels": Case((8, 8, 8), (3, 3), 320, winograd="always"),
    "Winograd, many images a strip": Case((4, 4, 32), (3, 3), 32, winograd="always"),
    "Winograd, many strips an image": Case((34, 30, 4), (3, 3), 64, winograd="always"),
}


def convolution(b: Builder, case: Case) -> Value:
    ones = (1,) * len(case.kernel)
    padding = tuple(((k - 1) // 2, k // 2) if case.same else (0, 0) for k in case.kernel)
    x = b.input(TensorType((N, *case.image)), "x")
    w = b.input(TensorType((*case.kernel, case.image[-1], case.filters)), "w")
    strides = (case.strides,) * len(case.kernel)
    attrs = {"strides": strides, "padding": padding, "lhs_dilation": ones, "rhs_dilation": ones}
    return b.emit("conv", x, w, groups=1, **attrs)


def statistics(b: Builder, y: Value) -> list[Value]:
    """Mean, sum of the distances from it, sum of their squares; as layers and gradients say it."""
    shape = y.type.shape
    axes = tuple(range(y.type.rank - 1))
    count = Size.symbol("N") * int(np.prod([d for d in shape[1:-1] if isinstance(d, int)]))
    number = b.emit("dim", size=count, dtype="float32")
    number = b.emit("broadcast", number, shape=shape[-1:], dims=())
    mean = b.emit("div", b.emit("reduce_sum", y, axes=axes), number)
    spread = b.emit("broadcast", mean, shape=shape, dims=(y.type.rank - 1,))
    distance = b.emit("sub", y, spread)
    squares = b.emit("mul", distance, distance)
    return [mean, *(b.emit("reduce_sum", each, axes=axes) for each in (distance, squares))]


def normalised(case: Case) -> Graph:
    b = Builder("normalised")
    y = convolution(b, case)
    return b.build([y, *statistics(b, y)])


def arrays_for(graph: Graph, n: int) -> list[Array]:
    rng = np.random.default_rng(3)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def with_any_threads(executable: Executable, arrays: list[Array]) -> list[Array]:
    """The results, which are the same bits on one to four threads."""
    results = []
    try:
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            results.append([array.tobytes() for array in executable(arrays)])
        assert all(result == results[0] for result in results)
        return list(executable(arrays))
    finally:
        pool.set_num_threads(None)


def launches(graph: Graph) -> list[Node]:
    kernels = optimize(graph)
    return [node for node in kernels.records[-1].after.nodes if node.body is not None]


def reductions(node: Node) -> int:
    assert node.body is not None
    return sum(inner.op == "reduce_sum" for inner in node.body.nodes)


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
@pytest.mark.parametrize("name", CASES)
def test_statistics_in_the_kernel_of_a_convolution(name: str, cpu: str) -> None:
    case = CASES[name]
    graph = normalised(case)
    with config.override(cpu=cpu, winograd=case.winograd):
        executable = compile_graph(graph)
    for n in (1, 5):
        arrays = arrays_for(graph, n)
        y, mean, distances, squares = evaluate(graph, arrays)
        got, scale = with_any_threads(executable, arrays), np.abs(y).max()
        np.testing.assert_allclose(got[0], y, atol=1e-5 * scale, rtol=0)
        np.testing.assert_allclose(got[1], mean, atol=1e-6 * scale)
        np.testing.assert_allclose(got[2], distances, atol=1e-6 * y.size * scale)
        np.testing.assert_allclose(got[3], squares, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_both_sums_are_in_the_kernel_of_the_convolution(name: str) -> None:
    with config.override(winograd=CASES[name].winograd):
        kernels = launches(normalised(CASES[name]))
    (convolution,) = [k for k in kernels if k.attrs["pattern"] == "contract"]
    assert reductions(convolution) == 2
    assert all(node.inputs[0].type.rank == 2 for node in kernels if reductions(node) == 1)


def test_a_variance_far_smaller_than_the_mean_is_exact() -> None:
    """E[y^2] - E[y]^2 would lose it: the mean's square is 4 million times the variance."""
    graph = normalised(Case((16, 16, 1), (1, 1), 16))
    rng = np.random.default_rng(0)
    x = (512 + rng.normal(size=(5, 16, 16, 1)) / 4).astype("float32")
    w = np.ones((1, 1, 1, 16), "float32")
    *_, squares = compile_graph(graph)([x, w])
    exact = ((x.astype("float64") - x.astype("float64").mean()) ** 2).sum()
    np.testing.assert_allclose(squares, exact, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_channel(bad: float) -> None:
    graph = normalised(Case((6, 7, 2), (1, 1), 16))
    x, w = arrays_for(graph, 2)
    w[..., 3] = bad
    for want, got in zip(evaluate(graph, [x, w]), compile_graph(graph)([x, w]), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


def test_a_large_image_is_summed_up_by_a_kernel_of_its_own() -> None:
    kernels = launches(normalised(Case((96, 96, 1), (1, 1), 16)))
    (convolution,) = [k for k in kernels if k.attrs["pattern"] == "contract"]
    assert reductions(convolution) == 0


def test_reductions_that_read_another_tensor_keep_their_kernel() -> None:
    """The sums of a batch normalisation's gradient: one kernel reads both tensors once."""
    b = Builder("gradient")
    y = convolution(b, CASES["lines of 16"])
    x = b.input(y.type, "before")
    sums = [b.emit("reduce_sum", v, axes=(0, 1, 2)) for v in (y, b.emit("mul", y, x))]
    kernels = launches(b.build([y, *sums]))
    assert [reductions(k) for k in kernels if k.attrs["pattern"] == "contract"] == [0]
    assert max(map(reductions, kernels)) == 2


def test_behind_a_sum_of_products_that_is_no_image() -> None:
    b = Builder("dense")
    x, w = b.input(TensorType((N, 20, 8)), "x"), b.input(TensorType((8, 16)), "w")
    dims = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (2,), "rhs_contract": (0,)}
    y = b.emit("dot_general", x, w, **dims)
    graph = b.build([y, *statistics(b, y)])
    arrays = arrays_for(graph, 4)
    for want, got in zip(evaluate(graph, arrays), compile_graph(graph)(arrays), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-3, rtol=1e-5)


def test_sums_of_images_that_are_computed_beside_the_convolutions_own() -> None:
    """A rectified image and its mask over a gradient: the sum of the former may come first."""
    b = Builder("beside")
    x, dy = (b.input(TensorType((N, 7, 5, 16)), name) for name in ("x", "dy"))
    w = b.input(TensorType((3, 3, 16, 16)), "w")
    a = b.emit("relu", x)
    total = b.emit("reduce_sum", a, axes=(0, 1, 2))
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    dx = b.emit("conv", dy, w, padding=((1, 1), (1, 1)), **ones)
    zero = b.emit("broadcast", b.constant(0.0, "float32"), shape=x.type.shape, dims=())
    masked = b.emit("select", b.emit("gt", a, zero), dx, zero)
    graph = b.build([a, masked, total, b.emit("reduce_sum", masked, axes=(0, 1, 2))])
    arrays = arrays_for(graph, 5)
    found = with_any_threads(compile_graph(graph), arrays)
    for ours, right in zip(found, evaluate(graph, arrays), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-4)
