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
    get_op,
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


def concrete_types(arrays: Sequence[Array]) -> list[TensorType]:
    """The types of arrays."""
    return [TensorType(a.shape, str(a.dtype)) for a in arrays]


def _conv_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    x, w = arrays
    g = _conv_geometry(concrete_types(arrays), attrs)
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


def kernel_grad_reference(arrays: Sequence[Array], attrs: Attrs, sizes: Sizes) -> tuple[Array, ...]:
    """NumPy reference of `conv_kernel_grad`."""
    x, dy = arrays
    g = _kernel_grad_geometry(concrete_types(arrays), attrs)
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


def kernel_grad_contraction(g: Geometry, images: Dim, bands: int = 0) -> Contraction:
    """The rule of the gradient of a kernel.

    Args:
        g: The convolution.
        images: How many there are.
        bands: Into how many bands of lines y is cut that have gradients of their own: then images
            and bands are the first dims of the batch. 0: images are the first dim of k.
    """
    lines = g.y[0] // bands if bands else 0
    channels, filters = g.channels // g.groups, g.filters // g.groups

    def split(b: Sequence[Expr], k: Sequence[Expr]) -> tuple[Expr, Sequence[Expr], Sequence[Expr]]:
        """The image, the group, and the position in y."""
        return (b[0], b[2:], [b[1] * lines + k[0], *k[1:]]) if bands else (k[0], b, k[1:])

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
        own = 2 if bands else 0
        return [*b[:own], *m, _channel(b[own:], filters, n[0])]

    def place(b: Sequence[Expr], m: Sequence[Expr], k: Sequence[Expr]) -> list[Expr]:
        image, group, position = split(b, k)
        return [image, *g.place(position, m[:-1]), _channel(group, channels, m[-1])]

    groups = (g.groups,) if g.groups > 1 else ()
    return Contraction(
        batch=(images, bands, *groups) if bands else groups,
        m=(*g.kernel, channels),
        n=(filters,),
        k=(lines, *g.y[1:]) if bands else (images, *g.y),
        lhs=lhs,
        rhs=rhs,
        out=out,
        # Tiles of channels know whole images in the batch only.
        view=_view(g, images, place) if bands < 2 or channels == filters == 1 else None,
    )


MOST_TAPS = 25
LEAST_POSITIONS = 4
"""Of y in an image, for each tap: else the parts of images are as much to read as x and dy."""
LEAST_OF_A_BAND = 16
"""Positions of y in a band, for each tap: 2 % more to write and read. At half of it 32 images of
14x14x256 took a tenth longer."""
POINTWISE = 64
"""Elements of x and dy in an image for each of a kernel of one tap: 56x56x64, 98 of them, take
20 % less time by images and their bands, 28x28x128, 12 of them, 17 % more."""
SMALL_PART, WHOLE_ROWS = 4, 8
"""The same for each of a kernel of more taps, and its least channels."""


def _by_image(node: Node) -> tuple[str, Attrs] | None:
    """Gradients of kernels small beside an image: threads share images, or bands of them.

    Two threads share a single image, too, by its bands: 50 us for 56x56x64, and 22 for 28x28x128,
    where sharing channels took 68 and 33 in the same run, as long as one thread.
    """
    g = _kernel_grad_geometry([v.type for v in node.inputs], node.attrs)
    if max(*g.lhs_dilation, *g.rhs_dilation) > 1 or node.inputs[0].type.shape[0] == 1:
        return None
    depthwise, taps = 1 < g.groups == g.channels == g.filters, prod(g.kernel)
    few = taps <= min(MOST_TAPS, prod(g.y) // LEAST_POSITIONS)
    if not (few if depthwise else g.groups == 1 and _is_small(g, node.inputs[1].producer)):
        return None
    bands = next((each for each in (2, 3) if g.y[0] % each == 0), 1)
    cut = len(g.y) == 2 and prod(g.y) >= bands * LEAST_OF_A_BAND * taps and (depthwise or taps == 1)
    return "conv_kernel_grads", {**node.attrs, "bands": bands if cut else 1}


def _is_small(g: Geometry, made_by: Node | None) -> bool:
    """Whether a kernel is small beside an image.

    Not where dy, made by this node, is mostly zeros: other loops compute these gradients.
    """
    kernel = prod(g.kernel) * g.channels * g.filters
    if prod(g.kernel) == 1:
        return prod(g.y) * (g.channels + g.filters) >= POINTWISE * kernel
    sparse = made_by is not None and get_op(made_by.op).scattered is not None
    read = prod(g.x) * g.channels + prod(g.y) * g.filters
    return read >= SMALL_PART * kernel and g.channels >= WHOLE_ROWS and not sparse


# table

ATTRS = (
    Attr("strides", tuple),
    Attr("padding", tuple),
    Attr("lhs_dilation", tuple),
    Attr("rhs_dilation", tuple),
    Attr("groups", int, 1),
)


@frozen
class Case:
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

    def kernel_grad(self, **more: int) -> Sample:
        """The case as a sample of `conv_kernel_grad`, with more attributes."""
        types = [TensorType(self.x), TensorType(self.w)]
        (y,) = _conv_infer(types, self.attrs)
        shape = tuple(static("conv", d, "a sample's dim") for d in y.shape)
        attrs = {**self.attrs, "kernel_size": self.w[:-2], **more}
        symbolic = {0: {0: "N"}, 1: {0: "N"}}
        return Sample(normal(self.x, shape), attrs, symbolic, label=self.label)


CASES = (
    Case("1x1", (2, 3, 3, 4), (1, 1, 4, 5)),
    Case("3x3 valid", (2, 5, 6, 3), (3, 3, 3, 4)),
    Case("3x3 same", (2, 5, 4, 3), (3, 3, 3, 4), padding=((1, 1), (1, 1))),
    Case("3x3 same, many channels", (2, 4, 3, 9), (3, 3, 9, 5), padding=((1, 1), (1, 1))),
    Case("strided same", (2, 7, 6, 2), (3, 3, 2, 3), (2, 2), ((1, 1), (0, 1))),
    Case("strided remainder", (1, 8, 8, 1), (3, 2, 1, 2), (3, 3)),
    Case("dilated", (1, 7, 8, 2), (3, 2, 2, 3), rhs_dilation=(2, 3), padding=((2, 1), (0, 0))),
    Case("grouped", (2, 4, 4, 4), (3, 3, 2, 6), padding=((1, 1), (1, 1)), groups=2),
    Case("depthwise", (2, 5, 5, 3), (3, 3, 1, 6), (2, 2), ((1, 1), (1, 1)), groups=3),
    Case("transposed", (2, 3, 4, 2), (3, 3, 2, 3), padding=((2, 2), (1, 2)), lhs_dilation=(2, 2)),
    Case("cropped", (1, 6, 7, 2), (3, 3, 2, 2), padding=((-1, 0), (1, -2))),
    Case(
        "everything",
        (2, 4, 5, 4),
        (2, 3, 2, 4),
        (2, 3),
        ((1, 2), (3, -1)),
        (2, 3),
        (3, 2),
        2,
    ),
    Case("1D", (3, 9, 2), (4, 2, 5), (2,), ((3, 0),)),
    Case("3D", (1, 4, 3, 5, 2), (2, 2, 3, 2, 3), (1, 2, 2), ((1, 0), (1, 1), (0, 1))),
)

register(
    Op(
        "conv",
        Kind.CONTRACT,
        "Convolution of x [N,*S,C] with w [*K,C/groups,O]: [N,*S',O]; negative padding crops.",
        _conv_infer,
        _conv_reference,
        attrs=ATTRS,
        gradient=_conv_gradient,
        contraction=_conv_contraction,
        samples=tuple(case.conv() for case in CASES),
    )
)
register(
    Op(
        "conv_kernel_grad",
        Kind.CONTRACT,
        "Gradient of `conv` for its kernel from x and the result's cotangent: [*K,C/groups,O].",
        _kernel_grad_infer,
        kernel_grad_reference,
        attrs=(Attr("kernel_size", tuple), *ATTRS),
        gradient=_kernel_grad_gradient,
        contraction=_kernel_grad_contraction,
        by_image=_by_image,
        samples=tuple(case.kernel_grad() for case in CASES),
    )
)
