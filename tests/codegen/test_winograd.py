"""Winograd convolutions: every geometry on every instruction set, rounding, NaN and infinity."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph, compile_halves, optimize
from graphkeras.ir import Builder, Graph, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import OpTypeError
from graphkeras.passes import Autodiff, Winograd
from graphkeras.passes.numerics import relative_error
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable
from tests.codegen.winograd_cases import GEOMETRIES, PLAIN, SAME, VALID, Case, N, Pair

Array = NDArray[Any]

CASES = GEOMETRIES | {
    "three panels": Case((5, 6, 20), 96, SAME),
    "filters in no whole vectors": Case((5, 5, 4), 43, SAME),
    "threads share panels": Case((4, 5, 24), 256, SAME),
    "lines longer than a strip": Case((3, 150, 3), 16, SAME),
    "many strips": Case((40, 30, 8), 16, SAME),
    "batch of a known size": Case((6, 6, 8), 32, SAME, 3),
}


def images(b: Builder, case: Case) -> Value:
    return b.input(TensorType((case.batch, *case.image)), "x")


def convolution(b: Builder, case: Case, x: Value) -> Value:
    w = b.input(TensorType((3, 3, case.image[-1], case.filters)), "w")
    return b.emit("conv", x, w, padding=case.padding, **PLAIN)


def plain(case: Case) -> Graph:
    b = Builder("convolution")
    return b.build([convolution(b, case, images(b, case))])


def random_arrays(graph: Graph, n: int) -> list[Array]:
    rng = np.random.default_rng(5)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def small_numbers(graph: Graph, n: int) -> list[Array]:
    """Small whole numbers: all sums are exact, so that ties of a maximum are ties."""
    return [np.round(array * 2).astype("float32") for array in random_arrays(graph, n)]


def always(graph: Graph, cpu: str = "") -> Executable:
    with config.override(cpu=cpu, winograd="always"):
        executable = compile_graph(graph)
    names = " ".join(launch.kernel.name for launch in executable.program.launches)
    assert "winograd_conv" in names
    return executable


NARROW = ("odd lines and columns", "cropped", "three panels", "filters in no whole vectors")
"""Cases that narrower vectors are tried on as well."""


def test_a_kernel_with_many_operands_and_results() -> None:
    """None of its buffers shares its name with a local: x0, x1, ..., y0, y1, ... are all read."""
    case = CASES["same"]
    b = Builder("many")
    y = convolution(b, case, images(b, case))
    terms = [b.input(y.type, f"t{i}") for i in range(45)]
    sums = [y]
    for term in terms:
        sums.append(b.emit("add", sums[-1], term))
    graph = b.build(sums[::2])
    arrays = small_numbers(graph, 2)
    executable = always(graph)
    assert max(len(launch.arguments) for launch in executable.program.launches) > 20
    for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "cpu"),
    [*((name, "") for name in CASES), *((n, c) for n in NARROW for c in ("avx2", "generic"))],
)
def test_convolution(name: str, cpu: str) -> None:
    graph = plain(CASES[name])
    executable = always(graph, cpu)
    for n in (1, 2, 5) if CASES[name].batch is N else (CASES[name].batch,):
        arrays = random_arrays(graph, n)
        (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        assert relative_error(expected, received) < 1e-5


def test_no_image() -> None:
    graph = plain(CASES["same"])
    (received,) = always(graph)(random_arrays(graph, 0))
    assert received.shape == (0, 6, 8, 32)


def test_float64() -> None:
    b = Builder("float64")
    x = b.input(TensorType((2, 7, 6, 9), "float64"), "x")
    w = b.input(TensorType((3, 3, 9, 20), "float64"), "w")
    u = b.emit("winograd_kernel", w, panel=20)
    graph = b.build([b.emit("winograd_conv", x, u, padding=SAME)])
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.type.concrete({})) for v in graph.inputs]
    b = Builder("plain")
    x, w = (b.input(v.type, v.name) for v in graph.inputs)
    (expected,) = evaluate(b.build([b.emit("conv", x, w, padding=SAME, **PLAIN)]), arrays)
    (received,) = compile_graph(graph)(arrays)
    np.testing.assert_allclose(received, expected, rtol=1e-12, atol=1e-12)


# what is fused


def with_bias(b: Builder, y: Value) -> Value:
    bias = b.input(TensorType(y.type.shape[-1:]), "bias")
    return b.emit("add", y, b.emit("broadcast", bias, shape=y.type.shape, dims=(3,)))


def bias_residual_rectifier(b: Builder) -> list[Value]:
    y = with_bias(b, convolution(b, CASES["same"], images(b, CASES["same"])))
    return [b.emit("relu", b.emit("add", y, b.input(y.type, "residual")))]


def pooled(b: Builder, case: Case, window: Pair = (2, 2)) -> list[Value]:
    y = b.emit("relu", with_bias(b, convolution(b, case, images(b, case))))
    attrs = {"window": (1, *window, 1), "strides": (1, *window, 1), "padding": ((0, 0),) * 4}
    top = b.emit("window_max", y, **attrs)
    return [top, b.emit("window_argmax", y, top, **attrs)]


def computed_images(b: Builder) -> list[Value]:
    """Pixels of which most are zeros, spread out while they are copied."""
    small = b.input(TensorType((N, 4, 5, 6)), "small")
    zeros = b.constant(0.0, "float32")
    padding = {"low": (0, 1, 1, 0), "high": (0, 2, 1, 0), "interior": (0, 1, 1, 0)}
    x = b.emit("pad", small, zeros, **padding)
    return [convolution(b, Case((10, 11, 6), 16, SAME), x)]


def turned_images(b: Builder) -> list[Value]:
    x = b.emit("transpose", b.input(TensorType((N, 6, 9, 7)), "x"), perm=(0, 2, 3, 1))
    return [convolution(b, Case((9, 7, 6), 16), x)]


FUSED: dict[str, tuple[Callable[[Builder], list[Value]], int]] = {
    "bias, residual and rectifier": (bias_residual_rectifier, 2),
    "windows": (lambda b: pooled(b, CASES["valid"]), 2),
    "windows of odd lines": (lambda b: pooled(b, CASES["odd lines and columns"]), 2),
    "other windows": (lambda b: pooled(b, CASES["same"], (3, 1)), 3),
    "computed images": (computed_images, 2),
    "turned images": (turned_images, 2),
}


@pytest.mark.parametrize("cpu", ["", "avx2", "generic"])
@pytest.mark.parametrize("name", FUSED)
def test_what_is_fused(name: str, cpu: str) -> None:
    make, launches = FUSED[name]
    b = Builder("fused")
    graph = b.build(make(b))
    executable = always(graph, cpu)
    assert executable.launch_count == launches
    for n in (1, 3):
        arrays = small_numbers(graph, n)
        for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
            np.testing.assert_array_equal(got, want)


def gradients_of(case: Case) -> Graph:
    b = Builder("step")
    y = convolution(b, case, images(b, case))
    loss = b.emit("reduce_sum", b.emit("mul", y, b.input(y.type, "dy")), axes=(0, 1, 2, 3))
    return Autodiff(wrt=(0, 1))(b.build([loss]))


@pytest.mark.parametrize("name", ["valid", "odd lines and columns", "cropped", "three panels"])
def test_input_gradient(name: str) -> None:
    graph = gradients_of(CASES[name])
    executable = always(graph)
    # The kernel is not turned around in memory: the transform reads it as it lies.
    names = [launch.kernel.name for launch in executable.program.launches]
    assert [names.count(n) for n in ("winograd_kernel", "winograd_conv")] == [2, 2]
    assert not any("reverse" in n or "transpose" in n for n in names)
    arrays = random_arrays(graph, 2)
    for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
        assert relative_error(want, got) < 1e-5


def test_numba_gives_the_same_bits() -> None:
    b = Builder("fused")
    graph = b.build(pooled(b, CASES["odd lines and columns"]))
    arrays = random_arrays(graph, 3)
    ours = always(graph)(arrays)
    with config.override(compiler="numba"):
        numbas = always(graph)(arrays)
    for one, other in zip(ours, numbas, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_constant_kernel_is_transformed_once() -> None:
    graph = plain(CASES["three panels"])
    with config.override(winograd="always"):
        pair = compile_halves(graph, [1])
    assert isinstance(pair, PreparedExecutable)
    programs = (pair.main.program, pair.prepare.program)
    names = [[launch.kernel.name for launch in each.launches] for each in programs]
    assert names == [["winograd_conv"], ["winograd_kernel"]]
    x, w = random_arrays(graph, 2)
    (received,) = pair([x], [w])
    np.testing.assert_array_equal(received, always(graph)([x, w])[0])


# rounding


def bound(x: Array, w: Array) -> Array:
    """The bound on the error that `passes/winograd.py` states, for even sizes and no padding."""
    spread = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    gather = np.array([[1, 1, 1, 0], [0, 1, 1, 1]])
    x, w = np.abs(x).astype("float64"), np.abs(w).astype("float64")
    windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (1, 2))[:, ::2, ::2]
    d = np.einsum("ia,nyxcab,jb->nyxcij", spread, windows, spread)
    u = np.einsum("ia,abco,jb->coij", g, w, g)
    y = np.einsum("pi,nyxcij,coij,qj->nypxqo", gather, d, u, gather, optimize=True)
    n, lines, _, columns, _, filters = y.shape
    scale: Array = (x.shape[-1] + 20) * 2.0**-24 * y.reshape(n, 2 * lines, 2 * columns, filters)
    return scale


@pytest.mark.parametrize("channels", [3, 64, 256])
def test_error_is_below_the_stated_bound(channels: int) -> None:
    graph = plain(Case((10, 8, channels), 32))
    arrays = random_arrays(graph, 2)
    (exact,) = evaluate(plain_float64(graph), [array.astype("float64") for array in arrays])
    (received,) = always(graph)(arrays)
    error = np.abs(received - exact)
    assert (error <= bound(*arrays)).all()
    assert error.max() < 2e-6 * np.abs(exact).max()


def plain_float64(graph: Graph) -> Graph:
    b = Builder("exact")
    x, w = (b.input(TensorType(v.type.shape, "float64"), v.name) for v in graph.inputs)
    return b.build([b.emit("conv", x, w, padding=VALID, **PLAIN)])


# NaN and infinity


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("operand", [0, 1])
def test_what_is_not_finite_stays_so(operand: int, value: float) -> None:
    case = CASES["odd lines and columns"]
    graph = plain(case)
    executable = always(graph)
    shape = graph.inputs[operand].type.concrete({"N": 2})
    rng = np.random.default_rng(1)
    for _ in range(5):
        arrays = random_arrays(graph, 2)
        arrays[operand][tuple(rng.integers(0, extent) for extent in shape)] = value
        with np.errstate(all="ignore"):
            (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        assert not np.isfinite(received[~np.isfinite(expected)]).any()


def test_a_pixel_spreads_to_the_tiles_that_read_it() -> None:
    graph = plain(CASES["valid"])
    arrays = random_arrays(graph, 1)
    (before,) = always(graph)(arrays)
    arrays[0][0, 4, 5, 3] = np.inf
    (after,) = always(graph)(arrays)
    # Plain sums that read the pixel lie in lines 2 to 4 and columns 3 to 5: four tiles.
    spoilt = np.zeros(after.shape, bool)
    spoilt[:, 2:6, 2:6] = True
    assert not np.isfinite(after[:, 2:5, 3:6]).any()
    np.testing.assert_array_equal(after[~spoilt], before[~spoilt])


# what is fetched ahead


def test_tiles_ask_for_the_chunk_that_is_read_next() -> None:
    filters, channels = 96, 64
    with config.override(cpu="avx512", winograd="always"):
        launches = compile_graph(plain(Case((14, 14, channels), filters, SAME))).program.launches
    text = re.sub(r"\b([ipr])\d+\b", r"\1", launches[-1].kernel.text)
    ahead = re.search(r"ahead\d+ = (.*)", text)
    chunk = re.search(r"tile_14x32\(0, v0, .*?, x\d+, (.*?), m\d+, .*, ahead\d+\)", text)
    assert ahead is not None
    assert chunk is not None
    places = [{"i": i, "p": p, "udiv": operator.floordiv} for p in range(3) for i in range(16)]
    begins = [eval(chunk[1], at) for at in places]
    assert sorted(begins) == list(range(0, 16 * channels * filters, channels * 32))
    for at, begin, following in zip(places, begins, begins[1:], strict=False):
        # Four tiles hold the 49 rows of an image: each asks for one row in four.
        asked = [begin + eval(ahead[1], {**at, "r": 14 * tile}) for tile in range(4)]
        assert asked == [following + row * 32 for row in range(4)]


# which convolutions


def kinds(graph: Graph, which: Winograd | None = None) -> list[str]:
    after = optimize(graph, [which or Winograd()]).records[-1].after
    return [node.op for node in after.nodes if "conv" in node.op]


LARGE = Case((16, 16, 64), 64, SAME)


def test_the_setting_chooses() -> None:
    assert kinds(plain(LARGE)) == ["winograd_conv"]
    with config.override(winograd="never"):
        assert kinds(plain(LARGE)) == ["conv"]
    # A large kernel for a small image pays where one transform serves a batch.
    deep = Case((4, 4, 64), 64, SAME)
    assert kinds(plain(deep)) == ["winograd_conv"]
    assert kinds(plain(deep), Winograd(prepared=True)) == ["conv"]
    few = Case((16, 16, 4), 8, SAME)
    assert kinds(plain(few)) == ["conv"]
    with config.override(winograd="always"):
        assert kinds(plain(few)) == ["winograd_conv"]


def test_the_gradient_behind_a_pooling_stays() -> None:
    b = Builder("pooled")
    windows: dict[str, Any] = {"padding": ((0, 0),) * 4}
    windows["window"] = windows["strides"] = (1, 2, 2, 1)
    dy, places = (b.input(TensorType((N, 8, 8, 64), t), t) for t in ("float32", "uint8"))
    dense = b.emit("window_scatter", dy, places, shape=(N, 16, 16, 64), **windows)
    graph = b.build([b.emit("conv", dense, kernel_of(b, 3, 3, 64, 64), padding=SAME, **PLAIN)])
    assert kinds(graph) == ["conv"]
    with config.override(winograd="always"):
        assert kinds(graph) == ["winograd_conv"]


OTHERS: dict[str, dict[str, Any]] = {
    "strides": {"strides": (2, 1)},
    "gaps in the image": {"lhs_dilation": (1, 2)},
    "gaps in the kernel": {"rhs_dilation": (2, 2)},
    "groups": {"groups": 2},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_convolutions_stay(name: str) -> None:
    attrs = {**PLAIN, "padding": SAME, **OTHERS[name]}
    b = Builder(name)
    x = b.input(TensorType((N, 16, 16, 64)), "x")
    w = b.input(TensorType((3, 3, 64 // attrs["groups"], 64)), "w")
    with config.override(winograd="always"):
        assert kinds(b.build([b.emit("conv", x, w, **attrs)])) == ["conv"]


def test_other_kernels_and_dtypes_stay() -> None:
    b = Builder("others")
    x, w = b.input(TensorType((N, 16, 16, 64)), "x"), b.input(TensorType((5, 3, 64, 64)), "w")
    wide = [b.input(TensorType(v, "float64"), "v") for v in ((N, 16, 16, 64), (3, 3, 64, 64))]
    results = [b.emit("conv", *pair, padding=SAME, **PLAIN) for pair in ((x, w), wide)]
    with config.override(winograd="always"):
        assert kinds(b.build(results)) == ["conv", "conv"]


# bad graphs


def kernel_of(b: Builder, *shape: int) -> Value:
    return b.input(TensorType(shape), "u")


BAD: dict[str, tuple[Callable[[Builder, Value], Any], str]] = {
    "rank": (
        lambda b, x: b.emit("winograd_conv", x, kernel_of(b, 16, 4, 8), padding=SAME),
        "winograd_conv: expected x [N,H,W,C] and a transformed kernel of 4 dims, received "
        "f32[2,6,6,4] and f32[16,4,8]",
    ),
    "channels": (
        lambda b, x: b.emit("winograd_conv", x, kernel_of(b, 16, 1, 5, 8), padding=SAME),
        "winograd_conv: the transformed kernel for f32[2,6,6,4] must be [16,P,4,O/P], received "
        "f32[16,1,5,8]",
    ),
    "kernel": (
        lambda b, x: b.emit("winograd_kernel", kernel_of(b, 3, 5, 4, 8), panel=8),
        "winograd_kernel: expected a kernel [3,3,C,O], received f32[3,5,4,8]",
    ),
    "panel": (
        lambda b, x: b.emit("winograd_kernel", kernel_of(b, 3, 3, 4, 8), panel=3),
        "winograd_kernel: 8 filters do not split into panels of 3",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_operands(name: str) -> None:
    emit, message = BAD[name]
    b = Builder("bad")
    with pytest.raises(OpTypeError) as caught:
        emit(b, b.input(TensorType((2, 6, 6, 4)), "x"))
    assert message in str(caught.value)


def test_it_has_no_gradient() -> None:
    b = Builder("late")
    x = b.input(TensorType((1, 4, 4, 2)), "x")
    y = b.emit("winograd_conv", x, kernel_of(b, 16, 1, 2, 3), padding=VALID)
    graph = b.build([b.emit("reduce_sum", y, axes=(0, 1, 2, 3))])
    with pytest.raises(OpTypeError, match="gradients exist already"):
        Autodiff(wrt=(0,))(graph)
