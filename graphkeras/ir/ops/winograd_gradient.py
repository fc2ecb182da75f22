"""The gradient of a 3x3 kernel with 16 instead of 36 products for each 2x2 results: F(3x3, 2x2).

It is the gradient of the formulas of a Winograd convolution (`ir.ops.winograd`) for its kernel g,
where d is a patch of 4x4 pixels and y the gradient of the 2x2 results that are made from it::

    dU = sum over patches of  (A y A^T) * (B^T d B)          dg = G^T dU G

`*` multiplies element by element; for all channels and filters each of the 16 elements of dU is a
matrix product of its own, channels x patches times patches x filters. The matrices are those of the
convolution. Where the results have an odd number of lines or columns, a line or column of zeros is
added to y.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphkeras.ir.graph import Node
from graphkeras.ir.op import Array, Attr, Attrs, Contraction, Kind, Op, Sample, Sizes, register
from graphkeras.ir.ops.common import fail, normal
from graphkeras.ir.ops.conv import kernel_grad_contraction, kernel_grad_geometry
from graphkeras.ir.ops.conv_geometry import Geometry, float_pair, plain_attrs
from graphkeras.ir.ops.slice_pad import pad_array
from graphkeras.ir.ops.winograd import GATHER, SPREAD, TRANSFORM, no_gradient
from graphkeras.ir.types import TensorType

OP = "winograd_kernel_grad"


def _geometry(types: Sequence[TensorType], attrs: Attrs) -> Geometry:
    x, dy = float_pair(OP, types)
    if x.rank != 4 or dy.rank != 4:
        fail(OP, f"expected x [N,H,W,C] and a cotangent [N,H',W',O], received {x} and {dy}")
    plain = plain_attrs(2, attrs["padding"])
    return kernel_grad_geometry(OP, types, {"kernel_size": (3, 3), **plain})


def _infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    g = _geometry(types, attrs)
    return (types[0].with_shape((3, 3, g.channels, g.filters)),)


def _reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, dy = arrays
    g = _geometry([TensorType(a.shape, str(a.dtype)) for a in arrays], attrs)
    more = [size % 2 for size in g.y]
    low = [0, *(low for low, _ in g.padding), 0]
    high = [0, *(high + one for (_, high), one in zip(g.padding, more, strict=True)), 0]
    padded = pad_array(x, 0, low, high, [0, 0, 0, 0])
    d = sliding_window_view(padded, (4, 4), (1, 2))[:, ::2, ::2]
    whole = pad_array(dy, 0, [0, 0, 0, 0], [0, *more, 0], [0, 0, 0, 0])
    y = sliding_window_view(whole, (2, 2), (1, 2))[:, ::2, ::2]
    spread, gather, turn = (np.array(each, x.dtype) for each in (SPREAD, GATHER, TRANSFORM))
    with np.errstate(all="ignore"):
        v = (spread @ d @ spread.T).transpose(4, 5, 3, 0, 1, 2).reshape(4, 4, g.channels, -1)
        m = (gather.T @ y @ gather).transpose(4, 5, 0, 1, 2, 3).reshape(4, 4, -1, g.filters)
        du = (v @ m).transpose(2, 3, 0, 1)
        dw = turn.T @ du @ turn
    return (np.ascontiguousarray(dw.transpose(2, 3, 0, 1)),)


def _contraction(node: Node) -> Contraction:
    g = _geometry([v.type for v in node.inputs], node.attrs)
    return replace(kernel_grad_contraction(g, node.inputs[0].type.shape[0]), transformed="sums")


def _sample(
    label: str,
    x: tuple[int, ...],
    y: tuple[int, ...],
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
) -> Sample:
    attrs, symbolic = {"padding": padding}, {0: {0: "N"}, 1: {0: "N"}}
    return Sample(normal(x, (x[0], *y)), attrs, symbolic, differentiable=False, label=label)


register(
    Op(
        OP,
        Kind.CONTRACT,
        "`conv_kernel_grad` of x [N,H,W,C] and cotangent [N,H',W',O] for a 3x3 kernel: [3,3,C,O].",
        _infer,
        _reference,
        attrs=(Attr("padding", tuple),),
        gradient=no_gradient,
        contraction=_contraction,
        samples=(
            _sample("valid", (2, 6, 8, 3), (4, 6, 5)),
            _sample("odd", (2, 7, 5, 4), (7, 5, 33), ((1, 1), (1, 1))),
            _sample("one result", (1, 3, 3, 2), (1, 1, 1)),
            _sample("cropped", (2, 9, 8, 20), (8, 5, 6), ((-1, 2), (0, -1))),
        ),
    )
)
