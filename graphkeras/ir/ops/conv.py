"""Convolution and the gradient of its kernel, channels last.

With x dilated by `lhs_dilation` (zeros between elements) and padded, every spatial dim has

    y[o] = sum over k of x[o * stride + k * rhs_dilation - low] * w[k]

so an element of x meets an element of w in the same way in all three products: y from x and w
(`conv`), dw from x and dy (`conv_kernel_grad`), and dx from dy and w, which is a `conv` again
with stride and lhs_dilation swapped and the kernel turned around.

Zeros of the padding and of the dilation stand for elements that are not there: whether they are
multiplied is left to who computes, so what an infinite or NaN weight makes of them (0 * inf is
NaN) is not said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import (
    Array,
    Attr,
    Attrs,
    Contraction,
    Kind,
    Op,
    Sample,
    Sizes,
    View,
    register,
)
from graphkeras.ir.ops.common import (
    fail,
    normal,
    static,
)
from graphkeras.ir.ops.conv_geometry import Geometry, Phase, float_pair, geometry
from graphkeras.ir.ops.slice_pad import pad_array
from graphkeras.ir.scalar import Expr
from graphkeras.ir.types import TensorType


def _conv_geometry(types: Sequence[TensorType], attrs: Attrs) -> Geometry:
    x, w = float_pair("conv", types)
    if w.rank != x.rank:
        fail("conv", f"the kernel must have {x.rank} dims as the input has, received {w} for {x}")
    shape = [static("conv", d, "every dim of the kernel") for d in w.shape]
    found = geometry("conv", x, shape[:-2], shape[-1], attrs)
    if shape[-2] * found.groups != found.channels:
        fail(
            "conv",
            f"the kernel {w} takes {shape[-2]} channels a group; the input {x} has "
            f"{found.channels} in {found.groups} group(s)",
        )
    return found


def _conv_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    return (_conv_geometry(types, attrs).result(types[0]),)


def kernel_grad_geometry(op: str, types: Sequence[TensorType], attrs: Attrs) -> Geometry:
    """Checks image and cotangent, and sizes the convolution of a `conv_kernel_grad`."""
    x, dy = float_pair(op, types)
    if dy.rank != x.rank:
        fail(op, f"cotangent and input must have the same number of dims, received {dy} and {x}")
    filters = static(op, dy.shape[-1], "the number of filters")
    found = geometry(op, x, attrs["kernel_size"], filters, attrs)
    if dy != found.result(x):
        fail(op, f"the cotangent must be {found.result(x)} for the input {x}, received {dy}")
    return found


def _kernel_grad_geometry(types: Sequence[TensorType], attrs: Attrs) -> Geometry:
    return kernel_grad_geometry("conv_kernel_grad", types, attrs)


def _kernel_grad_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    g = _kernel_grad_geometry(types, attrs)
    return (types[0].with_shape((*g.kernel, g.channels // g.groups, g.filters)),)


def _kernel_grads_infer(types: Sequence[TensorType], attrs: Attrs) -> tuple[TensorType, ...]:
    g = kernel_grad_geometry("conv_kernel_grads", types, attrs)
    shape = (types[0].shape[0], *g.kernel, g.channels // g.groups, g.filters)
    return (types[0].with_shape(shape),)


# references


def _windows(x: Array, g: Geometry) -> Array:
    """X as [N, *y, channels, *kernel], a view of the padded x."""
    rank = len(g.x)
    low = [0, *(lo for lo, _ in g.padding), 0]
    high = [0, *(hi for _, hi in g.padding), 0]
    padded = pad_array(x, 0, low, high, [0, *(gap - 1 for gap in g.lhs_dilation), 0])
    span = tuple((k - 1) * r + 1 for k, r in zip(g.kernel, g.rhs_dilation, strict=True))
    view = sliding_window_view(padded, span, tuple(range(1, rank + 1)))
    each_stride = tuple(slice(None, None, s) for s in g.strides)
    each_dilation = tuple(slice(None, None, r) for r in g.rhs_dilation)
    return view[(slice(None), *each_stride, slice(None), *each_dilation)]


def _group(array: Array, axis: int, i: int, groups: int) -> Array:
    size = array.shape[axis] // groups
    return array.take(range(i * size, (i + 1) * size), axis)


def _concrete(arrays: Sequence[Array]) -> list[TensorType]:
    return [TensorType(a.shape, str(a.dtype)) for a in arrays]


def _conv_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, w = arrays
    g = _conv_geometry(_concrete(arrays), attrs)
    rank = len(g.x)
    view = _windows(x, g)
    kernel_axes = list(range(rank))
    window_axes = list(range(rank + 2, 2 * rank + 2))
    parts = [
        np.tensordot(
            _group(view, rank + 1, i, g.groups),
            _group(w, rank + 1, i, g.groups),
            ([*window_axes, rank + 1], [*kernel_axes, rank]),
        )
        for i in range(g.groups)
    ]
    return (np.concatenate(parts, -1),)


def _kernel_grad_reference(
    arrays: Sequence[Array], attrs: Attrs, sizes: Sizes
) -> tuple[Array, ...]:
    x, dy = arrays
    g = _kernel_grad_geometry(_concrete(arrays), attrs)
    rank = len(g.x)
    view = _windows(x, g)
    positions = list(range(rank + 1))
    parts = [
        np.moveaxis(
            np.tensordot(
                _group(view, rank + 1, i, g.groups),
                _group(dy, rank + 1, i, g.groups),
                (positions, positions),
            ),
            0,
            rank,
        )
        for i in range(g.groups)
    ]
    return (np.ascontiguousarray(np.concatenate(parts, -1)),)


def _kernel_grads_reference(
    arrays: Sequence[Array], attrs: Attrs, sizes: Sizes
) -> tuple[Array, ...]:
    x, dy = arrays
    (type_,) = _kernel_grads_infer(_concrete(arrays), attrs)
    found = np.empty([*map(int, type_.concrete({}))], x.dtype)
    for i in range(len(x)):
        (found[i],) = _kernel_grad_reference((x[i : i + 1], dy[i : i + 1]), attrs, sizes)
    return (found,)


# gradients


def _input_gradient(b: Builder, dy: Value, w: Value, g: Geometry) -> Value:
    """The `conv` of dy with the kernel turned around, back to the size of the input."""
    rank = len(g.x)
    padding = []
    for d in range(rank):
        span = (g.kernel[d] - 1) * g.rhs_dilation[d]
        low = span - g.padding[d][0]
        spread = (g.y[d] - 1) * g.strides[d] + 1
        high = (g.x[d] - 1) * g.lhs_dilation[d] + 1 + span - spread - low
        padding.append((low, high))
    return b.emit(
        "conv",
        dy,
        _turned_kernel(b, w, g),
        strides=g.lhs_dilation,
        padding=tuple(padding),
        lhs_dilation=g.strides,
        rhs_dilation=g.rhs_dilation,
        groups=g.groups,
    )


def _turned_kernel(b: Builder, w: Value, g: Geometry) -> Value:
    """[*K, C/groups, O] -> reversed in space, [*K, O/groups, C]."""
    rank = len(g.x)
    space = tuple(range(rank))
    if any(k > 1 for k in g.kernel):
        w = b.emit("reverse", w, axes=space)
    channels, filters = g.channels // g.groups, g.filters // g.groups
    if g.groups == 1:
        return b.emit("transpose", w, perm=(*space, rank + 1, rank))
    split = b.emit("reshape", w, shape=(*g.kernel, channels, g.groups, filters))
    swapped = b.emit("transpose", split, perm=(*space, rank + 2, rank + 1, rank))
    return b.emit("reshape", swapped, shape=(*g.kernel, filters, g.channels))


def _conv_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    (dy,) = cotangents
    x, w = node.inputs
    if dy is None:
        return (None, None)
    g = _conv_geometry([x.type, w.type], node.attrs)
    dw = b.emit("conv_kernel_grad", x, dy, kernel_size=g.kernel, **g.attrs)
    return _input_gradient(b, dy, w, g), dw


def _kernel_grad_gradient(
    b: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    """The op is linear in both operands; its cotangent takes the kernel's place."""
    (dw,) = cotangents
    x, dy = node.inputs
    if dw is None:
        return (None, None)
    g = _kernel_grad_geometry([x.type, dy.type], node.attrs)
    return _input_gradient(b, dy, dw, g), b.emit("conv", x, dw, **g.attrs)


# code


def _channel(group: Sequence[Expr], size: int, within: Expr) -> Expr:
    """Channel `within` a group as a channel of the whole."""
    return group[0] * size + within if group else within


def _view(
    g: Geometry,
    batch: Dim,
    place: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], list[Expr]],
) -> View:
    """X dilated and padded."""

    def source(at: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
        where, conditions = g.source(at[1:-1])
        return [at[0], *where, at[-1]], conditions

    low, inside = tuple(low for low, _ in g.padding), (*g.inside, (0, g.channels))
    shape = (batch, *g.extents, g.channels)
    return View(shape, place, source, inside, low, g.lhs_dilation)


def _conv_contraction(node: Node) -> Contraction:
    g = _conv_geometry([v.type for v in node.inputs], node.attrs)
    batch = node.inputs[0].type.shape[0]
    whole = conv_contraction(g, batch)
    if max(g.lhs_dilation) == 1:
        return whole
    return replace(whole, phases=tuple(_phase_contraction(each, batch) for each in g.phases()))


def conv_contraction(g: Geometry, batch: Dim) -> Contraction:
    """The rule of a convolution of `batch` images, in one part."""
    return _phase_contraction(Phase(g, ((0, 1),) * len(g.x), ((0, 1),) * len(g.x)), batch)


def _phase_contraction(phase: Phase, batch: Dim) -> Contraction:
    g = phase.geometry
    channels, filters = g.channels // g.groups, g.filters // g.groups

    def lhs(
        i: Sequence[Expr], m: Sequence[Expr], k: Sequence[Expr]
    ) -> tuple[list[Expr], list[Expr]]:
        where, conditions = g.position(m[1:], k[:-1])
        return [m[0], *where, _channel(i, channels, k[-1])], conditions

    return Contraction(
        batch=(g.groups,) if g.groups > 1 else (),
        m=(batch, *g.y),
        n=(filters,),
        k=(*g.kernel, channels),
        lhs=lhs,
        rhs=lambda i, k, n: ([*phase.tap(k[:-1]), k[-1], _channel(i, filters, n[0])], []),
        out=lambda i, m, n: [m[0], *phase.window(m[1:]), _channel(i, filters, n[0])],
        view=_view(
            g,
            batch,
            lambda i, m, k: [m[0], *g.place(m[1:], k[:-1]), _channel(i, channels, k[-1])],
        ),
    )


def _kernel_grad_contraction(node: Node) -> Contraction:
    g = _kernel_grad_geometry([v.type for v in node.inputs], node.attrs)
    return kernel_grad_contraction(g, node.inputs[0].type.shape[0])


def _kernel_grads_contraction(node: Node) -> Contraction:
    g = _kernel_grad_geometry([v.type for v in node.inputs], node.attrs)
    return kernel_grad_contraction(g, node.inputs[0].type.shape[0], each=True)


def kernel_grad_contraction(g: Geometry, images: Dim, each: bool = False) -> Contraction:
    """The rule of the gradient of a kernel.

    Args:
        g: The convolution.
        images: How many there are.
        each: Whether each has its own: then images are the first dim of the batch, else of k.
    """
    channels, filters = g.channels // g.groups, g.filters // g.groups

    def split(b: Sequence[Expr], k: Sequence[Expr]) -> tuple[Expr, Sequence[Expr], Sequence[Expr]]:
        """The image, the group, and the position in y."""
        return (b[0], b[1:], k) if each else (k[0], b, k[1:])

    def lhs(
        b: Sequence[Expr], m: Sequence[Expr], k: Sequence[Expr]
    ) -> tuple[list[Expr], list[Expr]]:
        image, group, position = split(b, k)
        where, conditions = g.position(position, m[:-1])
        return [image, *where, _channel(group, channels, m[-1])], conditions

    def rhs(
        b: Sequence[Expr], k: Sequence[Expr], n: Sequence[Expr]
    ) -> tuple[list[Expr], list[Expr]]:
        image, group, position = split(b, k)
        return [image, *position, _channel(group, filters, n[0])], []

    def out(b: Sequence[Expr], m: Sequence[Expr], n: Sequence[Expr]) -> list[Expr]:
        own = int(each)
        return [*b[:own], *m, _channel(b[own:], filters, n[0])]

    def place(b: Sequence[Expr], m: Sequence[Expr], k: Sequence[Expr]) -> list[Expr]:
        image, group, position = split(b, k)
        return [image, *g.place(position, m[:-1]), _channel(group, channels, m[-1])]

    groups = (g.groups,) if g.groups > 1 else ()
    return Contraction(
        batch=(images, *groups) if each else groups,
        m=(*g.kernel, channels),
        n=(filters,),
        k=g.y if each else (images, *g.y),
        lhs=lhs,
        rhs=rhs,
        out=out,
        # Only tiles of single channels know an image in the batch.
        view=_view(g, images, place) if not each or channels == filters == 1 else None,
    )


MOST_TAPS = 25
LEAST_POSITIONS = 4
"""Of y in an image, for each tap: else the parts of images are as much to read as x and dy."""


def _by_image(node: Node) -> str | None:
    """Gradients of depthwise kernels with few taps: threads then share images."""
    g = _kernel_grad_geometry([v.type for v in node.inputs], node.attrs)
    depthwise = 1 < g.groups == g.channels == g.filters
    few = prod(g.kernel) <= min(MOST_TAPS, prod(g.y) // LEAST_POSITIONS)
    dilated = max(*g.lhs_dilation, *g.rhs_dilation) > 1
    if not depthwise or not few or dilated or node.inputs[0].type.shape[0] == 1:
        return None
    return "conv_kernel_grads"


# table

_ATTRS = (
    Attr("strides", tuple),
    Attr("padding", tuple),
    Attr("lhs_dilation", tuple),
    Attr("rhs_dilation", tuple),
    Attr("groups", int, 1),
)


@frozen
class _Case:
    """One convolution to try: shape of x, kernel, and attributes that are not the default."""

    label: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    strides: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    lhs_dilation: tuple[int, ...] = ()
    rhs_dilation: tuple[int, ...] = ()
    groups: int = 1

    @property
    def attrs(self) -> dict[str, object]:
        """All attributes of the `conv`."""
        ones = (1,) * (len(self.x) - 2)
        return {
            "strides": self.strides or ones,
            "padding": self.padding or tuple((0, 0) for _ in ones),
            "lhs_dilation": self.lhs_dilation or ones,
            "rhs_dilation": self.rhs_dilation or ones,
            "groups": self.groups,
        }

    def conv(self) -> Sample:
        """The case as a sample of `conv`."""
        return Sample(normal(self.x, self.w), self.attrs, {0: {0: "N"}}, label=self.label)

    def kernel_grad(self) -> Sample:
        """The case as a sample of `conv_kernel_grad`."""
        types = [TensorType(self.x), TensorType(self.w)]
        (y,) = _conv_infer(types, self.attrs)
        shape = tuple(static("conv", d, "a sample's dim") for d in y.shape)
        attrs = {**self.attrs, "kernel_size": self.w[:-2]}
        symbolic = {0: {0: "N"}, 1: {0: "N"}}
        return Sample(normal(self.x, shape), attrs, symbolic, label=self.label)


_CASES = (
    _Case("1x1", (2, 3, 3, 4), (1, 1, 4, 5)),
    _Case("3x3 valid", (2, 5, 6, 3), (3, 3, 3, 4)),
    _Case("3x3 same", (2, 5, 4, 3), (3, 3, 3, 4), padding=((1, 1), (1, 1))),
    _Case("3x3 same, many channels", (2, 4, 3, 9), (3, 3, 9, 5), padding=((1, 1), (1, 1))),
    _Case("strided same", (2, 7, 6, 2), (3, 3, 2, 3), (2, 2), ((1, 1), (0, 1))),
    _Case("strided remainder", (1, 8, 8, 1), (3, 2, 1, 2), (3, 3)),
    _Case("dilated", (1, 7, 8, 2), (3, 2, 2, 3), rhs_dilation=(2, 3), padding=((2, 1), (0, 0))),
    _Case("grouped", (2, 4, 4, 4), (3, 3, 2, 6), padding=((1, 1), (1, 1)), groups=2),
    _Case("depthwise", (2, 5, 5, 3), (3, 3, 1, 6), (2, 2), ((1, 1), (1, 1)), groups=3),
    _Case("transposed", (2, 3, 4, 2), (3, 3, 2, 3), padding=((2, 2), (1, 2)), lhs_dilation=(2, 2)),
    _Case("cropped", (1, 6, 7, 2), (3, 3, 2, 2), padding=((-1, 0), (1, -2))),
    _Case(
        "everything",
        (2, 4, 5, 4),
        (2, 3, 2, 4),
        (2, 3),
        ((1, 2), (3, -1)),
        (2, 3),
        (3, 2),
        2,
    ),
    _Case("1D", (3, 9, 2), (4, 2, 5), (2,), ((3, 0),)),
    _Case("3D", (1, 4, 3, 5, 2), (2, 2, 3, 2, 3), (1, 2, 2), ((1, 0), (1, 1), (0, 1))),
)

register(
    Op(
        "conv",
        Kind.CONTRACT,
        "Convolution of x [N,*S,C] with w [*K,C/groups,O]: [N,*S',O]; negative padding crops.",
        _conv_infer,
        _conv_reference,
        attrs=_ATTRS,
        gradient=_conv_gradient,
        contraction=_conv_contraction,
        samples=tuple(case.conv() for case in _CASES),
    )
)
register(
    Op(
        "conv_kernel_grad",
        Kind.CONTRACT,
        "Gradient of `conv` for its kernel from x and the result's cotangent: [*K,C/groups,O].",
        _kernel_grad_infer,
        _kernel_grad_reference,
        attrs=(Attr("kernel_size", tuple), *_ATTRS),
        gradient=_kernel_grad_gradient,
        contraction=_kernel_grad_contraction,
        by_image=_by_image,
        samples=tuple(case.kernel_grad() for case in _CASES),
    )
)
register(
    Op(
        "conv_kernel_grads",
        Kind.CONTRACT,
        "Gradients of `conv` for its kernel, one from each image: [N,*K,C/groups,O].",
        _kernel_grads_infer,
        _kernel_grads_reference,
        attrs=(Attr("kernel_size", tuple), *_ATTRS),
        contraction=_kernel_grads_contraction,
        samples=tuple(case.kernel_grad() for case in _CASES),
    )
)
