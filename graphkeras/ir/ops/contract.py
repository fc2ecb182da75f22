"""The general matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Array, Attr, Attrs, Contraction, Kind, Op, Sample, Sizes, register
from graphkeras.ir.ops.common import (
    expect_axes,
    expect_count,
    expect_dtype,
    expect_same_dtype,
    fail,
    integers,
    normal,
    transposed,
)
from graphkeras.ir.scalar import Expr
from graphkeras.ir.types import TensorType

_ATTRS = ("lhs_batch", "rhs_batch", "lhs_contract", "rhs_contract")


def _free(rank: int, *used: Sequence[int]) -> list[int]:
    """The dims of an operand in none of the lists, in order."""
    return [d for d in range(rank) if not any(d in dims for dims in used)]


def _infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("dot_general", types, 2)
    a, b = types
    expect_dtype("dot_general", a, "number")
    expect_same_dtype("dot_general", types)
    lhs_batch, rhs_batch, lhs_contract, rhs_contract = (attrs[name] for name in _ATTRS)
    expect_axes("dot_general", (*lhs_batch, *lhs_contract), a.rank, "left dim")
    expect_axes("dot_general", (*rhs_batch, *rhs_contract), b.rank, "right dim")
    for what, left, right in (
        ("batch", lhs_batch, rhs_batch),
        ("contracted", lhs_contract, rhs_contract),
    ):
        if len(left) != len(right):
            fail("dot_general", f"{what} dims {left} and {right} differ in number")
        for i, j in zip(left, right, strict=True):
            if a.shape[i] != b.shape[j]:
                fail(
                    "dot_general",
                    f"{what} dims must be equal: dim {i} of {a} is {a.shape[i]}, "
                    f"dim {j} of {b} is {b.shape[j]}",
                )
    shape = [a.shape[d] for d in lhs_batch]
    shape += [a.shape[d] for d in _free(a.rank, lhs_batch, lhs_contract)]
    shape += [b.shape[d] for d in _free(b.rank, rhs_batch, rhs_contract)]
    return (a.with_shape(tuple(shape)),)


def _reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    a, b = arrays
    lhs_batch, rhs_batch, lhs_contract, rhs_contract = (list(attrs[name]) for name in _ATTRS)
    lhs_free = _free(a.ndim, lhs_batch, lhs_contract)
    rhs_free = _free(b.ndim, rhs_batch, rhs_contract)
    batch = [a.shape[d] for d in lhs_batch]
    rows, columns = [a.shape[d] for d in lhs_free], [b.shape[d] for d in rhs_free]
    depth = int(np.prod([a.shape[d] for d in lhs_contract], dtype=np.int64))
    flat = [int(np.prod(dims, dtype=np.int64)) for dims in (batch, rows, columns)]
    left = a.transpose(lhs_batch + lhs_free + lhs_contract).reshape(flat[0], flat[1], depth)
    right = b.transpose(rhs_batch + rhs_contract + rhs_free).reshape(flat[0], depth, flat[2])
    with np.errstate(all="ignore"):
        result = np.matmul(left, right)
    return (result.reshape(batch + rows + columns),)


def _operand_gradient(b: Builder, dy: Value, node: Node, left: bool) -> Value:
    """Dy times the other operand, contracted over the other's free dims."""
    own, other = (0, 1) if left else (1, 0)
    batch = (node.attrs["lhs_batch"], node.attrs["rhs_batch"])
    contract = (node.attrs["lhs_contract"], node.attrs["rhs_contract"])
    ranks = [v.type.rank for v in node.inputs]
    free = [_free(ranks[i], batch[i], contract[i]) for i in (0, 1)]
    count = len(batch[0])
    first = count + (len(free[0]) if left else 0)
    product = b.emit(
        "dot_general",
        dy,
        node.inputs[other],
        lhs_batch=tuple(range(count)),
        rhs_batch=batch[other],
        lhs_contract=tuple(range(first, first + len(free[other]))),
        rhs_contract=tuple(free[other]),
    )
    pairs = sorted(zip(contract[other], contract[own], strict=True))
    order = [*batch[own], *free[own], *(mine for _, mine in pairs)]
    return transposed(b, product, [order.index(d) for d in range(ranks[own])])


def _gradient(b: Builder, node: Node, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
    (dy,) = cotangents
    if dy is None or not dy.type.is_float:
        return (None, None)
    return _operand_gradient(b, dy, node, True), _operand_gradient(b, dy, node, False)


def _placed(rank: int, groups: Sequence[tuple[Sequence[int], Sequence[Expr]]]) -> list[Expr]:
    """An operand's position from positions in groups of its dims."""
    where = {d: e for dims, exprs in groups for d, e in zip(dims, exprs, strict=True)}
    return [where[d] for d in range(rank)]


def _contraction(node: Node) -> Contraction:
    a, b = (v.type for v in node.inputs)
    lhs_batch, rhs_batch, lhs_contract, rhs_contract = (node.attrs[name] for name in _ATTRS)
    lhs_free = _free(a.rank, lhs_batch, lhs_contract)
    rhs_free = _free(b.rank, rhs_batch, rhs_contract)
    return Contraction(
        batch=tuple(a.shape[d] for d in lhs_batch),
        m=tuple(a.shape[d] for d in lhs_free),
        n=tuple(b.shape[d] for d in rhs_free),
        k=tuple(a.shape[d] for d in lhs_contract),
        lhs=lambda i, m, k: (
            _placed(a.rank, [(lhs_batch, i), (lhs_free, m), (lhs_contract, k)]),
            [],
        ),
        rhs=lambda i, k, n: (
            _placed(b.rank, [(rhs_batch, i), (rhs_contract, k), (rhs_free, n)]),
            [],
        ),
        out=lambda i, m, n: [*i, *m, *n],
    )


def _dims(
    contract: tuple[tuple[int, ...], tuple[int, ...]],
    batch: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
) -> dict[str, tuple[int, ...]]:
    return dict(zip(_ATTRS, (*batch, *contract), strict=True))


register(
    Op(
        "dot_general",
        Kind.CONTRACT,
        "Products summed over the contracted dims; batch dims, left and right free dims remain.",
        _infer,
        _reference,
        attrs=tuple(Attr(name, tuple) for name in _ATTRS),
        gradient=_gradient,
        contraction=_contraction,
        samples=(
            Sample(normal((5, 3), (3, 4)), _dims(((1,), (0,))), {0: {0: "N"}}, label="dense"),
            Sample(
                normal((5, 3), (5, 4)),
                _dims(((0,), (0,))),
                {0: {0: "N"}, 1: {0: "N"}},
                label="over the batch",
            ),
            Sample(normal((5, 3), (4, 3)), _dims(((1,), (1,))), {0: {0: "N"}}, label="transposed"),
            Sample(
                normal((2, 3, 4), (2, 4, 5)),
                _dims(((2,), (1,)), ((0,), (0,))),
                {0: {0: "N"}, 1: {0: "N"}},
                label="batched",
            ),
            Sample(
                normal((2, 5, 3, 4), (3, 2, 6, 4)),
                _dims(((3,), (3,)), ((0, 2), (1, 0))),
                label="attention",
            ),
            Sample(normal((3, 4, 5), (5, 4, 2)), _dims(((1, 2), (1, 0))), label="two contracted"),
            Sample(normal((5, 4, 3), (3, 2)), _dims(((2,), (0,))), {0: {0: "N"}}, label="3D dense"),
            Sample(normal((4,), (4,)), _dims(((0,), (0,))), label="inner"),
            Sample(normal((4,), (3,)), _dims(((), ())), label="outer"),
            Sample(normal((3, 4), (3, 4)), _dims(((), ()), ((0, 1), (0, 1))), label="only batch"),
            Sample(normal((33, 37), (37, 41)), _dims(((1,), (0,))), label="odd tiles"),
            Sample(normal((1, 1), (1, 1)), _dims(((1,), (0,))), label="ones"),
            Sample(
                integers("int32", -9, 9, (3, 4), (4, 5)),
                _dims(((1,), (0,))),
                differentiable=False,
                label="int32",
            ),
        ),
    )
)
