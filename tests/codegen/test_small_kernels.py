"""Gradients of kernels that are small beside an image: one from each, then their sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.runtime import pool

Array = NDArray[Any]

N = Size.symbol("N")

CASES = {
    # size of x, channels, filters, kernel, padding of a line, stride
    "3x3": (32, 16, 16, 3, (1, 1), 1),
    "odd sizes": (19, 17, 20, 3, (1, 1), 1),
    "stride 2": (32, 16, 32, 3, (0, 1), 2),
    "a pixel with stride 2": (33, 8, 8, 1, (0, 0), 2),
    "without padding": (33, 9, 5, 3, (0, 0), 1),
    "one pixel past the image": (31, 8, 16, 5, (3, 2), 1),
}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    pool.set_num_threads(None)


def gradient(case: str) -> Graph:
    size, channels, filters, window, padding, stride = CASES[case]
    places = (size + sum(padding) - window) // stride + 1
    b = Builder("small")
    x = b.input(TensorType((N, size, size, channels)), "x")
    dy = b.input(TensorType((N, places, places, filters)), "dy")
    ones = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    attrs = {"kernel_size": (window,) * 2, "strides": (stride,) * 2, "padding": (padding,) * 2}
    return b.build([b.emit("conv_kernel_grad", x, dy, **attrs, **ones)])


def arrays(graph: Graph, batch: int) -> list[Array]:
    rng = np.random.default_rng(batch)
    shapes = [value.type.concrete({"N": batch}) for value in graph.inputs]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
@pytest.mark.parametrize("case", CASES)
def test_values_are_the_evaluators(case: str, cpu: str) -> None:
    graph = gradient(case)
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
        names = [launch.kernel.name for launch in executable.program.launches]
        assert names == ["conv_kernel_grads", "reduce_sum"]
        for batch in (1, 5):
            given = arrays(graph, batch)
            (want,) = evaluate(graph, given)
            results = []
            for threads in (1, 2, 3, 4):
                pool.set_num_threads(threads)
                results.append(executable(given)[0])
            np.testing.assert_allclose(results[0], want, rtol=1e-4, atol=1e-4 * abs(want).max())
            assert all(each.tobytes() == results[0].tobytes() for each in results)


def test_what_is_not_finite_reaches_its_taps_only() -> None:
    graph = gradient("3x3")
    x, dy = arrays(graph, 2)
    x[1, 0, 0, 3] = np.nan
    (found,) = compile_graph(graph)([x, dy])
    # The first pixel meets dy at the taps in the middle and in front of it.
    want = np.zeros(found.shape, bool)
    want[:2, :2, 3] = True
    np.testing.assert_array_equal(np.isnan(found), want)


def test_a_kernel_as_large_as_an_image_has_one_gradient() -> None:
    b = Builder("large")
    x, dy = (b.input(TensorType((N, 8, 8, 64)), name) for name in ("x", "dy"))
    ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    attrs = {"kernel_size": (3, 3), "padding": ((1, 1), (1, 1)), **ones}
    with config.override(winograd="never"):
        executable = compile_graph(b.build([b.emit("conv_kernel_grad", x, dy, **attrs)]))
    assert executable.launch_count == 1
