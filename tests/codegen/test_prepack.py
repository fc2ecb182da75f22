"""Constant right operands: panels made once, and kernels that read them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from graphkeras import config
from graphkeras.codegen.cpu.contract.forms import Form
from graphkeras.codegen.cpu.contract.plan import make_plan
from graphkeras.compiler import Halves, compile_graph, compile_halves, optimize_halves
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import get_op
from graphkeras.ir.regroup import contraction_of
from graphkeras.passes.panels import operand_shape, pack, panels_behind, unpack
from graphkeras.runtime.prepared import PreparedExecutable

N = Size.symbol("N")
CONV = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}


def conv(size: int, channels: int, filters: int, kernel: int = 3, **attrs: Any) -> Graph:
    b = Builder("g")
    x = b.input(TensorType((N, size, size, channels)), "x")
    w = b.input(TensorType((kernel, kernel, channels // attrs.get("groups", 1), filters)), "w")
    pad = (kernel - 1) // 2
    given = {"strides": (1, 1), "padding": ((pad, pad),) * 2, **CONV, **attrs}
    return b.build([b.emit("conv", x, w, **given)])


def dot(shape: tuple[int, ...], contract: int, rows: Any = N) -> Graph:
    b = Builder("g")
    x, w = b.input(TensorType((rows, shape[contract])), "x"), b.input(TensorType(shape), "w")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (contract,)}
    return b.build([b.emit("dot_general", x, w, **attrs)])


def batched() -> Graph:
    b = Builder("g")
    x, w = b.input(TensorType((3, N, 300)), "x"), b.input(TensorType((3, 300, 200)), "w")
    attrs = {"lhs_batch": (0,), "rhs_batch": (0,), "lhs_contract": (2,), "rhs_contract": (1,)}
    return b.build([b.emit("dot_general", x, w, **attrs)])


def panels_read(halves: Halves) -> list[tuple[int, ...]]:
    """Shapes of the panels that the kernels of the main program read."""
    found = []
    for node in halves.main[-1].after.nodes:
        if node.body is not None and node.attrs["pattern"] == "contract":
            hero, rule, _ = contraction_of(node.body)
            buffers = {value: f"x{i}" for i, value in enumerate(node.body.inputs)}
            plan = make_plan(rule, hero.types[0], hero.inputs, buffers)
            if plan.b is Form.PANELS:
                place = int(plan.b_panels.removeprefix("x"))
                found.append(node.body.inputs[place].type.shape)
    return found


CASES = {
    "many channels": conv(6, 128, 96),
    "columns past the last panel": conv(5, 160, 100),
    "long k in chunks": dot((5000, 300), 0),
    "transposed": dot((130, 700), 1),
    "wide": dot((600, 513), 0),
    "stride": conv(9, 512, 160, kernel=1, strides=(2, 2)),
    "batched": batched(),
    "a sweep over images": conv(7, 160, 290, kernel=1),
    "a sweep over lines": conv(9, 300, 288, kernel=1, strides=(2, 2)),
}


@pytest.mark.parametrize("cpu", ["avx512", "avx2", "generic"])
@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("name", CASES)
def test_panels_give_the_numbers_of_the_graph(name: str, rows: int, cpu: str) -> None:
    graph = CASES[name]
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=v.type.concrete({"N": rows})).astype("f") for v in graph.inputs)
    with config.override(cpu=cpu, winograd="never"):
        assert panels_read(optimize_halves(graph, [1]))
        executable = compile_halves(graph, [1])
        plain = compile_graph(graph)
    (found,) = executable([x], [w])
    np.testing.assert_array_equal(found, plain([x, w])[0])
    np.testing.assert_allclose(found, evaluate(graph, [x, w])[0], rtol=1e-4, atol=1e-3)


def test_numba_reads_panels_too() -> None:
    graph = CASES["wide"]
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=v.type.concrete({"N": 5})).astype("f") for v in graph.inputs)
    expected = compile_halves(graph, [1])([x], [w])[0]
    with config.override(compiler="numba"):
        np.testing.assert_array_equal(compile_halves(graph, [1])([x], [w])[0], expected)


@pytest.mark.parametrize(
    ("name", "sweep"),
    [("a sweep over images", "(49 * N), 54)"), ("a sweep over lines", "(5 * N), 5)")],
)
def test_a_panel_serves_a_sweep_of_tiles_that_fetch_the_next_one(name: str, sweep: str) -> None:
    graph = CASES[name]
    with config.override(cpu="avx512"):
        executable = compile_halves(graph, [1])
    assert isinstance(executable, PreparedExecutable)
    text = executable.main.program.launches[0].kernel.text
    assert re.search(rf"for s\d+ in range\(0, {re.escape(sweep)}:\n +send.*\n +for jc", text)
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=v.type.concrete({"N": 3})).astype("f") for v in graph.inputs)
    (both,) = executable([x], [w])
    executable.main.threads = 1
    np.testing.assert_array_equal(executable([x], [w])[0], both)


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(conv(56, 64, 64, kernel=1), id="little k, few columns"),
        pytest.param(dot((1600, 16), 0), id="one panel"),
        pytest.param(conv(6, 64, 64, groups=2), id="groups"),
        pytest.param(conv(6, 64, 64, groups=64), id="depthwise"),
        pytest.param(conv(6, 160, 96, lhs_dilation=(2, 2)), id="phases"),
    ],
)
def test_what_is_read_in_place_as_well_is_left(graph: Graph) -> None:
    with config.override(cpu="avx512"):
        assert panels_read(optimize_halves(graph, [1])) == []
        assert not isinstance(compile_halves(graph, [1]), PreparedExecutable)


def test_an_operand_that_depends_on_data_is_no_panel() -> None:
    graph = dot((700, 130), 0)
    assert panels_read(optimize_halves(graph, [0])) == []


def test_equal_panels_are_made_once() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 600)), "x"), b.input(TensorType((600, 600)), "w")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    hidden = b.emit("tanh", b.emit("dot_general", x, w, **attrs))
    halves = optimize_halves(b.build([b.emit("dot_general", hidden, w, **attrs)]), [1])
    assert len(panels_read(halves)) == 2
    assert len(halves.split.prepare.outputs) == 1
    # The matrix itself is read by nobody any more.
    assert halves.split.sources == ((False, 0), (True, 0))


def test_panels_are_packed_in_the_kernel_that_scales_them() -> None:
    b = Builder("g")
    x, w = b.input(TensorType((N, 600)), "x"), b.input(TensorType((600, 768)), "w")
    s = b.input(TensorType((768,)), "s")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    wide = b.emit("broadcast", s, shape=(N, 768), dims=(1,))
    graph = b.build([b.emit("mul", b.emit("dot_general", x, w, **attrs), wide)])
    prepare = optimize_halves(graph, [1, 2]).prepare[-1].after
    assert len(prepare.nodes) == 1
    (kernel,) = prepare.nodes
    assert kernel.body is not None
    assert "mul" in [node.op for node in kernel.body.nodes]


def test_panels_of_another_width_than_the_tile_are_read_through_the_moves() -> None:
    graph = CASES["wide"]
    node = graph.nodes[0]
    rule = get_op(node.op).contraction
    assert rule is not None
    shape = operand_shape(rule(node))
    assert shape is not None
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=v.type.concrete({"N": 4})).astype("f") for v in graph.inputs)

    b = Builder("pack")
    packing = b.build([pack(b, b.input(TensorType(w.shape), "w"), shape, 7)])
    (packed,) = evaluate(packing, [w])
    assert packed.shape == shape.panels(7)
    b = Builder("g")
    rows, panels = b.input(TensorType((N, 600)), "x"), b.input(TensorType(packed.shape), "panels")
    operand = unpack(b, panels, shape)
    assert panels_behind(operand, shape) is panels
    assert panels_behind(rows, shape) is None
    reading = b.build([b.emit(node.op, rows, operand, **node.attrs)])
    (expected,) = evaluate(graph, [x, w])
    np.testing.assert_array_equal(evaluate(reading, [x, packed])[0], expected)
    np.testing.assert_allclose(
        compile_graph(reading)([x, packed])[0], expected, rtol=1e-4, atol=1e-3
    )


def test_panels_carry_the_layer_and_line_of_their_contraction() -> None:
    from graphkeras.ir.graph import Loc

    b = Builder("g")
    x, w = b.input(TensorType((N, 600)), "x"), b.input(TensorType((600, 600)), "w")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    with b.at(Loc("net.py", 7, "model/dense")):
        y = b.emit("dot_general", x, w, **attrs)
    halves = optimize_halves(b.build([y]), [1])
    (kernel,) = halves.prepare[-1].after.nodes
    assert (kernel.loc.layer, kernel.loc.line) == ("model/dense", 7)
    assert halves.prepare[-1].after.output_names == ("model/dense/panels",)
    assert [record.name for record in halves.main][-4:] == [
        "split_reductions",
        "fuse",
        "prepack",
        "schedule",
    ]
