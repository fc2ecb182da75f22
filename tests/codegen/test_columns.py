"""Columns that an epilogue divides: read in runs, with the same numbers as the evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras import config
from graphkeras.codegen.generate import generate
from graphkeras.compiler import compile_graph, optimize
from graphkeras.ir import Builder, Graph, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.numerics import relative_error

N = Size.symbol("N")


def biased_product(places: int, channels: int, k: int = 5) -> Graph:
    """The gradient of a dense layer behind an image with a bias for each channel."""
    b = Builder("g")
    columns = places * channels
    dy, w = b.input(TensorType((N, k)), "dy"), b.input(TensorType((columns, k)), "w")
    bias = b.input(TensorType((channels,)), "bias")
    flat = b.emit(
        "dot_general", dy, w, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), rhs_contract=(1,)
    )
    image = b.emit("reshape", flat, shape=(N, places, channels))
    every = b.emit("broadcast", bias, shape=(N, places, channels), dims=(2,))
    return b.build([b.emit("add", image, every)])


def biased_rows(places: int, channels: int) -> Graph:
    """The same without a product: a kernel of the pattern LOOP."""
    b = Builder("g")
    x = b.input(TensorType((N, places, channels)), "x")
    bias = b.input(TensorType((channels,)), "bias")
    y = b.emit("add", x, b.emit("broadcast", bias, shape=x.type.shape, dims=(2,)))
    flat = b.emit("reshape", y, shape=(N, places * channels))
    scale = b.input(TensorType((places * channels,)), "scale")
    return b.build(
        [b.emit("mul", flat, b.emit("broadcast", scale, shape=flat.type.shape, dims=(1,)))]
    )


def text(graph: Graph) -> str:
    (launch,) = generate(optimize(graph).records[-1].after).launches
    return launch.kernel.text


@pytest.mark.parametrize("channels", [16, 24, 64])
@pytest.mark.parametrize("make", [biased_product, biased_rows])
def test_neighbours_are_read_as_neighbours(make, channels: int) -> None:
    found = text(make(7, channels))
    assert "for run" in found
    assert "urem(" not in found


@pytest.mark.parametrize(("places", "channels"), [(7, 8), (1, 64), (7, 1)])
def test_short_runs_and_single_ones_are_left(places: int, channels: int) -> None:
    assert "for run" not in text(biased_product(places, channels))


@pytest.mark.parametrize("cpu", ["", "generic"])
@pytest.mark.parametrize(("places", "channels"), [(7, 16), (33, 24), (20, 64), (3, 8)])
@pytest.mark.parametrize("make", [biased_product, biased_rows])
def test_numbers_are_the_evaluator_s(make, places: int, channels: int, cpu: str) -> None:
    graph = make(places, channels)
    rng = np.random.default_rng(0)
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    for n in (1, 3, 11):
        shapes = [value.type.concrete({"N": n}) for value in graph.inputs]
        arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
        (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        assert relative_error(expected, received) < 1e-5
