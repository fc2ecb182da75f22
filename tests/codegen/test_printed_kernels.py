"""Generated source as text, one kernel a pattern: `golden/*.txt`.

A change of code generation shows here as a difference to read. With `GRAPHKERAS_UPDATE_GOLDEN=1`
in the environment the files are written anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphkeras import config
from graphkeras.codegen.generate import generate
from graphkeras.compiler import optimize
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.dims import Dim

GOLDEN = Path(__file__).parent / "golden"
N = Size.symbol("N")


def inputs(*shapes: tuple[Dim, ...]) -> tuple[Builder, list[Value]]:
    b = Builder("g")
    return b, [b.input(TensorType(shape), f"in{i}") for i, shape in enumerate(shapes)]


def spread(b: Builder, value: Value, shape: tuple[Dim, ...], *dims: int) -> Value:
    return b.emit("broadcast", value, shape=shape, dims=dims)


def loop() -> Graph:
    b, (x, y) = inputs((N, 4), (N, 4))
    return b.build([b.emit("add", b.emit("exp", x), y)])


def loop_of_rows() -> Graph:
    b, (x, bias) = inputs((N, 4), (4,))
    return b.build([b.emit("add", x, spread(b, bias, (N, 4), 1))])


def loop_in_place() -> Graph:
    b, (w, g, rate) = inputs((5, 3), (5, 3), ())
    step = b.emit("mul", g, spread(b, rate, (5, 3)))
    return b.build([b.emit("sub", w, step)], {0: 0})


def rows() -> Graph:
    b, (x,) = inputs((N, 10))
    top = spread(b, b.emit("reduce_max", x, axes=(1,)), (N, 10), 0)
    e = b.emit("exp", b.emit("sub", x, top))
    return b.build([b.emit("div", e, spread(b, b.emit("reduce_sum", e, axes=(1,)), (N, 10), 0))])


def reduce_columns() -> Graph:
    b, (x,) = inputs((N, 6))
    return b.build([b.emit("sqrt", b.emit("reduce_sum", b.emit("mul", x, x), axes=(0,)))])


def reduce_windows() -> Graph:
    b, (x,) = inputs((N, 7, 3))
    padding = ((0, 0), (1, 1), (0, 0))
    pool = {"window": (1, 3, 1), "strides": (1, 2, 1), "padding": padding}
    return b.build([b.emit("window_max", x, **pool)])


def contract() -> Graph:
    b, (x, w, bias) = inputs((N, 20), (20, 12), (12,))
    y = dot(b, x, w, 1, 0)
    y = b.emit("add", y, spread(b, bias, (N, 12), 1))
    return b.build([b.emit("max", y, spread(b, b.constant(0.0, "float32"), (N, 12)))])


def contract_in_blocks() -> Graph:
    b, (x, dy, w) = inputs((N, 20), (N, 12), (20, 12))
    return b.build([b.emit("sub", w, dot(b, x, dy, 0, 0))], {0: 2})


def contract_convolution() -> Graph:
    b, (x, w) = inputs((N, 8, 3), (3, 3, 4))
    one: dict[str, Any] = {"strides": (1,), "lhs_dilation": (1,), "rhs_dilation": (1,)}
    return b.build([b.emit("conv", x, w, padding=((1, 1),), groups=1, **one)])


def opaque() -> Graph:
    b, (x,) = inputs((N, 5))
    return b.build([b.emit("cumsum", x, axis=1, reverse=False)])


def dot(b: Builder, x: Value, y: Value, lhs: int, rhs: int) -> Value:
    attrs: dict[str, Any] = {"lhs_batch": (), "rhs_batch": ()}
    return b.emit("dot_general", x, y, lhs_contract=(lhs,), rhs_contract=(rhs,), **attrs)


KERNELS = (
    loop,
    loop_of_rows,
    loop_in_place,
    rows,
    reduce_columns,
    reduce_windows,
    contract,
    contract_in_blocks,
    contract_convolution,
    opaque,
)


def printed(build: Callable[[], Graph]) -> str:
    with config.override(cpu="avx2"):
        program = generate(optimize(build()).records[-1].after)
    (launch,) = program.launches
    comment = "".join(f"# {line}\n" for line in launch.kernel.comment.splitlines())
    return f"{comment}# arguments: {launch.arguments}\n{launch.kernel.text}"


@pytest.mark.parametrize("build", KERNELS, ids=lambda build: build.__name__)
def test_printed_kernel(build: Callable[[], Graph]) -> None:
    path = GOLDEN / f"{build.__name__}.txt"
    text = printed(build)
    if os.environ.get("GRAPHKERAS_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("build", KERNELS, ids=lambda build: build.__name__)
def test_printing_is_deterministic(build: Callable[[], Graph]) -> None:
    assert printed(build) == printed(build)


def test_a_kernel_does_not_depend_on_where_it_stands() -> None:
    """Two layers of one shape are one kernel: neither names nor places are in the text."""
    b, (x, w) = inputs((N, 20), (20, 20))
    graph = b.build([dot(b, b.emit("tanh", dot(b, x, w, 1, 0)), w, 1, 0)])
    launches = generate(optimize(graph).records[-1].after).launches
    assert len(launches) == 2
    other, (y, v) = inputs((N, 20), (20, 20))
    alone = generate(optimize(other.build([dot(other, y, v, 1, 0)])).records[-1].after)
    assert launches[1].kernel.text == alone.launches[0].kernel.text
