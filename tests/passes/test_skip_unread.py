"""Pixels that nothing reads: which ones are left out, and that no result notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph, Value
from graphkeras.passes import SkipUnread

N = Size.symbol("N")


def conv(b: Builder, x: Value, w: Value, stride: int = 1, pad: int = 0, dilated: int = 1) -> Value:
    return b.emit(
        "conv",
        x,
        w,
        strides=(stride, stride),
        padding=((pad, pad), (pad, pad)),
        lhs_dilation=(dilated, dilated),
        rhs_dilation=(1, 1),
        groups=1,
    )


def kernel(b: Builder, size: int = 1, channels: int = 4, filters: int = 4) -> Value:
    return b.input(TensorType((size, size, channels, filters)), "w")


def image(b: Builder, height: int = 9, width: int = 8) -> Value:
    return b.input(TensorType((N, height, width, 4)), "x")


def every(b: Builder, x: Value, down: int, along: int, first: int = 0) -> Value:
    start, stop = (0, first, 0, 0), x.type.shape
    return b.emit("slice", x, start=start, stop=stop, step=(1, down, along, 1))


def residual(b: Builder) -> Value:
    """The end of a residual block."""
    x = image(b)
    y = conv(b, x, kernel(b, 3), pad=1)
    bias = b.input(TensorType((4,)), "bias")
    y = b.emit("add", y, b.emit("broadcast", bias, shape=y.type.shape, dims=(3,)))
    return b.emit("relu", b.emit("add", y, x))


def checked(b: Builder, *outputs: Value) -> list[tuple[Any, ...]]:
    """Strides of the convolutions afterwards; holds the numbers of both graphs equal."""
    before = b.build(outputs)
    after = SkipUnread()(before)
    rng = np.random.default_rng(0)
    given = [
        rng.standard_normal(v.type.concrete({"N": 2})).astype(v.type.dtype) for v in before.inputs
    ]
    expected = evaluate(before, given)
    for old, new in zip(expected, evaluate(after, given), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(expected, compile_graph(before)(given), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-5, atol=1e-5)
    return strides(after)


def strides(graph: Graph) -> list[tuple[Any, ...]]:
    return [node.attrs["strides"] for node in graph.nodes if node.op == "conv"]


def test_the_reader_gives_its_strides_to_the_convolution_before() -> None:
    b = Builder("g")
    assert checked(b, conv(b, residual(b), kernel(b, filters=6), 2)) == [(2, 2), (1, 1)]


def test_readers_with_several_strides_read_at_their_common_divisor() -> None:
    b = Builder("g")
    y = residual(b)
    z = conv(b, b.emit("tanh", y), kernel(b), 6)
    assert checked(b, conv(b, y, kernel(b), 4), z) == [(2, 2), (1, 1), (2, 2)]


def test_a_chain_multiplies_its_strides() -> None:
    b = Builder("g")
    y = conv(b, residual(b), kernel(b), 2)
    assert checked(b, conv(b, b.emit("relu", y), kernel(b), 3)) == [(6, 6), (1, 1), (1, 1)]


def test_slices_read_with_steps_too() -> None:
    b = Builder("g")
    y = residual(b)
    assert checked(b, every(b, y, 4, 2), every(b, y, 2, 8)) == [(2, 2)]


def test_what_begins_elsewhere_is_read_whole() -> None:
    b = Builder("g")
    assert checked(b, every(b, residual(b), 2, 2, first=1)) == [(1, 2)]


def test_an_image_that_is_returned_stays_whole() -> None:
    b = Builder("g")
    y = residual(b)
    assert checked(b, y, conv(b, y, kernel(b), 2)) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("reader", [(3, 0), (1, 1)], ids=["3x3", "padding"])
def test_larger_kernels_and_padding_read_all(reader: tuple[int, int]) -> None:
    b = Builder("g")
    size, pad = reader
    assert checked(b, conv(b, residual(b), kernel(b, size), 2, pad)) == [(1, 1), (2, 2)]


def test_a_convolution_of_a_dilated_image_stays_whole() -> None:
    b = Builder("g")
    y = conv(b, image(b), kernel(b, 3), dilated=2)
    assert checked(b, conv(b, y, kernel(b), 2)) == [(1, 1), (2, 2)]


def test_without_a_convolution_before_nothing_changes() -> None:
    b = Builder("g")
    y = b.emit("relu", b.input(TensorType((N, 8, 8, 4)), "x"))
    graph = b.build([conv(b, y, kernel(b), 2)])
    assert SkipUnread()(graph) is graph


def test_an_image_of_one_pixel() -> None:
    b = Builder("g")
    y = conv(b, image(b, 1, 1), kernel(b))
    assert checked(b, conv(b, y, kernel(b), 2)) == [(2, 2), (1, 1)]
