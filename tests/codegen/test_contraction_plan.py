"""What is decided for a contraction: operand forms, tiles, chunks, and what is shared out."""

from __future__ import annotations

from typing import Any

import pytest

from graphkeras import config
from graphkeras.codegen.cpu.contract.access import linear, merged, strides
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.clip import Clip
from graphkeras.codegen.cpu.contract.forms import Form, Plan
from graphkeras.codegen.cpu.contract.layouts import VIEW_ELEMENTS
from graphkeras.codegen.cpu.contract.plan import C_ELEMENTS, FEW_ROWS, make_plan
from graphkeras.codegen.cpu.target import AVX2, AVX512, GENERIC
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.dims import Dim
from graphkeras.ir.op import get_op
from graphkeras.ir.scalar import INDEX, Const, Var

N = Size.symbol("N")
TARGETS = {t.name: t for t in (AVX512, AVX2, GENERIC)}


def plan_of(
    op: str,
    *shapes: tuple[Dim, ...],
    cpu: str = "avx512",
    choices: Choices = BY_MODEL,
    in_memory: bool = False,
    **attrs: Any,
) -> Plan:
    b = Builder("plan")
    values = [b.input(TensorType(s), f"x{i}") for i, s in enumerate(shapes)]
    node = b.build([b.emit(op, *values, **attrs)]).nodes[0]
    rule = get_op(op).contraction
    assert rule is not None
    with config.override(cpu=cpu):
        buffers = {value: f"x{i}" for i, value in enumerate(node.inputs)}
        return make_plan(rule(node), node.types[0], node.inputs, buffers, choices, in_memory)


def product(a: tuple[Dim, ...], b: tuple[Dim, ...], ca: int, cb: int, **kind: Any) -> Plan:
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (ca,), "rhs_contract": (cb,)}
    return plan_of("dot_general", a, b, **attrs, **kind)


def conv(
    x: tuple[Dim, ...], w: tuple[int, ...], pad: int = 0, stride: int = 1, **kind: Any
) -> Plan:
    attrs = {
        "strides": (stride, stride),
        "padding": ((pad, pad),) * 2,
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "groups": 1,
    }
    return plan_of("conv", x, w, **attrs, **kind)


def test_a_convolution_without_padding_is_read_in_place() -> None:
    plan = conv((N, 13, 13, 16), (3, 3, 16, 64))
    assert (plan.a, plan.b) == (Form.IN_PLACE, Form.IN_PLACE)
    # A line of the output is one tile; kernel rows, then runs of (kernel column, channel).
    assert plan.runs.rows == tuple(16 * i for i in range(11))
    assert plan.loops == ((3, 13 * 16, 48 * 64), (48, 1, 64))
    assert plan.cut is None


def test_a_kernel_that_spans_more_than_the_first_level_cache_is_packed() -> None:
    assert conv((N, 13, 13, 32), (3, 3, 32, 64)).b is Form.COPIED
    # All columns of B are one panel's: nothing lies between them.
    assert conv((N, 13, 13, 64), (3, 3, 64, 32)).b is Form.IN_PLACE


def test_padding_is_laid_out_in_bands_that_fit_the_cache() -> None:
    plan = conv((N, 112, 112, 64), (3, 3, 64, 64), pad=1)
    assert plan.a is Form.PADDED
    assert plan.layout is not None
    assert plan.layout.images is None
    assert plan.layout.lines == plan.layout.group + 2
    assert plan.layout.lines * 114 * 64 <= VIEW_ELEMENTS


def test_a_pointwise_convolution_is_one_run_of_pixels() -> None:
    plan = conv((N, 14, 14, 128), (1, 1, 128, 64))
    assert plan.a is Form.IN_PLACE
    assert plan.runs.lead == 0
    assert plan.runs.per_unit is None
    assert plan.loops == ((128, 1, 64),)


def test_short_lines_share_a_tile() -> None:
    plan = conv((N, 6, 6, 16), (3, 3, 16, 32))
    # Output lines of 4: two lines of four make a tile of eight rows.
    assert plan.runs.rows == (0, 16, 32, 48, 96, 112, 128, 144)


def test_a_kernel_gradient_cuts_the_batch() -> None:
    plan = plan_of(
        "conv_kernel_grad",
        (N, 13, 13, 32),
        (N, 11, 11, 64),
        kernel_size=(3, 3),
        strides=(1, 1),
        padding=((0, 0), (0, 0)),
        lhs_dilation=(1, 1),
        rhs_dilation=(1, 1),
        groups=1,
    )
    assert (plan.a, plan.b) == (Form.IN_PLACE, Form.IN_PLACE)
    assert plan.cut is not None
    assert (plan.cut.dim, plan.cut.inner) == (0, 121)
    assert plan.loops[0] == (None, 13 * 13 * 32, 121 * 64)
    assert plan.strip * len(plan.runs.rows) * plan.block <= C_ELEMENTS


def padded_gradient(channels: int) -> Plan:
    return plan_of(
        "conv_kernel_grad",
        (N, 56, 56, channels),
        (N, 56, 56, 8),
        kernel_size=(3, 3),
        strides=(1, 1),
        padding=((1, 1), (1, 1)),
        lhs_dilation=(1, 1),
        rhs_dilation=(1, 1),
        groups=1,
    )


def test_large_images_are_cut_by_lines() -> None:
    plan = padded_gradient(4)
    assert plan.a is Form.PADDED
    assert plan.cut is not None
    assert plan.cut.dim == 1
    assert plan.layout is not None
    assert plan.layout.lines == plan.cut.length + 2


def test_a_kernel_gradient_of_many_channels_takes_the_positions_of_a_tap() -> None:
    plan = padded_gradient(16)
    assert (plan.a, plan.layout) == (Form.IN_PLACE, None)
    assert plan.clips == (Clip(56, 56, 1, 1, 1), Clip(56, 56, 1, 1, 1))
    # Lines of a chunk and pixels of a line are known at run time; a run is within a tap.
    assert plan.loops == ((None, 56 * 16, 56 * 8), (None, 16, 8))
    assert (plan.runs.lead, plan.runs.extent) == (2, 16)


def first_gradient(channels: int, filters: int, cpu: str = "avx512", **given: Any) -> Plan:
    return plan_of(
        "conv_kernel_grad",
        (N, 32, 32, channels),
        (N, 32, 32, filters),
        cpu=cpu,
        **given,
        kernel_size=(3, 3),
        strides=(1, 1),
        padding=((1, 1), (1, 1)),
        lhs_dilation=(1, 1),
        rhs_dilation=(1, 1),
        groups=1,
    )


def test_threads_share_the_columns_of_the_first_kernels_gradient() -> None:
    plan = first_gradient(3, 32)
    # Two threads get a panel each, one takes both at a time.
    assert (plan.shared, plan.width, plan.wide) == ("n", 16, 32)
    assert plan.streamed
    assert (first_gradient(3, 64).shared, first_gradient(3, 64).width) == ("n", 32)
    # A panel with few valid columns would cost as much as a whole one.
    assert (first_gradient(3, 20).shared, first_gradient(3, 20).width) == ("m", 32)
    assert not first_gradient(4, 32).streamed
    # Panels that are copied lie one behind the other: no tile reads two of them.
    plan = first_gradient(3, 32, choices=Choices(b_in_place=False))
    assert (plan.b, plan.width, plan.wide) == (Form.COPIED, 16, 16)
    # 9 rows of two vectors find no registers.
    plan = first_gradient(3, 16, "avx2")
    assert (plan.width, plan.wide) == (8, 8)


def test_many_rows_that_compete_for_the_cache_are_packed() -> None:
    # 32 columns: a tile of 14 rows. With more columns a tile has fewer rows, for which a set of
    # the cache has room.
    assert product((N, 1024), (1024, 32), 1, 0).a is Form.PACKED
    assert product((N, 1000), (1000, 32), 1, 0).a is Form.IN_PLACE
    wide = product((N, 1024), (1024, 64), 1, 0)
    assert wide.a is Form.IN_PLACE
    assert len(wide.runs.rows) <= FEW_ROWS


def test_rows_that_are_neighbours_are_packed_side_by_side() -> None:
    packed = product((1000, N), (1000, 2048), 0, 0)
    assert packed.a is Form.PACKED
    assert packed.a_by_k


def test_columns_far_apart_or_transposed_are_packed() -> None:
    assert product((N, 64), (64, 512), 1, 0).b is Form.IN_PLACE
    assert product((N, 600), (600, 512), 1, 0).b is Form.PACKED
    # A single panel has no columns beside it.
    assert product((N, 8000), (8000, 32), 1, 0).b is Form.IN_PLACE
    assert product((N, 64), (32, 64), 1, 1).b is Form.PACKED


def test_columns_that_are_neighbours_are_copied_by_the_first_tile() -> None:
    plan = product((N, 300), (300, 512), 1, 0)
    assert plan.b is Form.COPIED
    # A step on is the next line of B, and the next row of the panel.
    assert plan.copy_loops == ((300, 1, 512, plan.width),)
    assert product((N, 64), (32, 64), 1, 1).copy_loops == ()


def test_chunks_that_add_to_the_result_are_longer_where_b_is_wide() -> None:
    dims = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (0,), "rhs_contract": (0,)}

    def chunk(columns: int, in_memory: bool) -> int:
        b = Builder("plan")
        x, y = (b.input(TensorType((N, n)), f"x{n}") for n in (96, columns))
        node = b.build([b.emit("dot_general", x, y, **dims)]).nodes[0]
        rule = get_op("dot_general").contraction
        assert rule is not None
        buffers = {x: "x0", y: "x1"}
        return make_plan(
            rule(node), node.types[0], node.inputs, buffers, in_memory=in_memory
        ).k_elements

    assert chunk(512, in_memory=True) == 256
    assert chunk(512, in_memory=False) == chunk(64, in_memory=True) == 128


def test_tiles_ask_for_columns_that_their_thread_reads() -> None:
    ones, none = {"strides": (1, 1), "kernel_size": (1, 1)}, ((0, 0), (0, 0))
    kind = {**ones, "padding": none, "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    plan = plan_of("conv_kernel_grad", (N, 14, 14, 256), (N, 14, 14, 1024), in_memory=True, **kind)
    assert plan.shared == "n"
    a, b = plan.streams
    assert (a.operand, a.pitch) == (0, 0)
    # 512 of 1024 columns, by 196 steps of k: a row each.
    assert (b.operand, b.pace, b.pitch) == (1, 3, 1024)


@pytest.mark.parametrize(
    ("size", "channels", "steps"), [(28, 128, 2 * 28), (56, 64, 2 * 56), (28, 256, 4 * 28)]
)
def test_chunks_of_a_small_gradient_are_near(size: int, channels: int, steps: int) -> None:
    kind = {"strides": (1, 1), "kernel_size": (1, 1), "padding": ((0, 0), (0, 0))}
    kind |= {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}
    shape = (N, size, size, channels)
    assert plan_of("conv_kernel_grad", shape, shape, **kind).k_elements == steps


def test_lines_a_page_apart_are_packed_and_others_copied() -> None:
    forms = {n: product((N, 256), (256, n), 1, 0).b for n in (1008, 1024)}
    assert forms == {1008: Form.COPIED, 1024: Form.PACKED}


def test_half_of_many_rows_is_a_strip() -> None:
    plan = product((N, 1024), (N, 1024), 0, 0, in_memory=True)
    tiles = -(-1024 // len(plan.runs.rows))
    assert (plan.shared, plan.strip) == ("m", -(-tiles // 2))


def test_what_is_shared_out() -> None:
    assert product((N, 784), (784, 128), 1, 0).shared == "n"
    assert product((N, 64), (64, 10), 1, 0).shared == "m"
    # The gradient of a dense layer's weight: alone, and with the update of what is as large.
    assert product((N, 784), (N, 512), 0, 0, in_memory=True).shared == "n"
    assert product((N, 784), (N, 512), 0, 0).shared == "m"
    dims = {"lhs_batch": (1,), "rhs_batch": (0,), "lhs_contract": (2,), "rhs_contract": (1,)}
    assert plan_of("dot_general", (N, 4, 196), (4, 196, 128), **dims).shared == "b"
    assert conv((N, 58, 58, 64), (3, 3, 64, 64)).shared == "m"
    # Weights that are packed: of few pixels a thread packs its own columns.
    assert conv((N, 7, 7, 512), (1, 1, 512, 2048)).shared == "n"
    assert conv((N, 28, 28, 128), (1, 1, 128, 512)).shared == "m"
    assert conv((N, 9, 9, 512), (3, 3, 512, 512)).shared == "n"


@pytest.mark.parametrize("cpu", list(TARGETS))
@pytest.mark.parametrize("columns", [1, 10, 16, 32, 48, 64, 100, 257])
@pytest.mark.parametrize("line", [1, 3, 5, 7, 11, 14, 26, 56, 112])
def test_a_tile_fits_the_registers(cpu: str, columns: int, line: int) -> None:
    plan = conv((N, 3, line + 2, 4), (3, 3, 4, columns), cpu=cpu)
    vectors, rows = plan.width // plan.lanes, len(plan.runs.rows)
    assert rows * vectors + vectors + 1 <= TARGETS[cpu].registers
    assert plan.lanes == TARGETS[cpu].lanes


def test_linear_forms() -> None:
    x, y = Var(INDEX, "x"), Var(INDEX, "y")
    assert linear(x * 3 + (y - 2) * 5 + x) == {"x": 4, "y": 5, "": -10}
    assert linear(x * y) is None
    assert linear(x // 2) is None
    assert linear(Const(INDEX, 4)) == {"": 4}


def test_strides_need_known_inner_dims() -> None:
    assert strides(lambda p: [p[1], p[0]], (4, 6), [2]) is not None
    found = strides(lambda p: [p[1] * 2 + 1, p[0]], (4, 6), [2])
    assert found is not None
    assert (found.start, found.dims) == (6, ((1, 12),))
    assert strides(lambda p: [p[0], p[1]], (4, N), [2]) is None


def test_dims_that_act_as_one_are_merged() -> None:
    axes = merged((N, 4, 1, 3), (12, 3, 7, 1), (24, 6, 9, 2))
    assert [(str(axis.extent), axis.strides) for axis in axes] == [("12*N", (1, 2))]
    assert len(merged((2, 3), (4, 1))) == 2
