"""Normalised and rectified images that convolutions compute while they copy lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.numerics import relative_error
from graphkeras.runtime import pool
from graphkeras.runtime.executable import Executable

Array = NDArray[Any]

N = Size.symbol("N")
Pair = tuple[int, int]


class Case(NamedTuple):
    """A convolution of an image whose channels are normalised and rectified first."""

    image: tuple[int, ...]
    filters: int
    winograd: str = "never"
    stride: int = 1
    padding: Pair = (1, 1)
    batch: Any = N
    kernel: int = 3


CASES = {
    "a vector of channels": Case((32, 32, 16), 16),
    "odd lines and channels": Case((33, 35, 19), 20),
    "strides": Case((33, 30, 16), 16, stride=2),
    "padded on one side": Case((26, 27, 17), 16, padding=(0, 2)),
    "5x5": Case((40, 41, 16), 16, kernel=5, padding=(2, 2)),
    "long lines": Case((5, 300, 16), 16),
    "several bands": Case((40, 60, 64), 16),
    "1D": Case((200, 16), 16),
    "Winograd": Case((8, 8, 32), 32, "always"),
    "Winograd, odd lines and channels": Case((7, 9, 19), 43, "always"),
    "Winograd, a strip of many images": Case((2, 3, 16), 16, "always"),
    "Winograd, lines longer than a strip": Case((3, 150, 16), 16, "always"),
    "Winograd, padded on one side": Case((6, 7, 35), 16, "always", padding=(0, 2)),
    "Winograd, many channels": Case((10, 12, 80), 48, "always"),
    "Winograd, a batch of a known size": Case((6, 6, 32), 32, "always", batch=3),
}


def normalised(b: Builder, image: Value) -> Value:
    """A tree of five ops, which is dearer than what is always recomputed."""
    shape, axis = image.type.shape, image.type.rank - 1
    for name, op in (("mean", "sub"), ("scale", "mul"), ("shift", "add")):
        channels = b.input(TensorType(shape[-1:]), name)
        spread = b.emit("broadcast", channels, shape=shape, dims=(axis,))
        image = b.emit(op, image, spread)
    return b.emit("relu", image)


def training(case: Case) -> Graph:
    """Convolution, gradient of its kernel and masked gradient of its operand."""
    rank = len(case.image) - 1
    b = Builder("normalised")
    a = normalised(b, b.input(TensorType((case.batch, *case.image)), "z"))
    kernel = (case.kernel,) * rank
    w = b.input(TensorType((*kernel, case.image[-1], case.filters)), "w")
    ones = (1,) * rank
    attrs = {"strides": (case.stride,) * rank, "padding": (case.padding,) * rank, "groups": 1}
    attrs |= {"lhs_dilation": ones, "rhs_dilation": ones}
    y = b.emit("conv", a, w, **attrs)
    dy = b.input(y.type, "dy")
    dw = b.emit("conv_kernel_grad", a, dy, kernel_size=kernel, **attrs)
    da = b.input(a.type, "da")
    zero = b.emit("broadcast", b.constant(np.float32(0.0)), shape=a.type.shape, dims=())
    return b.build([y, dw, b.emit("select", b.emit("gt", a, zero), da, zero)])


def compiled(case: Case, cpu: str = "") -> tuple[Graph, Executable]:
    graph = training(case)
    with config.override(cpu=cpu, winograd=case.winograd):
        return graph, compile_graph(graph)


def kernels(executable: Executable) -> list[str]:
    return [launch.kernel.name for launch in executable.program.launches]


def arrays_for(graph: Graph, n: int) -> list[Array]:
    rng = np.random.default_rng(11)
    shapes = [v.type.concrete({"N": n}) for v in graph.inputs]
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def with_any_threads(executable: Executable, arrays: list[Array]) -> list[Array]:
    """The results, which are the same bits on one to four threads."""
    results = []
    try:
        for threads in (1, 2, 3, 4):
            pool.set_num_threads(threads)
            results.append([np.array(array) for array in executable(arrays)])
    finally:
        pool.set_num_threads(None)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert one.tobytes() == two.tobytes()
    return results[0]


@pytest.mark.parametrize("name", CASES)
def test_results(name: str) -> None:
    case = CASES[name]
    graph, executable = compiled(case)
    for n in (1, 2, 5) if case.batch is N else (case.batch,):
        arrays = arrays_for(graph, n)
        received = with_any_threads(executable, arrays)
        for want, got in zip(evaluate(graph, arrays), received, strict=True):
            assert relative_error(want, got) < 1e-5


@pytest.mark.parametrize("cpu", ["avx2", "generic"])
@pytest.mark.parametrize(
    "name", ["odd lines and channels", "strides", "Winograd, odd lines and channels"]
)
def test_narrower_vectors(name: str, cpu: str) -> None:
    graph, executable = compiled(CASES[name], cpu)
    arrays = arrays_for(graph, 3)
    for want, got in zip(evaluate(graph, arrays), executable(arrays), strict=True):
        assert relative_error(want, got) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_nobody_writes_the_normalised_image(name: str) -> None:
    _, executable = compiled(CASES[name])
    assert sum("mul_add_relu" in each for each in kernels(executable)) == 3


def test_written_for_a_gradient_whose_channels_are_shared() -> None:
    """Each thread would copy all images."""
    _, executable = compiled(Case((8, 8, 64), 64))
    assert sum("mul_add_relu" in each for each in kernels(executable)) == 1


def test_no_image() -> None:
    for name in ("a vector of channels", "Winograd"):
        graph, executable = compiled(CASES[name])
        y, dw, _ = executable(arrays_for(graph, 0))
        assert y.shape[0] == 0
        assert not dw.any()


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_padding_is_zero_whatever_the_scale(number: float) -> None:
    """Zeros around the image are not normalised: 0 * inf would be NaN."""
    case = CASES["a vector of channels"]
    graph, executable = compiled(case)
    arrays = arrays_for(graph, 2)
    names = [value.name for value in graph.inputs]
    arrays[names.index("scale")][3] = number
    arrays[names.index("z")][0, 2, 2, 5] = number
    with np.errstate(invalid="ignore"):
        expected = evaluate(graph, arrays)
    for want, got in zip(expected, executable(arrays), strict=True):
        assert (np.isnan(want) == np.isnan(got)).all()
        assert (np.isinf(want) == np.isinf(got)).all()
        finite = np.isfinite(want)
        np.testing.assert_allclose(got[finite], want[finite], rtol=1e-4, atol=1e-4)


def test_an_infinite_scale_leaves_the_padding_of_winograd_zero() -> None:
    """A patch whose pixels all lie in the padding would be NaN otherwise."""
    case = Case((8, 8, 32), 32, "always", padding=(4, 4))
    graph, executable = compiled(case)
    arrays = arrays_for(graph, 1)
    arrays[[value.name for value in graph.inputs].index("scale")][:] = np.inf
    y = executable(arrays)[0]
    assert not y[:, :2, :2].any()
