"""Buffers in one place have one name, because compilers may take names for disjoint memory."""

from __future__ import annotations

import numpy as np

from graphkeras.codegen.generate import generate
from graphkeras.ir import Builder, Graph, TensorType
from graphkeras.runtime import Executable

KIND = TensorType((1000,))


def twice_the_same_operand() -> Graph:
    """`w = w * w + x`, where the kernel is given `w` twice."""
    body = Builder("square")
    a, b, x = (body.input(KIND, name) for name in "abx")
    inner = body.build([body.emit("add", body.emit("mul", a, b), x)])
    outer = Builder("g")
    w, y = outer.input(KIND, "w"), outer.input(KIND, "y")
    done = outer.fused(inner, [w, w, y], pattern="loop", rows=0, space=(1000,))
    return outer.build(done, {0: 0})


def test_operands_and_a_result_in_one_place_have_one_name():
    (launch,) = generate(twice_the_same_operand()).launches
    assert len(launch.arguments) == 2
    assert "x1" not in launch.kernel.text
    assert "x0[i0] = " in launch.kernel.text


def test_a_result_over_an_operand_that_is_read_twice():
    w, y = np.linspace(0, 3, 1000, dtype=np.float32), np.ones(1000, np.float32)
    expected = w * w + y
    Executable(generate(twice_the_same_operand()))([w, y])
    np.testing.assert_array_equal(w, expected)
