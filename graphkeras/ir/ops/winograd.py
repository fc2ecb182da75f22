"""Convolution by a 3x3 kernel with 16 instead of 36 products for each 2x2 results: F(2x2, 3x3).

With d a patch of 4x4 pixels and g the kernel, both in one channel, the four results are

    Y = A^T [U * (B^T d B)] A    with    U = G g G^T

            1  0 -1  0              1    0    0             1  1  1  0
    B^T =   0  1  1  0        G =  1/2  1/2  1/2     A^T =  0  1 -1 -1
            0 -1  1  0             1/2 -1/2  1/2
            0  1  0 -1              0    0    1

`*` multiplies element by element. Summed over channels each of the 16 elements is a matrix product
of its own, patches x channels times channels x filters. U depends on the kernel alone and has an op
of its own, `winograd_kernel`. It lies in panels of filters, so that a panel of one place is a small
matrix by itself: `[16, panels, channels, filters of a panel]`.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Contraction,
    Kind,
    Loops,
    Op,
    Sample,
    Sizes,
    register,
)
from graphkeras.ir.ops.common import (
    expect_count,
    expect_dtype,
    fail,
    normal,
    static,
)
from graphkeras.ir.ops.conv import conv_contraction
from graphkeras.ir.ops.conv_geometry import Geometry, float_pair, geometry, plain_attrs
from graphkeras.ir.ops.slice_pad import pad_array
from graphkeras.ir.scalar import Const, Expr
from graphkeras.ir.types import TensorType

OP = "winograd_conv"
KERNEL_OP = "winograd_kernel"
SPREAD = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""B^T."""
TRANSFORM = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
"""G."""
GATHER = ((1, 1, 1, 0), (0, 1, -1, -1))
"""A^T."""


def _geometry(types: Sequence[TensorType], attrs: Attrs) -> Geometry:
    x, u = float_pair(OP, types)
    if x.rank != 4 or u.rank != 4:
        fail(OP, f"expected x [N,H,W,C] and a transformed kernel of 4 dims, received {x} and {u}")
    places, panels, channels, width = (static(OP, d, "every dim of the kernel") for d in u.shape)
    if places != 16 or channels != x.shape[-1]:
        fail(OP, f"the transformed kernel for {x} must be [16,P,{x.shape[-1]},O/P], received {u}")
    return geometry(OP, x, (3, 3), panels * width, plain_attrs(2, attrs["padding"]))


def _infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    return (_geometry(types, attrs).result(types[0]),)


def _reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, u = arrays
    g = _geometry([TensorType(a.shape, str(a.dtype)) for a in arrays], attrs)
    # A patch at the end of an odd line reads one pixel more than the convolution does.
    padding = [(low, high + size % 2) for (low, high), size in zip(g.padding, g.y, strict=True)]
    low, high = ([0, *(pair[i] for pair in padding), 0] for i in (0, 1))
    padded = pad_array(x, 0, low, high, [0, 0, 0, 0])
    d = sliding_window_view(padded, (4, 4), (1, 2))[:, ::2, ::2]
    spread, gather = (np.array(each, x.dtype) for each in (SPREAD, GATHER))
    with np.errstate(all="ignore"):
        v = spread @ d @ spread.T
        flat = v.transpose(4, 5, 0, 1, 2, 3).reshape(16, -1, g.channels)
        kernel = u.transpose(0, 2, 1, 3).reshape(16, g.channels, g.filters)
        m = (flat @ kernel).reshape(4, 4, *v.shape[:3], g.filters)
        y = gather @ m.transpose(2, 3, 4, 5, 0, 1) @ gather.T
    n, rows, columns = y.shape[:3]
    whole = y.transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * rows, 2 * columns, g.filters)
    return (np.ascontiguousarray(whole[:, : g.y[0], : g.y[1]]),)


def no_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """The gradient rule of ops that passes make."""
    if cotangents != [None]:
        fail(node.op, "has no gradient: a pass makes it of a `conv` whose gradients exist already")
    return [None] * len(node.inputs)


def _contraction(node: Node) -> Contraction:
    g = _geometry([v.type for v in node.inputs], node.attrs)
    width = node.inputs[1].type.shape[3]
    assert isinstance(width, int)

    def rhs(
        i: Sequence[Expr], k: Sequence[Expr], n: Sequence[Expr]
    ) -> tuple[list[Expr], list[Expr]]:
        place, _, channel = k
        return [place, n[0] // width, channel, n[0] % width], []

    rule = conv_contraction(g, node.inputs[0].type.shape[0])
    return replace(rule, rhs=rhs, transformed="kernel")


# the kernel


def _kernel_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    expect_count(KERNEL_OP, types, 1)
    (w,) = types
    expect_dtype(KERNEL_OP, w, "float")
    if w.rank != 4 or w.shape[:2] != (3, 3):
        fail(KERNEL_OP, f"expected a kernel [3,3,C,O], received {w}")
    channels, filters = (static(KERNEL_OP, d, "every dim of the kernel") for d in w.shape[2:])
    if attrs["turned"]:
        channels, filters = filters, channels
    if attrs["panel"] < 1 or filters % attrs["panel"]:
        fail(KERNEL_OP, f"{filters} filters do not split into panels of {attrs['panel']}")
    return (w.with_shape((16, filters // attrs["panel"], channels, attrs["panel"])),)


def _kernel_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    (w,) = arrays
    if attrs["turned"]:
        w = w[::-1, ::-1].swapaxes(2, 3)
    channels, filters = w.shape[2:]
    g = np.array(TRANSFORM, w.dtype)
    with np.errstate(all="ignore"):
        u = (g @ w.transpose(2, 3, 0, 1) @ g.T).transpose(2, 3, 0, 1)
    panels = u.reshape(16, channels, filters // attrs["panel"], attrs["panel"])
    return (np.ascontiguousarray(panels.transpose(0, 2, 1, 3)),)


def _kernel_loops(k: Loops, node: Node) -> None:
    """A line of filters of a panel at a time: 9 lines are read, 16 written."""
    w = node.inputs[0].type
    channels, filters = (static(KERNEL_OP, d, "every dim of the kernel") for d in w.shape[2:])
    pairs, panel, turned = channels * filters, node.attrs["panel"], node.attrs["turned"]

    def transformed(g: Sequence[Expr]) -> list[Expr]:
        half = Const(w.dtype, 0.5)
        outer = k.apply("({0} + {1})", g[0], g[2], dtype=w.dtype)
        sums = [
            k.apply(f"(({{0}} {sign} {{1}}) * {{2}})", outer, g[1], half, dtype=w.dtype)
            for sign in "+-"
        ]
        return [g[0], *sums, g[2]]

    with k.parallel(pairs // panel, "line") as line:
        inner = filters if turned else channels
        first, channel = k.let("first", line // inner * panel), k.let("channel", line % inner)
        with k.loop(0, panel, "j") as j:
            at = (first + j) * filters + channel if turned else channel * filters + first + j
            taps = [k.load(0, at + i * pairs) for i in range(9)]
            if turned:
                taps.reverse()
            rows = [transformed(taps[3 * i : 3 * i + 3]) for i in range(3)]
            for column in range(4):
                for i, element in enumerate(transformed([row[column] for row in rows])):
                    k.store(0, line * panel + j + (i * 4 + column) * pairs, element)


# table


def _sample(
    label: str,
    x: tuple[int, ...],
    panels: int,
    width: int,
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
) -> Sample:
    kernel = (16, panels, x[-1], width)
    attrs, symbolic = {"padding": padding}, {0: {0: "N"}}
    return Sample(normal(x, kernel), attrs, symbolic, differentiable=False, label=label)


register(
    Op(
        OP,
        Kind.CONTRACT,
        "`conv` of x [N,H,W,C] with a 3x3 kernel given as U [16,P,C,O/P]: [N,H',W',O].",
        _infer,
        _reference,
        attrs=(Attr("padding", tuple),),
        gradient=no_gradient,
        contraction=_contraction,
        samples=(
            _sample("valid", (2, 6, 8, 3), 1, 5),
            _sample("odd", (2, 7, 5, 4), 2, 16, ((1, 1), (1, 1))),
            _sample("one result", (1, 3, 3, 2), 1, 1),
            _sample("cropped", (2, 9, 8, 20), 1, 6, ((-1, 2), (0, -1))),
        ),
    )
)
register(
    Op(
        KERNEL_OP,
        Kind.OPAQUE,
        "Kernel [3,3,C,O] as `winograd_conv` reads it; `turned` in space, with C and O swapped.",
        _kernel_infer,
        _kernel_reference,
        attrs=(Attr("panel", int), Attr("turned", bool, False)),
        gradient=no_gradient,
        loops=_kernel_loops,
        samples=tuple(
            Sample(
                normal((3, 3, *shape)),
                {"panel": panel, "turned": turned},
                differentiable=False,
                label=label,
            )
            for label, shape, panel, turned in (
                ("one panel", (3, 5), 5, False),
                ("panels", (4, 32), 16, False),
                ("turned", (6, 5), 3, True),
            )
        ),
    )
)
