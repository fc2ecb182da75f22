"""Where a contraction's sums go: straight to the result where nothing follows, else to a strip."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Size, TensorType
from graphkeras.ir.graph import Value

N = Size.symbol("N")
CONV = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "groups": 1}


def product(b: Builder) -> Value:
    x, w = b.input(TensorType((N, 100)), "x"), b.input(TensorType((100, 96)), "w")
    dims = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    return b.emit("dot_general", x, w, **dims)


def kernel_gradient(b: Builder, pad: int) -> Value:
    x = b.input(TensorType((N, 14, 14, 32)), "x")
    side = 10 + 2 * pad
    dy = b.input(TensorType((N, side, side, 96)), "dy")
    padding = ((pad, pad), (pad, pad))
    return b.emit("conv_kernel_grad", x, dy, kernel_size=(5, 5), padding=padding, **CONV)


def dilated(b: Builder) -> Value:
    x, w = b.input(TensorType((N, 9, 9, 32)), "x"), b.input(TensorType((3, 3, 32, 48)), "w")
    attrs = {**CONV, "lhs_dilation": (2, 2)}
    return b.emit("conv", x, w, padding=((1, 1), (1, 1)), **attrs)


def text_of(build: Callable[[Builder], Value]) -> str:
    b = Builder("result")
    (launch,) = compile_graph(b.build([build(b)])).program.launches
    return launch.kernel.text


def sums(text: str) -> set[str]:
    """The memory that tiles write to."""
    calls = re.findall(r"^ +(?:tile|copying)_\w+\((.*)\)$", text, re.MULTILINE)
    return {re.findall(r"\b((?:x|y|a|b|c|view)\d+),", call)[2] for call in calls}


@pytest.mark.parametrize(
    ("build", "in_memory"),
    [
        (product, True),
        (lambda b: kernel_gradient(b, 0), True),
        # Something follows.
        (lambda b: b.emit("tanh", product(b)), False),
        # Taps at the border leave positions out, and tiles chunks.
        (lambda b: kernel_gradient(b, 1), False),
        # Rows of a phase lie two pixels apart, and more from line to line.
        (dilated, False),
    ],
    ids=["product", "gradient", "tanh", "padded gradient", "phases"],
)
def test_where_sums_go(build: Callable[[Builder], Value], in_memory: bool) -> None:
    found = sums(text_of(build))
    assert {name[0] for name in found} == ({"y"} if in_memory else {"c"})


@pytest.mark.parametrize("size", [1, 5, 33, 70])
def test_nothing_is_written_behind_columns_of_a_run_time_number(size: int) -> None:
    n = Size.symbol("N")
    b = Builder("product")
    x, y = b.input(TensorType((7, 40)), "x"), b.input(TensorType((40, n)), "y")
    attrs = {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)}
    executable = compile_graph(b.build([b.emit("dot_general", x, y, **attrs)]))
    memory = np.full(7 * size + 64, 77, np.float32)
    arrays = [np.ones((7, 40), np.float32), np.ones((40, size), np.float32)]
    executable.write(arrays, [memory[: 7 * size].reshape(7, size)])
    assert (memory[: 7 * size] == 40).all()
    assert (memory[7 * size :] == 77).all()


def test_an_outer_product_has_no_loop() -> None:
    b = Builder("product")
    x, y = b.input(TensorType((5,)), "x"), b.input(TensorType((40,)), "y")
    none: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("lhs_batch", "rhs_batch", "lhs_contract", "rhs_contract"), ()
    )
    arrays = [np.arange(5, dtype=np.float32), np.arange(40, dtype=np.float32)]
    (found,) = compile_graph(b.build([b.emit("dot_general", x, y, **none)]))(arrays)
    np.testing.assert_array_equal(found, np.outer(*arrays))
