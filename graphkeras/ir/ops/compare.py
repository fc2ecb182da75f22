"""Elementwise comparisons, and the choice between two tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Array, Attrs, Kind, Op, Sample, Sizes, register
from graphkeras.ir.ops.binary import binary_infer, binary_reference
from graphkeras.ir.ops.common import (
    booleans,
    expect_count,
    expect_dtype,
    expect_same_dtype,
    expect_same_shape,
    filled_like,
    given,
    integers,
    normal,
    together,
)
from graphkeras.ir.types import TensorType

_NANS = [np.nan, 1, np.nan, np.inf, 0, -np.inf, 1, 2], [1, np.nan, np.nan, 1, -0.0, -1, 1, 1]

for _name, _sign, _compute, _group, _commutative in (
    ("eq", "==", np.equal, "any", True),
    ("ne", "!=", np.not_equal, "any", True),
    ("lt", "<", np.less, "number", False),
    ("le", "<=", np.less_equal, "number", False),
    ("gt", ">", np.greater, "number", False),
    ("ge", ">=", np.greater_equal, "number", False),
):
    register(
        Op(
            _name,
            Kind.ELEMENTWISE,
            f"x {_sign} y as bool; NaN differs from everything and is in no order.",
            binary_infer(_name, _group, "bool"),
            binary_reference(_compute),
            scalar=f"({{0}} {_sign} {{1}})",
            commutative=_commutative,
            samples=(
                Sample(normal((3, 4), (3, 4)), symbolic={0: {0: "N"}, 1: {0: "N"}}),
                Sample(given(*_NANS), label="special values"),
                Sample(integers("int32", -2, 2, (9,), (9,)), label="int32"),
                Sample(integers("uint32", 2**32 - 3, 2**32, (9,), (9,)), label="uint32"),
                *([Sample(booleans((9,), (9,)), label="bool")] if _group == "any" else []),
            ),
        )
    )


def _select_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("select", types, 3)
    expect_dtype("select", types[0], "bool", "condition")
    expect_same_dtype("select", types[1:])
    expect_same_shape("select", types)
    return (types[1],)


def _select_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    condition, a, b = arrays
    return (np.where(condition, a, b),)


def _select_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    condition = node.inputs[0]
    if dy is None or not node.result.type.is_float:
        return (None, None, None)
    zero = filled_like(b, dy, 0)
    return (
        None,
        b.emit("select", condition, dy, zero),
        b.emit("select", condition, zero, dy),
    )


register(
    Op(
        "select",
        Kind.ELEMENTWISE,
        "x where the condition holds, else y; no gradient leaks from the other side.",
        _select_infer,
        _select_reference,
        gradient=_select_gradient,
        scalar="({1} if {0} else {2})",
        samples=(
            Sample(
                together(booleans((3, 4)), normal((3, 4), (3, 4))),
                symbolic={0: {0: "N"}, 1: {0: "N"}, 2: {0: "N"}},
            ),
            Sample(
                together(booleans((5,)), integers("int64", -9, 9, (5,), (5,))),
                differentiable=False,
                label="int64",
            ),
            Sample(booleans((5,), (5,), (5,)), differentiable=False, label="bool"),
        ),
    )
)
