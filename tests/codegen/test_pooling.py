"""Windows that a contraction finishes: every geometry, against the evaluator, on every CPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes import Autodiff
from graphkeras.passes.numerics import relative_error

Array = NDArray[Any]

N = Size.symbol("N")


class Case(NamedTuple):
    """A convolution and the pooling behind it, one entry a spatial dim."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...] = ()
    same: bool = False
    groups: int = 1
    crop: int = 0
    op: str = "window_max"


CASES = {
    "2x2, lines left over": Case((9, 13, 3), (3, 3, 20), (2, 2)),
    "2x2 same": Case((8, 10, 4), (3, 3, 33), (2, 2), same=True),
    "3x3": Case((11, 12, 2), (3, 3, 7), (3, 3)),
    "gaps": Case((11, 12, 2), (2, 2, 18), (2, 1), (3, 2)),
    "lines only": Case((8, 9, 3), (3, 3, 16), (2, 1)),
    "columns only": Case((6, 28, 2), (1, 1, 40), (1, 4)),
    "one window": Case((4, 4, 5), (3, 3, 6), (2, 2)),
    "cropped": Case((9, 9, 3), (2, 2, 5), (2, 2), crop=1),
    "groups": Case((8, 8, 4), (3, 3, 6), (2, 2), groups=2),
    "sums": Case((8, 8, 4), (3, 3, 10), (2, 2), same=True, op="window_sum"),
    "1D": Case((40, 3), (5, 24), (3,)),
    "3D": Case((6, 5, 7, 2), (2, 2, 3, 9), (2, 2, 2)),
    "bands of a large image": Case((70, 66, 64), (3, 3, 8), (2, 2), same=True),
}


def windows(b: Builder, case: Case, x: Value) -> Value:
    return b.emit(
        case.op,
        x,
        window=(1, *case.window, 1),
        strides=(1, *(case.strides or case.window), 1),
        padding=((0, 0), *(((-case.crop, 0),) * len(case.window)), (0, 0)),
    )


def convolution(b: Builder, case: Case) -> Value:
    """Convolution, bias and rectifier."""
    *kernel, filters = case.kernel
    channels = case.image[-1] // case.groups
    x = b.input(TensorType((N, *case.image)), "x")
    w = b.input(TensorType((*kernel, channels, filters)), "w")
    bias = b.input(TensorType((filters,)), "bias")
    ones = (1,) * len(kernel)
    padding = tuple(((k - 1) // 2, k // 2) if case.same else (0, 0) for k in kernel)
    attrs = {"strides": ones, "padding": padding, "lhs_dilation": ones, "rhs_dilation": ones}
    y = b.emit("conv", x, w, groups=case.groups, **attrs)
    wide = b.emit("broadcast", bias, shape=y.type.shape, dims=(y.type.rank - 1,))
    return b.emit("relu", b.emit("add", y, wide))


def pooled(case: Case) -> Graph:
    """The pooled image, and the places of the maxima."""
    b = Builder("pooled")
    y = convolution(b, case)
    top = windows(b, case, y)
    if case.op != "window_max":
        return b.build([top])
    assert top.producer is not None
    return b.build([top, b.emit("window_argmax", y, top, **top.producer.attrs)])


def arrays_for(graph: Graph, n: int) -> list[Array]:
    """Small whole numbers: sums are exact, so that ties are ties in every order of additions."""
    rng = np.random.default_rng(3)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    return [rng.integers(-2, 3, shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
@pytest.mark.parametrize("name", CASES)
def test_pooling_in_the_kernel_of_a_convolution(name: str, cpu: str) -> None:
    graph = pooled(CASES[name])
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    assert executable.launch_count == 1
    for n in (1, 3):
        arrays = arrays_for(graph, n)
        for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
            np.testing.assert_array_equal(got, want)


def test_nan_and_infinity_in_windows() -> None:
    graph = pooled(CASES["2x2 same"])
    arrays = arrays_for(graph, 2)
    arrays[0][0, 1, 2, 0] = np.nan
    arrays[0][1, 0, 0, 1] = -np.inf
    for want, got in zip(evaluate(graph, arrays), compile_graph(graph)(arrays), strict=True):
        np.testing.assert_array_equal(got, want)


def patterns(graph: Graph) -> list[str]:
    after = optimize(graph).records[-1].after
    return [node.attrs["pattern"] for node in after.nodes if node.op == "fused"]


def test_an_image_that_others_read_is_written_before_it_is_pooled() -> None:
    b = Builder("read twice")
    case = CASES["2x2 same"]
    y = convolution(b, case)
    assert patterns(b.build([windows(b, case, y), y])) == ["contract", "reduce"]


def test_overlapping_windows_are_a_kernel_of_their_own() -> None:
    b = Builder("overlapping")
    case = CASES["3x3"]._replace(strides=(2, 2))
    assert patterns(b.build([windows(b, case, convolution(b, case))])) == ["contract", "reduce"]


def test_more_rows_than_a_tile_holds_are_a_kernel_of_their_own() -> None:
    b = Builder("large")
    case = CASES["2x2 same"]._replace(window=(4, 5))
    assert patterns(b.build([windows(b, case, convolution(b, case))])) == ["contract", "reduce"]


def test_a_training_step_does_not_keep_what_was_pooled() -> None:
    b = Builder("step")
    case = CASES["2x2, lines left over"]
    top = windows(b, case, convolution(b, case))
    loss = b.emit("reduce_sum", b.emit("mul", top, top), axes=(0, 1, 2, 3))
    graph = Autodiff((1, 2))(b.build([loss]))
    kernels = [n for n in optimize(graph).records[-1].after.nodes if n.op == "fused"]
    kept = [v.type for k in kernels for v in k.results]
    assert TensorType((N, 7, 11, 20)) not in kept
    arrays = arrays_for(graph, 4)
    for want, got in zip(evaluate(graph, arrays), compile_graph(graph)(arrays), strict=True):
        assert relative_error(want, got) < 1e-5
