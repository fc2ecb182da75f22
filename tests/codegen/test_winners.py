"""Gradients of a convolution by the winners of the windows behind it: against the evaluator."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value, get_op
from graphkeras.ir.evaluate import evaluate

Array = NDArray[Any]

N = Size.symbol("N")
TILES = {"conv": "winner_patches(", "conv_kernel_grad": "winner_sums("}


class Case(NamedTuple):
    """A convolution and the windows behind it, one entry a spatial dim."""

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    """Its sizes, and its filters."""
    window: tuple[int, ...]
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dtype: str = "float32"

    @property
    def convolution(self) -> dict[str, Any]:
        """The convolution's attributes."""
        ones = (1,) * len(self.window)
        return {
            "strides": self.strides or ones,
            "padding": self.padding or ((0, 0),) * len(ones),
            "lhs_dilation": ones,
            "rhs_dilation": self.dilation or ones,
            "groups": 1,
        }


CASES = {
    "2x2": Case((13, 13, 32), (3, 3, 8), (2, 2)),
    "lines left over": Case((10, 14, 19), (3, 3, 5), (2, 3)),
    "same": Case((8, 10, 24), (3, 3, 7), (2, 2), padding=((1, 1), (1, 1))),
    "many channels": Case((9, 8, 100), (3, 3, 6), (2, 2), padding=((1, 1), (1, 1))),
    "large kernel": Case((14, 12, 40), (7, 5, 3), (2, 2), padding=((3, 3), (2, 2))),
    "3x3": Case((12, 11, 33), (2, 2, 9), (3, 3), padding=((0, 0), (0, 1))),
    "strided": Case((15, 13, 32), (3, 3, 6), (2, 2), strides=(2, 1), padding=((1, 1), (0, 2))),
    "dilated": Case((15, 16, 20), (3, 2, 6), (2, 2), dilation=(2, 3), padding=((2, 2), (0, 1))),
    "cropped": Case((11, 11, 32), (2, 2, 5), (2, 2), padding=((-1, 0), (1, -2))),
    "lines only": Case((8, 9, 32), (3, 3, 16), (3, 1)),
    "one window": Case((4, 4, 32), (3, 3, 6), (2, 2)),
    "bands of a large image": Case((40, 34, 48), (3, 3, 4), (2, 2), padding=((1, 1), (1, 1))),
    "1D": Case((40, 64), (5, 7), (3,)),
    "3D": Case((6, 5, 7, 32), (2, 2, 3, 9), (2, 2, 2)),
    "float64": Case((9, 9, 24), (3, 3, 8), (2, 2), padding=((1, 1), (1, 1)), dtype="float64"),
}


def gradients(case: Case) -> dict[str, Graph]:
    """The gradients of input and kernel from what the windows' winners get, a graph each.

    Inputs are x, the kernel, the windows' gradients, and the winners' places.
    """
    graphs = {}
    for op in TILES:
        b = Builder(op)
        *kernel, filters = case.kernel
        kind = TensorType((N, *case.image), case.dtype)
        x, w = (
            b.input(kind.with_shape(shape), name)
            for name, shape in (("x", kind.shape), ("w", (*kernel, case.image[-1], filters)))
        )
        y = b.emit("conv", x, w, **case.convolution)
        windows: dict[str, Any] = {
            "window": (1, *case.window, 1),
            "strides": (1, *case.window, 1),
            "padding": ((0, 0),) * y.type.rank,
        }
        pooled = b.emit("window_max", y, **windows).type
        dy, places = b.input(pooled, "dy"), b.input(pooled.with_dtype("uint8"), "places")
        dense = b.emit("window_scatter", dy, places, shape=y.type.shape, **windows)
        graphs[op] = b.build([gradient(b, op, y, dense)])
    return graphs


def gradient(b: Builder, op: str, y: Value, dy: Value) -> Value:
    """The gradient of a convolution that a node of kind `op` computes."""
    assert y.producer is not None
    rule = get_op("conv").gradient
    assert rule is not None
    found = {v.producer.op: v for v in rule(b, y.producer, [dy]) if v and v.producer}
    return found[op]


def arrays_for(case: Case, graph: Graph, n: int) -> list[Array]:
    """Small whole numbers, whose sums are exact in any order; every place, also none."""
    rng = np.random.default_rng(5)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    arrays = [rng.integers(-2, 3, shape).astype(case.dtype) for shape in shapes[:3]]
    return [*arrays, rng.integers(0, np.prod(case.window) + 1, shapes[3]).astype("uint8")]


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_from_winners(name: str, cpu: str) -> None:
    case = CASES[name]
    for op, graph in gradients(case).items():
        with config.override(cpu=cpu, winograd="never"):
            executable = compile_graph(graph)
        (launch,) = executable.program.launches
        assert TILES[op] in launch.kernel.text
        for n in (1, 5):
            arrays = arrays_for(case, graph, n)
            for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
                np.testing.assert_array_equal(got, want, err_msg=op)


@pytest.mark.parametrize("name", ["2x2", "same", "3D"])
def test_both_compilers_agree_bit_for_bit(name: str) -> None:
    case = CASES[name]
    for graph in gradients(case).values():
        arrays = arrays_for(case, graph, 2)
        arrays[:3] = [array / np.float32(3) for array in arrays[:3]]
        results = []
        for compiler in ("llvm", "numba"):
            with config.override(compiler=compiler):
                results.append(compile_graph(graph)(arrays)[0])
        np.testing.assert_array_equal(*results)


def by_winner(case: Case, arrays: list[Array]) -> dict[str, Array]:
    """Both gradients of a convolution without strides, winner by winner."""
    x, w, dy, places = arrays
    (low, high), _ = case.padding
    padded = np.pad(x, ((0, 0), (low, high), (low, high), (0, 0)))
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    for at in np.ndindex(*places.shape):
        image, i, j, o = at
        if places[at] < 4:
            i, j = 2 * i + places[at] // 2, 2 * j + places[at] % 2
            patch = np.s_[image, i : i + w.shape[0], j : j + w.shape[1]]
            with np.errstate(invalid="ignore"):
                dx[patch] += w[..., o] * dy[at]
                dw[..., o] += padded[patch] * dy[at]
    inside = np.s_[:, low : low + x.shape[1], low : low + x.shape[2]]
    return {"conv": dx[inside], "conv_kernel_grad": dw}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("operand", ["x", "w", "dy"])
def test_what_is_not_finite_reaches_all_that_a_winner_meets(operand: str, value: float) -> None:
    # The evaluator multiplies it by the zeros between the winners, too.
    case = CASES["same"]
    for op, graph in gradients(case).items():
        arrays = arrays_for(case, graph, 3)
        chosen = arrays[("x", "w", "dy").index(operand)]
        chosen[tuple(size // 2 for size in chosen.shape)] = value
        (got,) = compile_graph(graph)(arrays)
        want = by_winner(case, arrays)[op]
        np.testing.assert_array_equal(got, want)
        (dense,) = evaluate(graph, arrays)
        assert np.all(np.isnan(dense) | (got == dense))


def test_a_winner_of_no_gradient_still_meets_what_is_not_finite() -> None:
    case = CASES["same"]
    graphs = gradients(case)
    arrays = arrays_for(case, graphs["conv"], 2)
    arrays[1][...], arrays[2][...], arrays[3][...] = np.inf, 0, 0
    arrays[3][1] = 4  # no winner
    (dx,) = compile_graph(graphs["conv"])(arrays)
    assert np.isnan(dx[0]).all()
    assert np.all(dx[1] == 0)


def text_for(case: Case, op: str) -> str:
    with config.override(cpu="avx2"):
        (launch,) = compile_graph(gradients(case)[op]).program.launches
    return launch.kernel.text


def test_few_channels_are_multiplied_as_before() -> None:
    # Three vectors of eight lanes for a patch of 3 x 3 x 1.
    case = Case((28, 28, 1), (3, 3, 32), (2, 2))
    assert "product_tile(" in text_for(case, "conv_kernel_grad")


def test_windows_that_overlap_are_multiplied_as_before() -> None:
    b = Builder("overlapping")
    windows: dict[str, Any] = {
        "window": (1, 3, 3, 1),
        "strides": (1, 2, 2, 1),
        "padding": ((0, 0),) * 4,
    }
    x = b.input(TensorType((N, 13, 13, 32)), "x")
    dy = b.input(TensorType((N, 5, 5, 8)), "dy")
    places = b.input(TensorType((N, 5, 5, 8), "uint8"), "places")
    dense = b.emit("window_scatter", dy, places, shape=(N, 11, 11, 8), **windows)
    attrs = CASES["2x2"].convolution
    dw = b.emit("conv_kernel_grad", x, dense, kernel_size=(3, 3), **attrs)
    (launch,) = compile_graph(b.build([dw])).program.launches
    assert "product_tile(" in launch.kernel.text
