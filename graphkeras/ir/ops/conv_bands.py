"""`conv_kernel_grads`: gradients of a `conv` for its kernel, one from each band of an image.

`passes/split_reductions.py` puts them in the place of a `conv_kernel_grad`, and a sum behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.ir.graph import Node
from graphkeras.ir.op import Array, Attr, Attrs, Contraction, Kind, Op, Sizes, register
from graphkeras.ir.ops.common import fail
from graphkeras.ir.ops.conv import (
    ATTRS,
    CASES,
    Case,
    concrete_types,
    kernel_grad_contraction,
    kernel_grad_geometry,
    kernel_grad_reference,
)
from graphkeras.ir.types import TensorType


def _kernel_grads_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    g = kernel_grad_geometry("conv_kernel_grads", types, attrs)
    bands = attrs["bands"]
    if bands < 1 or g.y[0] % bands:
        fail("conv_kernel_grads", f"{bands} bands do not divide the {g.y[0]} lines of {types[1]}")
    shape = (types[0].shape[0], bands, *g.kernel, g.channels // g.groups, g.filters)
    return (types[0].with_shape(shape),)


def _kernel_grads_reference(
    arrays: Sequence[Array], attrs: Attrs, sizes: Sizes
) -> tuple[Array, ...]:
    x, dy = arrays
    (type_,) = _kernel_grads_infer(concrete_types(arrays), attrs)
    found = np.empty([*map(int, type_.concrete({}))], x.dtype)
    for i, band in np.ndindex(found.shape[:2]):
        lines = dy.shape[1] // attrs["bands"]
        part = slice(band * lines, (band + 1) * lines)
        alone = np.zeros_like(dy[i : i + 1])
        alone[:, part] = dy[i, part]
        (found[i, band],) = kernel_grad_reference((x[i : i + 1], alone), attrs, sizes)
    return (found,)


def _kernel_grads_contraction(node: Node) -> Contraction:
    g = kernel_grad_geometry(node.op, [v.type for v in node.inputs], node.attrs)
    return kernel_grad_contraction(g, node.inputs[0].type.shape[0], node.attrs["bands"])


_IN_BANDS = Case("bands", (2, 6, 5, 3), (3, 3, 1, 3), padding=((1, 1), (1, 1)), groups=3)

register(
    Op(
        "conv_kernel_grads",
        Kind.CONTRACT,
        "Gradients of `conv` for its kernel, one from each band of lines of an image: "
        "[N,bands,*K,C/groups,O].",
        _kernel_grads_infer,
        _kernel_grads_reference,
        attrs=(Attr("kernel_size", tuple), *ATTRS, Attr("bands", int, 1)),
        contraction=_kernel_grads_contraction,
        samples=(
            *(case.kernel_grad() for case in CASES),
            Case(
                "bands", (2, 6, 5, 3), (3, 3, 1, 3), padding=((1, 1), (1, 1)), groups=3
            ).kernel_grad(bands=3),
        ),
    )
)
