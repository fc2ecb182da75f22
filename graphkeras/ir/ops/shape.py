"""Ops that make numbers from nothing or give elements another arrangement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size, concrete, extents
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Elements,
    Index,
    Kind,
    Op,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    expect_axes,
    expect_axis,
    expect_count,
    expect_length,
    fail,
    normal,
    transposed,
)
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import SHORT, TensorType

N = Size.symbol("N")
INDEX_ZERO = as_index(0)


def _nothing(rng: np.random.Generator) -> list[Array]:
    return []


def _check_number_dtype(op: str, dtype: str) -> None:
    if dtype not in SHORT or dtype == "bool":
        fail(op, f"dtype must be a number, received {dtype!r}")


# constant


def _constant_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("constant", types, 0)
    value = attrs["value"]
    return (TensorType(tuple(value.shape), str(value.dtype)),)


def _constant_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (attrs["value"],)


register(
    Op(
        "constant",
        Kind.CONSTANT,
        "A literal tensor.",
        _constant_infer,
        _constant_reference,
        attrs=(Attr("value", np.ndarray),),
        samples=(
            Sample(_nothing, {"value": np.array(2.5, "float32")}),
            Sample(_nothing, {"value": np.arange(6, dtype="int32").reshape(2, 3)}),
            Sample(_nothing, {"value": np.array([True, False])}, label="bool"),
        ),
    )
)

# iota


def _iota_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("iota", types, 0)
    _check_number_dtype("iota", attrs["dtype"])
    expect_axis("iota", attrs["axis"], len(attrs["shape"]))
    return (TensorType(tuple(attrs["shape"]), attrs["dtype"]),)


def _iota_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    shape, axis = extents(attrs["shape"], sizes), attrs["axis"]
    line = np.arange(shape[axis]).astype(attrs["dtype"])
    column = line.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    return (np.broadcast_to(column, shape).copy(),)


def _iota_element(e: Elements, node: Node, index: Index) -> Expr:
    return e.apply("{T}({0})", index[node.attrs["axis"]], dtype=node.result.type.dtype)


register(
    Op(
        "iota",
        Kind.INJECTIVE,
        "Each element's position along an axis.",
        _iota_infer,
        _iota_reference,
        attrs=(Attr("shape", tuple), Attr("axis", int), Attr("dtype", str, "int32")),
        element=_iota_element,
        samples=(
            Sample(_nothing, {"shape": (3, 4), "axis": 1, "dtype": "int32"}),
            Sample(_nothing, {"shape": (3, 1, 2), "axis": 0, "dtype": "float32"}),
        ),
    )
)

# dim


def _dim_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("dim", types, 0)
    _check_number_dtype("dim", attrs["dtype"])
    return (TensorType((), attrs["dtype"]),)


def _dim_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (np.array(concrete((attrs["size"],), sizes)[0]).astype(attrs["dtype"]),)


def _dim_element(e: Elements, node: Node, index: Index) -> Expr:
    return e.apply("{T}({0})", as_index(node.attrs["size"]), dtype=node.result.type.dtype)


register(
    Op(
        "dim",
        Kind.INJECTIVE,
        "A size as a scalar tensor.",
        _dim_infer,
        _dim_reference,
        attrs=(Attr("size", (int, Size)), Attr("dtype", str, "int32")),
        element=_dim_element,
        samples=(Sample(_nothing, {"size": 7, "dtype": "float32"}),),
    )
)

# broadcast


def _broadcast_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("broadcast", types, 1)
    (x,), shape, dims = types, attrs["shape"], attrs["dims"]
    expect_length("broadcast", "dims", dims, x.rank)
    expect_axes("broadcast", dims, len(shape), "result dim")
    if list(dims) != sorted(dims):
        fail("broadcast", f"dims must be increasing, received {dims}; transpose first")
    for d, target in enumerate(dims):
        if x.shape[d] not in (1, shape[target]):
            fail(
                "broadcast",
                f"dimension {d} of {x} is {x.shape[d]}; expected 1 or {shape[target]}, "
                f"the dimension {target} of the result {x.with_shape(tuple(shape))}",
            )
    return (x.with_shape(tuple(shape)),)


def _broadcast_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    shape = extents(attrs["shape"], sizes)
    aligned = [1] * len(shape)
    for d, target in enumerate(attrs["dims"]):
        aligned[target] = arrays[0].shape[d]
    return (np.broadcast_to(arrays[0].reshape(aligned), shape).copy(),)


def _broadcast_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    (x,), shape, dims = node.inputs, node.attrs["shape"], node.attrs["dims"]
    if dy is None:
        return (None,)
    kept = [t for d, t in enumerate(dims) if x.type.shape[d] == shape[t]]
    repeated = tuple(t for t in range(len(shape)) if t not in kept)
    total = b.emit("reduce_sum", dy, axes=repeated) if repeated else dy
    if total.type.shape != x.type.shape:
        total = b.emit("reshape", total, shape=x.type.shape)
    return (total,)


def _broadcast_element(e: Elements, node: Node, index: Index) -> Expr:
    shape, source = node.attrs["shape"], node.inputs[0].type.shape
    position = [
        index[t] if source[d] == shape[t] else INDEX_ZERO for d, t in enumerate(node.attrs["dims"])
    ]
    return e.operand(0, position)


register(
    Op(
        "broadcast",
        Kind.INJECTIVE,
        "Repeats x: its dim i becomes dim dims[i] of `shape`, which is equal or repeats a 1.",
        _broadcast_infer,
        _broadcast_reference,
        attrs=(Attr("shape", tuple), Attr("dims", tuple)),
        gradient=_broadcast_gradient,
        element=_broadcast_element,
        samples=(
            Sample(normal(()), {"shape": (2, 3), "dims": ()}, label="scalar"),
            Sample(normal((3,)), {"shape": (2, 3, 4), "dims": (1,)}),
            Sample(normal((1, 3)), {"shape": (2, 3), "dims": (0, 1)}, label="size 1"),
            Sample(normal((2, 1, 3)), {"shape": (2, 4, 5, 3), "dims": (0, 2, 3)}),
            Sample(
                normal((5, 1)), {"shape": (N, 3), "dims": (0, 1)}, {0: {0: "N"}}, label="symbolic"
            ),
            Sample(normal((1, 1)), {"shape": (1, 4, 1), "dims": (0, 2)}, label="ones"),
        ),
    )
)

# reshape


def _reshape_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("reshape", types, 1)
    result = types[0].with_shape(tuple(attrs["shape"]))
    if result.numel != types[0].numel:
        fail(
            "reshape",
            f"{types[0]} has {types[0].numel} elements, the requested {result} {result.numel}",
        )
    return (result,)


def _reshape_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (arrays[0].reshape(extents(attrs["shape"], sizes)),)


def _reshape_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    return (None if dy is None else b.emit("reshape", dy, shape=node.inputs[0].type.shape),)


register(
    Op(
        "reshape",
        Kind.INJECTIVE,
        "The same elements in row-major order under another shape.",
        _reshape_infer,
        _reshape_reference,
        attrs=(Attr("shape", tuple),),
        gradient=_reshape_gradient,
        element=lambda e, node, index: e.operand(0, index.reshaped(node.inputs[0].type.shape)),
        samples=(
            Sample(normal((2, 6)), {"shape": (3, 4)}),
            Sample(normal((1, 1)), {"shape": ()}, label="to scalar"),
            Sample(normal((5, 2, 3)), {"shape": (N, 6)}, {0: {0: "N"}}, label="flatten"),
            Sample(normal((5, 2, 3)), {"shape": (N * 2, 3)}, {0: {0: "N"}}, label="merge"),
        ),
    )
)

# transpose


def _transpose_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("transpose", types, 1)
    (x,), perm = types, attrs["perm"]
    expect_length("transpose", "perm", perm, x.rank)
    expect_axes("transpose", perm, x.rank)
    return (x.with_shape(tuple(x.shape[p] for p in perm)),)


def _transpose_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (
        np.ascontiguousarray(arrays[0].transpose(attrs["perm"])).reshape(
            [arrays[0].shape[p] for p in attrs["perm"]]
        ),
    )


def _inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(perm.index(d) for d in range(len(perm)))


def _transpose_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    return (None if dy is None else transposed(b, dy, _inverse(node.attrs["perm"])),)


register(
    Op(
        "transpose",
        Kind.INJECTIVE,
        "Dim i of the result is dim perm[i] of x.",
        _transpose_infer,
        _transpose_reference,
        attrs=(Attr("perm", tuple),),
        gradient=_transpose_gradient,
        element=lambda e, node, index: e.operand(
            0, [index[d] for d in _inverse(node.attrs["perm"])]
        ),
        samples=(
            Sample(normal((3, 5)), {"perm": (1, 0)}, {0: {0: "N"}}),
            Sample(normal((2, 3, 4)), {"perm": (2, 0, 1)}, {0: {1: "N"}}),
            Sample(normal((2, 3, 1, 4)), {"perm": (0, 3, 1, 2)}),
        ),
    )
)

# reverse


def _reverse_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count("reverse", types, 1)
    expect_axes("reverse", attrs["axes"], types[0].rank)
    return (types[0],)


def _reverse_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    return (np.flip(arrays[0], attrs["axes"]).copy(),)


def _reverse_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    return (None if dy is None else b.emit("reverse", dy, axes=node.attrs["axes"]),)


def _reverse_element(e: Elements, node: Node, index: Index) -> Expr:
    shape = node.result.type.shape
    position = [
        as_index(shape[d] - 1) - index[d] if d in node.attrs["axes"] else index[d]
        for d in range(len(shape))
    ]
    return e.operand(0, position)


register(
    Op(
        "reverse",
        Kind.INJECTIVE,
        "x with the order along some axes turned around.",
        _reverse_infer,
        _reverse_reference,
        attrs=(Attr("axes", tuple),),
        gradient=_reverse_gradient,
        element=_reverse_element,
        samples=(
            Sample(normal((3, 4)), {"axes": (1,)}, {0: {0: "N"}}),
            Sample(normal((3, 4, 2)), {"axes": (0, 2)}, {0: {0: "N"}}),
        ),
    )
)
