"""Gradients of 3x3 kernels from transformed patches: every geometry, rounding, NaN, infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import OpTypeError
from graphkeras.passes import Autodiff, Winograd
from graphkeras.passes.numerics import relative_error
from graphkeras.runtime.executable import Executable
from tests.codegen.winograd_cases import GEOMETRIES, PLAIN, SAME, Case, N

Array = NDArray[Any]

CASES = GEOMETRIES | {
    "three vectors": Case((5, 6, 20), 48, SAME),
    "several blocks of channels": Case((5, 4, 150), 16, SAME),
    "several blocks of filters": Case((4, 5, 20), 300, SAME),
    "several strips": Case((26, 30, 8), 16, SAME),
    "batch of a known size": Case((6, 6, 8), 32, SAME, 3),
}
NARROW = ("odd lines and columns", "cropped", "three vectors", "several blocks of filters")
"""Cases that narrower vectors are tried on as well."""


def gradient(b: Builder, case: Case, x: Value, dy: Value) -> Value:
    attrs = {**PLAIN, "padding": case.padding, "kernel_size": (3, 3)}
    return b.emit("conv_kernel_grad", x, dy, **attrs)


def images(b: Builder, case: Case, dtype: str = "float32") -> Value:
    return b.input(TensorType((case.batch, *case.image), dtype), "x")


def results(b: Builder, case: Case, dtype: str = "float32") -> Value:
    return b.input(TensorType((case.batch, *case.results, case.filters), dtype), "dy")


def plain(case: Case, dtype: str = "float32") -> Graph:
    b = Builder("gradient")
    return b.build([gradient(b, case, images(b, case, dtype), results(b, case, dtype))])


def random_arrays(graph: Graph, n: int) -> list[Array]:
    rng = np.random.default_rng(5)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def always(graph: Graph, cpu: str = "") -> Executable:
    with config.override(cpu=cpu, winograd="always"):
        executable = compile_graph(graph)
    names = " ".join(launch.kernel.name for launch in executable.program.launches)
    assert "winograd_kernel_grad" in names
    return executable


@pytest.mark.parametrize(
    ("name", "cpu"),
    [*((name, "") for name in CASES), *((n, c) for n in NARROW for c in ("avx2", "generic"))],
)
def test_gradient(name: str, cpu: str) -> None:
    graph = plain(CASES[name])
    executable = always(graph, cpu)
    for n in (1, 2, 5) if CASES[name].batch is N else (CASES[name].batch,):
        arrays = random_arrays(graph, n)
        (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        assert relative_error(expected, received) < 1e-5


def test_threads_give_the_same_bits() -> None:
    graph = plain(CASES["several blocks of channels"])
    executable, arrays = always(graph), random_arrays(graph, 7)
    found = []
    for threads in (1, 2, 3, 4):
        executable.threads = threads
        found.append(executable(arrays)[0])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_no_image() -> None:
    graph = plain(CASES["same"])
    (received,) = always(graph)(random_arrays(graph, 0))
    np.testing.assert_array_equal(received, np.zeros((3, 3, 16, 32)))


def test_float64() -> None:
    case = Case((7, 6, 9), 20, SAME, 2)
    b = Builder("float64")
    operands = images(b, case, "float64"), results(b, case, "float64")
    graph = b.build([b.emit("winograd_kernel_grad", *operands, padding=SAME)])
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.type.concrete({})) for v in graph.inputs]
    (expected,) = evaluate(plain(case, "float64"), arrays)
    (received,) = compile_graph(graph)(arrays)
    np.testing.assert_allclose(received, expected, rtol=1e-12, atol=1e-12)


def test_numba_gives_the_same_bits() -> None:
    graph = plain(CASES["odd lines and columns"])
    arrays = random_arrays(graph, 3)
    (ours,) = always(graph)(arrays)
    with config.override(compiler="numba"):
        (numbas,) = always(graph)(arrays)
    np.testing.assert_array_equal(ours, numbas)


# what is fused


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
def test_the_update_is_fused(cpu: str) -> None:
    case = CASES["same"]
    b = Builder("update")
    dw = gradient(b, case, images(b, case), results(b, case))
    w = b.input(dw.type, "w")
    rate = b.emit("broadcast", b.constant(0.5, "float32"), shape=dw.type.shape, dims=())
    graph = b.build([b.emit("sub", w, b.emit("mul", rate, dw))])
    executable = always(graph, cpu)
    assert executable.launch_count == 1
    arrays = [np.round(2 * array) for array in random_arrays(graph, 3)]
    np.testing.assert_array_equal(executable(arrays)[0], evaluate(graph, arrays)[0])


def test_operands_that_are_computed() -> None:
    """Turned images, and gradients that are spread out while they are copied."""
    case = Case((10, 8, 6), 7, SAME)
    b = Builder("computed")
    x = b.emit("transpose", b.input(TensorType((N, 6, 10, 8)), "x"), perm=(0, 2, 3, 1))
    low, places = (b.input(TensorType((N, 5, 4, 7), t), t) for t in ("float32", "uint8"))
    windows = {"window": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": ((0, 0),) * 4}
    dy = b.emit("window_scatter", low, places, shape=(N, 10, 8, 7), **windows)
    graph = b.build([gradient(b, case, x, dy)])
    executable = always(graph)
    rng = np.random.default_rng(1)
    arrays: list[Array] = [
        rng.integers(-4, 5, (3, 6, 10, 8)).astype("float32"),
        rng.integers(-4, 5, (3, 5, 4, 7)).astype("float32"),
        rng.integers(0, 4, (3, 5, 4, 7)).astype("uint8"),
    ]
    np.testing.assert_array_equal(executable(arrays)[0], evaluate(graph, arrays)[0])


# rounding


def bound(x: Array, dy: Array) -> Array:
    """The bound on the error that `passes/winograd.py` states, for even sizes and no padding."""
    spread = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    gather = np.array([[1, 1, 1, 0], [0, 1, 1, 1]])
    x, dy = np.abs(x).astype("float64"), np.abs(dy).astype("float64")
    patches = sliding_window_view(x, (4, 4), (1, 2))[:, ::2, ::2]
    tiles = sliding_window_view(dy, (2, 2), (1, 2))[:, ::2, ::2]
    v = np.einsum("ia,nyxcab,jb->ijcnyx", spread, patches, spread)
    d = np.einsum("ai,nyxoab,bj->ijnyxo", gather, tiles, gather)
    du = np.einsum("ijcnyx,ijnyxo->ijco", v, d, optimize=True)
    count = tiles.shape[0] * tiles.shape[1] * tiles.shape[2]
    scale: Array = (count + 20) * 2.0**-24 * np.einsum("ia,ijco,jb->abco", g, du, g)
    return scale


@pytest.mark.parametrize("images", [1, 40])
def test_error_is_below_the_stated_bound(images: int) -> None:
    case = Case((10, 8, 32), 32)
    graph = plain(case)
    arrays = random_arrays(graph, images)
    doubles = [array.astype("float64") for array in arrays]
    (exact,) = evaluate(plain(case, "float64"), doubles)
    (received,) = always(graph)(arrays)
    error = np.abs(received - exact)
    assert (error <= bound(*arrays)).all()
    assert error.max() < 2e-6 * np.abs(exact).max()


# NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("operand", [0, 1])
def test_what_is_not_finite_stays_so(operand: int, value: float) -> None:
    graph = plain(CASES["odd lines and columns"])
    executable = always(graph)
    shape = graph.inputs[operand].type.concrete({"N": 2})
    rng = np.random.default_rng(1)
    for _ in range(5):
        arrays = random_arrays(graph, 2)
        (before,) = executable(arrays)
        place = tuple(rng.integers(0, extent) for extent in shape)
        arrays[operand][place] = value
        with np.errstate(all="ignore"):
            (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        assert not np.isfinite(received[~np.isfinite(expected)]).any()
        # Other channels, or filters, are what they were.
        axis = 2 + operand
        others = [np.delete(array, place[3], axis) for array in (before, received)]
        np.testing.assert_array_equal(*others)


# which gradients


def kinds(graph: Graph) -> list[str]:
    after = optimize(graph, [Winograd()]).records[-1].after
    return [node.op for node in after.nodes if "conv" in node.op or "winograd" in node.op]


@pytest.mark.parametrize(("channels", "becomes"), [(16, "conv_kernel_grad"), (32, "winograd")])
def test_the_setting_chooses(channels: int, becomes: str) -> None:
    graph = plain(Case((16, 16, channels), channels, SAME))
    transformed = ["winograd_kernel_grad"]
    assert kinds(graph) == (transformed if becomes == "winograd" else [becomes])
    with config.override(winograd="never"):
        assert kinds(graph) == ["conv_kernel_grad"]
    with config.override(winograd="always"):
        assert kinds(graph) == transformed


def test_first_convolutions_and_sparse_gradients_stay() -> None:
    assert kinds(plain(Case((32, 32, 3), 64, SAME))) == ["conv_kernel_grad"]
    case = Case((16, 16, 64), 64, SAME)
    b = Builder("pooled")
    windows = {"window": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": ((0, 0),) * 4}
    low, places = (b.input(TensorType((N, 8, 8, 64), t), t) for t in ("float32", "uint8"))
    dy = b.emit("window_scatter", low, places, shape=(N, 16, 16, 64), **windows)
    assert kinds(b.build([gradient(b, case, images(b, case), dy)])) == ["conv_kernel_grad"]


@pytest.mark.parametrize(
    "other", [{"strides": (2, 1)}, {"rhs_dilation": (2, 2)}, {"groups": 2}], ids=str
)
def test_other_gradients_stay(other: dict[str, Any]) -> None:
    attrs = {**PLAIN, "padding": SAME, **other}
    b = Builder("others")
    x = b.input(TensorType((N, 16, 16, 64)), "x")
    w = b.input(TensorType((3, 3, 64 // attrs["groups"], 64)), "w")
    y = b.emit("conv", x, w, **attrs)
    loss = b.emit("reduce_sum", b.emit("mul", y, b.input(y.type, "dy")), axes=(0, 1, 2, 3))
    graph = Autodiff(wrt=(1,))(b.build([loss]))
    with config.override(winograd="always"):
        assert "winograd_kernel_grad" not in kinds(graph)


# bad graphs


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((2, 6, 6, 4), (2, 6, 8)),
            "winograd_kernel_grad: expected x [N,H,W,C] and a cotangent [N,H',W',O], received "
            "f32[2,6,6,4] and f32[2,6,8]",
        ),
        (
            ((2, 6, 6, 4), (2, 6, 5, 8)),
            "winograd_kernel_grad: the cotangent must be f32[2,6,6,8] for the input "
            "f32[2,6,6,4], received f32[2,6,5,8]",
        ),
    ],
    ids=["rank", "size"],
)
def test_bad_operands(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    b = Builder("bad")
    operands = [b.input(TensorType(shape), name) for shape, name in zip(shapes, "xy", strict=True)]
    with pytest.raises(OpTypeError) as caught:
        b.emit("winograd_kernel_grad", *operands, padding=SAME)
    assert message in str(caught.value)
