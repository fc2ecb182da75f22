"""Matrix products and convolutions for every instruction set: edges of tiles, blocks, layouts.

Sizes that are known only at run time let one kernel serve many shapes, and every shape of a case
runs through the same kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.dims import Dim
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import get_op
from graphkeras.passes.numerics import relative_error

Array = NDArray[Any]
Sizes = dict[str, int]

B, M, K, N = (Size.symbol(name) for name in "BMKN")
CPUS = ("", "avx2", "generic")
"""This machine's own instructions, and narrower ones."""


class Case(NamedTuple):
    graph: Graph
    sizes: Sequence[Sizes]


def input_arrays(graph: Graph, sizes: Sizes) -> list[Array]:
    rng = np.random.default_rng(1)
    types = [value.type for value in graph.inputs]
    return [rng.standard_normal(t.concrete(sizes)).astype(t.dtype) for t in types]


def check(case: Case, cpu: str) -> None:
    with config.override(cpu=cpu):
        executable = compile_graph(case.graph)
    for sizes in case.sizes:
        arrays = input_arrays(case.graph, sizes)
        (expected,) = evaluate(case.graph, arrays)
        (received,) = executable(arrays)
        assert received.shape == expected.shape
        assert relative_error(expected, received) < 2e-5, sizes


def product(
    a: tuple[Dim, ...],
    b: tuple[Dim, ...],
    contracted: tuple[int, int],
    sizes: Sequence[Sizes],
    *,
    batch: bool = False,
    dtype: str = "float32",
) -> Case:
    builder = Builder("product")
    x, y = builder.input(TensorType(a, dtype), "a"), builder.input(TensorType(b, dtype), "b")
    dims = (0,) if batch else ()
    (i, j) = contracted
    result = builder.emit(
        "dot_general", x, y, lhs_batch=dims, rhs_batch=dims, lhs_contract=(i,), rhs_contract=(j,)
    )
    return Case(builder.build([result]), sizes)


def mkn(*triples: tuple[int, int, int]) -> list[Sizes]:
    return [{"M": m, "K": k, "N": n} for m, k, n in triples]


EDGES = mkn(
    (1, 1, 1),
    (2, 3, 5),
    (13, 7, 1),
    (1, 2, 67),
    (12, 512, 32),
    (97, 1031, 131),
    # More rows and columns than a strip of C, k in several blocks.
    (301, 513, 307),
)

PRODUCTS = {
    "run-time sizes": product((M, K), (K, N), (1, 0), EDGES),
    "run-time sizes float64": product((M, K), (K, N), (1, 0), EDGES, dtype="float64"),
    "sum over the batch": product(
        (K, 13), (K, 40), (0, 0), [{"K": k} for k in (1, 2, 511, 512, 513, 1500)]
    ),
    "sums in the result, copied columns": product(
        (K, 70), (K, 170), (0, 0), [{"K": k} for k in (0, 1, 256, 300, 513)]
    ),
    "columns copied by few rows": product(
        (M, 300), (300, 530), (1, 0), [{"M": m} for m in (1, 5, 29)]
    ),
    "a vector and run-time columns": product(
        (300,), (N, 300), (0, 1), [{"N": n} for n in (1, 3, 33, 70)]
    ),
    "one step of k": product((M, 1), (1, 530), (1, 0), [{"M": m} for m in (1, 29)]),
    "few rows, many columns": product((3, 17), (17, N), (1, 0), [{"N": n} for n in (1, 31, 5003)]),
    "batches, both operands transposed": product(
        (B, 17, 5), (B, 19, 17), (1, 2), [{"B": b} for b in (1, 2, 7)], batch=True
    ),
    "longest k that is not cut": product((M, 8192), (8192, 33), (1, 0), [{"M": 1}, {"M": 15}]),
    "k cut with a rest": product((M, 8193), (8193, 7), (1, 0), [{"M": m} for m in (1, 5, 29)]),
    "rows a page apart": product((M, 1024), (1024, 40), (1, 0), [{"M": m} for m in (1, 3, 26)]),
    "columns past the in-place step": product((M, 9), (9, 1040), (1, 0), [{"M": 1}, {"M": 17}]),
    "columns side by side": product((37, M), (M, 21), (1, 0), [{"M": m} for m in (1, 40)]),
    "both transposed": product((24, 50), (33, 24), (0, 1), [{}]),
    "matrix and vector": product((M, K), (K,), (1, 0), [{"M": 1, "K": 1}, {"M": 7, "K": 1025}]),
}


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_matrix_product(name: str, cpu: str) -> None:
    check(PRODUCTS[name], cpu)


def convolution(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    gradient: bool = False,
    batch: Dim = N,
    **attrs: Any,
) -> Case:
    """A convolution of a batch of images; with `gradient` that of its kernel."""
    ones = (1,) * (len(x) - 1)
    given = {
        "strides": ones,
        "padding": tuple((0, 0) for _ in ones),
        "lhs_dilation": ones,
        "rhs_dilation": ones,
        "groups": 1,
        **attrs,
    }
    b = Builder("convolution")
    image, kernel = TensorType((batch, *x)), TensorType(w)
    sizes = [{"N": n} for n in (1, 2, 5, 37)] if batch is N else [{}]
    if not gradient:
        operands = b.input(image, "x"), b.input(kernel, "w")
        return Case(b.build([b.emit("conv", *operands, **given)]), sizes)
    (result,) = get_op("conv").infer([image, kernel], given)
    operands = b.input(image, "x"), b.input(result, "dy")
    dw = b.emit("conv_kernel_grad", *operands, kernel_size=w[:-2], **given)
    return Case(b.build([dw]), sizes)


def depthwise(
    x: tuple[int, ...], window: tuple[int, ...] = (3, 3), *, gradient: bool = False, **attrs: Any
) -> Case:
    """A convolution of each channel by itself, for no image too."""
    case = convolution(x, (*window, 1, x[-1]), groups=x[-1], gradient=gradient, **attrs)
    return Case(case.graph, [{"N": 0}, *case.sizes])


SAME = {"padding": ((1, 1), (1, 1))}
UNEVEN: dict[str, Any] = {
    "strides": (2, 1),
    "padding": ((2, 0), (1, 3)),
    "lhs_dilation": (1, 2),
    "rhs_dilation": (2, 1),
    "groups": 2,
}

CONVOLUTIONS = {
    "3x3 same": convolution((9, 7, 5), (3, 3, 5, 19), **SAME),
    "1x1": convolution((5, 5, 33), (1, 1, 33, 35)),
    "1x1 with strides": convolution((9, 6, 8), (1, 1, 8, 12), strides=(2, 2)),
    "lines longer than a tile": convolution((4, 37, 3), (3, 3, 3, 16)),
    "short lines share a tile": convolution((8, 6, 4), (3, 3, 4, 40)),
    "lines of three": convolution((5, 5, 4), (3, 3, 4, 40)),
    "a view in bands": convolution((70, 66, 64), (3, 3, 64, 8), **SAME),
    "lines of a view in bands": convolution((3000, 50), (5, 50, 8), padding=((2, 2),)),
    "few pixels, many filters": convolution((4, 4, 12), (3, 3, 12, 270), **SAME),
    "k is cut": convolution((4, 3, 1030), (3, 3, 1030, 4), **SAME),
    "one result": convolution((5, 5, 8), (5, 5, 8, 16)),
    "one result of padded images": convolution((1, 1, 8), (3, 3, 8, 19), **SAME),
    "one result of 1x1 with strides": convolution((2, 2, 8), (1, 1, 8, 19), strides=(2, 2)),
    "one line, a batch of known size": convolution(
        (1, 5, 4), (3, 3, 4, 16), batch=6, padding=((1, 1), (0, 1))
    ),
    "one result, a batch of known size": convolution((1, 1, 4), (3, 3, 4, 16), batch=20, **SAME),
    "3D": convolution((4, 5, 6, 3), (3, 2, 3, 3, 5), padding=((1, 1), (0, 1), (1, 0))),
    "dilated image": convolution(
        (6, 5, 18), (3, 3, 18, 20), padding=((2, 1), (1, 2)), lhs_dilation=(2, 2)
    ),
    "dilated image, phases without taps": convolution(
        (5, 4, 6), (1, 1, 6, 7), padding=((0, 1), (0, 2)), lhs_dilation=(2, 3)
    ),
    "dilated image with strides": convolution(
        (5, 6, 7), (4, 3, 7, 9), padding=((3, 2), (1, 1)), lhs_dilation=(4, 3), strides=(2, 2)
    ),
    "dilated image, dilated taps": convolution(
        (5, 7, 3), (3, 4, 3, 9), padding=((4, 2), (-1, 1)), lhs_dilation=(2, 2), rhs_dilation=(2, 3)
    ),
    "dilated image, fewer windows than phases": convolution(
        (2, 2, 3), (2, 7, 3, 5), padding=((0, 0), (0, 1)), lhs_dilation=(2, 6)
    ),
    "dilated image, phases of one row": convolution(
        (2, 1, 6), (1, 2, 6, 33), padding=((0, 5), (1, 3)), lhs_dilation=(5, 3)
    ),
    "dilated image, many phases": convolution(
        (4, 3, 5), (7, 6, 5, 6), padding=((6, 5), (4, 6)), lhs_dilation=(5, 4)
    ),
    "one channel": convolution((11, 11, 1), (5, 5, 1, 6)),
    "everything": convolution((8, 7, 6), (3, 2, 3, 34), **UNEVEN),
    "depthwise": convolution((7, 7, 5), (3, 3, 1, 5), strides=(2, 2), groups=5, **SAME),
    "depthwise, a line in tiles": depthwise((6, 41, 40)),
    "depthwise, several panels": depthwise((5, 6, 147)),
    "depthwise of everything": depthwise(
        (8, 9, 19), (3, 2), strides=(3, 2), padding=((2, 0), (1, 3)), rhs_dilation=(1, 2)
    ),
    "depthwise, dilated image": depthwise(
        (7, 8, 18), padding=((2, 1), (0, 2)), lhs_dilation=(2, 3), rhs_dilation=(1, 2)
    ),
    "depthwise, cropped": depthwise((9, 8, 5), padding=((-1, 1), (1, -2))),
    "depthwise, only border": depthwise((2, 1, 33), (5, 5), padding=((4, 4), (4, 4))),
    "depthwise, steps with a common divisor": depthwise(
        (5, 5, 6), lhs_dilation=(2, 2), strides=(2, 2), rhs_dilation=(2, 2)
    ),
    "depthwise, many channels": depthwise((9, 3, 300), **SAME),
    "depthwise, large window": depthwise((9, 12, 37), (7, 7), padding=((3, 3), (3, 3))),
    "depthwise, 5x5 with strides": depthwise(
        (17, 14, 20), (5, 5), strides=(2, 2), padding=((1, 2), (1, 2))
    ),
    "depthwise 1D": depthwise((29, 21), (4,), padding=((3, 0),), strides=(2,)),
    "depthwise 3D": depthwise((4, 5, 6, 3), (3, 2, 3)),
    "depthwise, long taps": depthwise((3, 40, 3), (1, 17)),
    "depthwise gradient": depthwise((9, 27, 21), gradient=True, **SAME),
    "depthwise gradient, several panels": depthwise((5, 6, 147), gradient=True, **SAME),
    "depthwise gradient with strides": depthwise(
        (9, 8, 37), (3, 2), gradient=True, strides=(2, 3), padding=((2, 0), (1, 3))
    ),
    "depthwise gradient of everything": depthwise(
        (7, 8, 5),
        gradient=True,
        strides=(3, 2),
        padding=((2, 1), (0, 2)),
        lhs_dilation=(2, 3),
        rhs_dilation=(1, 2),
    ),
    "depthwise gradient, many channels": depthwise((10, 9, 300), gradient=True, **SAME),
    "depthwise gradient of images with strides": depthwise(
        (19, 16, 37), (5, 4), gradient=True, strides=(1, 2), padding=((2, 1), (1, 3))
    ),
    "depthwise gradient 1D": depthwise((29, 21), (4,), gradient=True, padding=((3, 0),)),
    "1D causal": convolution((13, 3), (4, 3, 9), padding=((6, 0),), rhs_dilation=(2,)),
    "kernel gradient": convolution((9, 7, 5), (3, 3, 5, 19), gradient=True, **SAME),
    "kernel gradient of large images": convolution(
        (40, 34, 3), (3, 3, 3, 20), gradient=True, **SAME
    ),
    "kernel gradient, chunks of lines": convolution((34, 40, 3), (3, 3, 3, 20), gradient=True),
    "kernel gradient, threads share panels": convolution(
        (14, 12, 3), (3, 3, 3, 32), gradient=True, **SAME
    ),
    "kernel gradient of one channel": convolution((13, 12, 1), (3, 3, 1, 64), gradient=True),
    "kernel gradient of 3D": convolution(
        (4, 9, 130, 2), (1, 3, 3, 2, 6), gradient=True, padding=((0, 0), (1, 1), (1, 1))
    ),
    "kernel gradient of sequences": convolution(
        (1500, 4), (5, 4, 9), gradient=True, padding=((2, 2),)
    ),
    "kernel gradient, many channels": convolution(
        (9, 7, 21), (3, 3, 21, 19), gradient=True, **SAME
    ),
    "kernel gradient, many channels and lines": convolution(
        (21, 40, 9), (3, 3, 9, 20), gradient=True, **SAME
    ),
    "kernel gradient, many channels, long lines": convolution(
        (3, 300, 8), (3, 3, 8, 6), gradient=True, **SAME
    ),
    "kernel gradient, many channels, strides": convolution(
        (9, 8, 16), (5, 4, 16, 35), gradient=True, padding=((3, 1), (1, 2)), strides=(3, 2)
    ),
    "kernel gradient, many channels, apart and cropped": convolution(
        (12, 11, 17),
        (3, 3, 17, 5),
        gradient=True,
        padding=((4, 5), (-1, -2)),
        rhs_dilation=(3, 2),
    ),
    "kernel gradient, many channels in groups": convolution(
        (6, 5, 24), (3, 3, 12, 18), gradient=True, groups=2, **SAME
    ),
    "kernel gradient, many channels, taps that meet nothing": convolution(
        (2, 1, 11), (5, 7, 11, 9), gradient=True, padding=((4, 4), (9, 9))
    ),
    "kernel gradient, many channels, many filters": convolution(
        (7, 6, 13), (3, 3, 13, 270), gradient=True, **SAME
    ),
    "kernel gradient, many channels, 1D": convolution(
        (700, 10), (4, 10, 9), gradient=True, padding=((3, 0),)
    ),
    "kernel gradient, many channels, 3D": convolution(
        (4, 5, 6, 9), (3, 2, 3, 9, 5), gradient=True, padding=((1, 1), (0, 1), (1, 0))
    ),
    "kernel gradient of everything": convolution((8, 7, 6), (3, 2, 3, 34), gradient=True, **UNEVEN),
}


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, cpu: str) -> None:
    check(CONVOLUTIONS[name], cpu)


def test_threads_that_share_panels_give_the_same_bits() -> None:
    """One thread takes both panels at a time, two take one each."""
    case = CONVOLUTIONS["kernel gradient, threads share panels"]
    executable, arrays = compile_graph(case.graph), input_arrays(case.graph, {"N": 29})
    found = []
    for threads in (1, 2, 3):
        executable.threads = threads
        found.append(executable(arrays)[0])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("channels", [3, 16, 50])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_with_what_surrounds_it(
    channels: int, stride: int, cpu: str
) -> None:
    b = Builder("depthwise")
    x = b.input(TensorType((N, 9, 11, channels)), "x")
    w = b.input(TensorType((3, 3, channels, 1)), "w")
    shift = b.input(TensorType((channels,)), "shift")
    attrs = {
        "strides": (stride, stride),
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "groups": channels,
        **SAME,
    }
    turned = b.emit("reverse", w, axes=(0, 1))
    moved = b.emit("transpose", turned, perm=(0, 1, 3, 2))
    y = b.emit("conv", x, moved, **attrs)
    spread = b.emit("broadcast", shift, shape=y.type.shape, dims=(3,))
    result = b.emit("tanh", b.emit("add", y, spread))
    check(Case(b.build([result]), [{"N": n} for n in (0, 1, 5)]), cpu)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("window", [1, 3])
def test_the_gradient_of_a_strided_convolution_with_what_surrounds_it(
    window: int, cpu: str
) -> None:
    """Rows without any tap get what follows the convolution as well."""
    b = Builder("gradient")
    dy = b.input(TensorType((N, 5, 4, 6)), "dy")
    w = b.input(TensorType((window, window, 7, 6)), "w")
    edge = ((window - 1) // 2, window // 2 + 1)
    turned = b.emit("transpose", b.emit("reverse", w, axes=(0, 1)), perm=(0, 1, 3, 2))
    attrs = {"strides": (1, 1), "lhs_dilation": (2, 2), "rhs_dilation": (1, 1), "groups": 1}
    dx = b.emit("conv", dy, turned, padding=(edge, edge), **attrs)
    other, shift = b.input(dx.type, "other"), b.input(TensorType((7,)), "shift")
    spread = b.emit("broadcast", shift, shape=dx.type.shape, dims=(3,))
    result = b.emit("tanh", b.emit("add", b.emit("add", dx, other), spread))
    check(Case(b.build([result]), [{"N": n} for n in (0, 1, 5)]), cpu)
