"""How lines of a depthwise convolution are cut in tiles, and which contractions have such tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphkeras import config
from graphkeras.codegen.cpu.contract.channel_plan import ChannelPlan, Shape, make_channel_plan
from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.codegen.cpu.contract.meeting import Axis
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.dims import Dim
from graphkeras.ir.evaluate import evaluate
from graphkeras.passes.split_reductions import SplitReductions

N = Size.symbol("N")
SAME = Axis(pixels=56, positions=56, taps=3, stride=1, spread=1, low=1, gap=1)
ATTRS: dict[str, Any] = {
    "strides": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "groups": 20,
}


def test_a_line_has_two_border_tiles_and_equal_ones_between() -> None:
    rows = SAME.tile_rows(11)
    (left, middle, right) = SAME.tiles(rows)
    assert rows == 8
    assert [part[0] for _, part in (left, middle, right)] == [1, 5, 1]
    _, (_, pixel, row, pixels, step, meets) = middle
    assert (pixel, row, pixels, step) == (8, 8, 8, 8)
    # Ten pixels for eight rows; the first meets row 0 by tap 0 only.
    assert [at for at, _ in meets] == list(range(-1, 9))
    assert meets[0] == (-1, ((0, 0),))
    assert meets[1] == (0, ((0, 1), (1, 0)))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("spread", [1, 2])
def test_tiles_hold_every_meeting_once(stride: int, gap: int, spread: int) -> None:
    axis = Axis(23, 31, 4, stride, spread, 3, gap)
    found = []
    for rows in (axis.tile_rows(7), 1, 31):
        found.append([])
        for _, (count, pixel, row, pixels, step, meets) in axis.tiles(rows):
            for i in range(count):
                found[-1] += [
                    (at + pixel + i * pixels, r + row + i * step, tap)
                    for at, pairs in meets
                    for r, tap in pairs
                ]
    expected = [
        (pixel, position, tap)
        for pixel in range(23)
        for position in range(31)
        for tap in range(4)
        if pixel * gap == position * stride + tap * spread - 3
    ]
    assert [sorted(each) for each in found] == [expected] * 3


def test_inner_positions_meet_a_pixel_by_every_tap() -> None:
    assert SAME.inner() == (1, 55)
    assert Axis(2, 2, 5, 1, 1, 2, 1).inner() is None
    assert Axis(8, 15, 3, 1, 1, 1, 2).inner() is None


def kernel(op: str, *shapes: tuple[Any, ...], moved: bool = False, **attrs: Any) -> str:
    b = Builder("kernel")
    x, w = (b.input(TensorType(shape), f"x{i}") for i, shape in enumerate(shapes))
    if moved:
        x = b.emit("transpose", x, perm=(0, 2, 3, 1))
    result = b.emit(op, x, w, **attrs)
    with config.override(cpu="avx2"):
        (launch,) = compile_graph(b.build([result])).program.launches
    return launch.kernel.text


def test_a_convolution_alone_needs_no_scratch_memory() -> None:
    text = kernel("conv", (N, 9, 9, 20), (3, 3, 1, 20), **ATTRS)
    assert "block_tile(" in text
    assert "scratch" not in text


def test_a_kernel_gradient_takes_all_taps_together_but_at_the_border() -> None:
    shape = (N, 5, 6, 20)
    text = kernel("conv_kernel_grad", shape, shape, kernel_size=(3, 3), **ATTRS)
    assert "line_sums('float32', 8, 8, (3, 3), " in text
    assert "line_sums('float32', 8, 8, (1, 3), " in text


def plan(size: int, window: int, channels: int = 64, **choices: int) -> ChannelPlan:
    axis = Axis(size, size, window, 1, 1, window // 2, 1)
    return make_channel_plan(Shape(axis, axis, channels // 16, 16, 32, False), Choices(**choices))


def test_blocks_are_tall_and_equal() -> None:
    assert plan(56, 3).block == (8, 1)
    assert [part[0] for _, part in plan(56, 3).groups] == [1, 5, 1]
    assert plan(14, 3).block == (7, 1)
    # Few lines leave room for rows.
    assert plan(2, 3).block == (2, 2)


def test_large_windows_have_lower_blocks_and_then_walk_over_lines_of_taps() -> None:
    assert plan(56, 5).block == (4, 1)
    assert not plan(56, 5).by_line
    assert plan(56, 7).by_line
    assert plan(56, 7).block[0] == 1


def test_choices_that_do_not_fit_count_as_the_nearest_that_do() -> None:
    assert plan(5, 3, lines=40, rows=40).block == (5, 5)
    assert plan(5, 3, vectors=9).width == 64


def test_the_gradients_of_images_take_blocks() -> None:
    shape = (N, 9, 9, 20)
    text = kernel("conv_kernel_grads", shape, shape, kernel_size=(3, 3), **ATTRS)
    assert "block_sums('float32', 8, 8, " in text
    assert "line_sums" not in text


def test_blocks_lie_within_bands() -> None:
    for size, bands in ((28, 4), (56, 7), (30, 5), (14, 1), (12, 12)):
        axis = Axis(size, size, 3, 1, 1, 1, 1)
        plan = make_channel_plan(Shape(axis, axis, 4, 16, 32, True, bands), Choices(lines=8))
        for lines, (count, _, row, _, step, _) in plan.groups:
            for first in (row + i * step for i in range(count)):
                assert first * bands // size == (first + lines - 1) * bands // size


@pytest.mark.parametrize("cpu", ["", "generic"])
@pytest.mark.parametrize(
    ("lines", "stride", "bands"), [(12, 1, 3), (12, 1, 12), (20, 1, 2), (6, 2, 3), (7, 1, 1)]
)
def test_gradients_of_bands(lines: int, stride: int, bands: int, cpu: str) -> None:
    b = Builder("g")
    pixels = lines * stride
    x = b.input(TensorType((N, pixels, pixels, 20)), "x")
    dy = b.input(TensorType((N, lines, lines, 20)), "dy")
    padding = ((1, 1), (1, 1)) if stride == 1 else ((0, 1), (0, 1))
    attrs = {**ATTRS, "strides": (stride, stride), "padding": padding, "kernel_size": (3, 3)}
    graph = b.build([b.emit("conv_kernel_grads", x, dy, bands=bands, **attrs)])
    with config.override(cpu=cpu):
        executable = compile_graph(graph)
    rng = np.random.default_rng(0)
    for n in (1, 3):
        arrays = [rng.random(v.type.concrete({"N": n}), np.float32) for v in graph.inputs]
        (expected,), (received,) = evaluate(graph, arrays), executable(arrays)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "window", "bands"),
    [
        ((N, 56, 56, 64), (3, 3), 2),
        ((N, 57, 57, 20), (3, 3), 3),
        # Few positions, no divisor, and one spatial dim.
        ((N, 14, 14, 256), (3, 3), 1),
        ((N, 55, 55, 64), (3, 3), 1),
        ((N, 4096, 64), (3,), 1),
    ],
)
def test_an_image_is_cut_into_bands(
    shape: tuple[Dim, ...], window: tuple[int, ...], bands: int
) -> None:
    b = Builder("g")
    x, dy = b.input(TensorType(shape), "x"), b.input(TensorType(shape), "dy")
    ones = (1,) * len(window)
    attrs = dict.fromkeys(("strides", "lhs_dilation", "rhs_dilation"), ones)
    padding = tuple((1, 1) for _ in window)
    dw = b.emit(
        "conv_kernel_grad",
        *(x, dy),
        kernel_size=window,
        padding=padding,
        groups=shape[-1],
        **attrs,
    )
    graph = SplitReductions()(b.build([dw]))
    (parts, total) = graph.nodes
    assert (parts.op, parts.attrs["bands"]) == ("conv_kernel_grads", bands)
    assert (total.op, total.attrs["axes"]) == ("reduce_sum", (0, 1))


def test_other_products_without_columns_have_plain_loops() -> None:
    contract = {"lhs_batch": (0,), "rhs_batch": (0,), "lhs_contract": (2,), "rhs_contract": (1,)}
    assert "_tile(" not in kernel("dot_general", (N, 5, 9), (N, 9), **contract)
    channels_first = kernel("conv", (N, 20, 9, 9), (3, 3, 1, 20), moved=True, **ATTRS)
    assert "_tile(" not in channels_first
