"""3x3 convolutions as Winograd convolutions F(2x2, 3x3), where these are estimated to be faster.

    conv(x, w)                ->   winograd_conv(x, winograd_kernel(w))
    conv_kernel_grad(x, dy)   ->   winograd_kernel_grad(x, dy)

The products of 2x2 results go down from 36 to 16 a channel (`ir.ops.winograd`), and additions are
to be paid for. The kernel is transformed by a node of its own, which depends on it alone. The
gradient for the input is a `conv` with the kernel turned around, and treated alike: the transform
reads the kernel as it lies. The gradient for the kernel is the gradient of these formulas
(`ir.ops.winograd_gradient`), with the same 16 products.

**Rounding.** Sums of four pixels and of nine products are rounded on the way, so results differ
from the plain sum's by about 1e-6 of the largest one: within what the order of additions may
change, and some 3 times the error of a plain sum. A bound: with u = 2**-24 and C channels,

    |error| <= (C + 20) u  sum over channels of |A^T| (|G| |w| |G^T| * |B^T| |x| |B|) |A|

and for the gradient of the kernel, a sum over P patches of 2x2 results,

    |error| <= (P + 20) u  |G^T| (sum over patches of |A| |dy| |A^T| * |B^T| |x| |B|) |G|

**NaN and infinity.** Every result whose plain sum has a factor that is not finite is not finite
here either, because a pixel or weight has part in all sums of places that its results come from.
But it may be NaN for infinity (inf - inf), and what is not finite spreads: a pixel's to all results
of the 2x2 tiles that read it, a weight's to all results of its filter, and in a kernel's gradient
to all taps of a channel or filter. PyTorch's, TensorFlow's and
ONNX Runtime's CPU and GPU libraries do the same. `winograd=never` keeps to the plain sum.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

from graphkeras.config import setting
from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import get_op
from graphkeras.passes.rewriter import Rewriter

PANEL = 32
"""Filters side by side in U: what the widest register tiles take at a time; fewer cost as much."""
SPREAD = 100.0
"""Price of transforming a patch of one channel, in multiply-adds."""
GATHER = 150.0
"""Price of transforming 2x2 results of one filter and of finishing them, in multiply-adds."""
DIRECT = 60.0
"""Price of finishing 2x2 results of one filter of a plain convolution, in multiply-adds."""
KERNEL_PRICE = 900.0
"""Price of transforming the kernel for one pair of channels, in multiply-adds: it is memory that
takes the time, 20 us for 64 x 64 channels on two threads and 420 us for 256 x 256."""
PREPARED_PRICE = 150.0
"""Price of reading a kernel that was transformed before: it is nearly twice as large. 7x7 pixels of
512 channels took 1.72 ms in place of 1.92 for one image, and 17.7 in place of 24.4 for 16."""
GRADIENT_SPREAD = 200.0
"""As SPREAD, for the gradient of a kernel, of one channel or filter: what was transformed goes to
the second-level cache. With it the estimates are 0.88, 1.26 and 1.62 for 16, 32 and 64 channels; in
one run 0.82, 1.27 and 1.57."""
GRADIENT_PRICE = 350.0
"""Price of turning back the sums of one pair of channels: 0.3 ms for 256 x 256."""
VECTOR = 16
"""Channels, and filters, that the gradient of a kernel takes at a time; fewer cost as much."""
IMAGES = 32
PREPARED_IMAGES = 2
"""Images of a call, where the batch size is not known. Few at inference: a single image gets up to
twice as slow where the kernel is large and the image small, and a batch 1.2 times as fast."""
WINDOW = 4
"""Elements of a window, of which one is not zero, that make a plain convolution the faster one."""
GAIN = 1.1
"""How much faster it must be by estimate: its results are rounded a little more."""

_ATTRS = {
    "strides": (1, 1),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
    "groups": 1,
}


@frozen
class Winograd:
    """Replaces 3x3 convolutions without strides by Winograd convolutions.

    Which ones is the setting `winograd`'s: those where `speedup` promises enough, all, or none.

    Attributes:
        prepared: Whether kernels are transformed once and for all calls.
        faster: What `form` says of convolutions that were found to be faster, whatever `speedup`
            promises.
        slower: The same for those that were found to be slower.
    """

    name: ClassVar[str] = "winograd"
    prepared: bool = False
    faster: tuple[str, ...] = ()
    slower: tuple[str, ...] = ()

    def __call__(self, graph: Graph) -> Graph:
        """The graph with such convolutions replaced; the same object if there are none."""
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            if not (fits(node) and self.is_wanted(node)):
                rewriter.take(node)
                continue
            with rewriter.standing_for(node):
                op, (x, other) = "winograd_kernel_grad", rewriter.operands(node)
                if node.op == "conv":
                    op, other = "winograd_conv", _transformed(rewriter, other)
                result = rewriter.emit(op, x, other, padding=node.attrs["padding"])
                rewriter.replace(node.result, result)
        return rewriter.finish()

    def is_wanted(self, node: Node) -> bool:
        """Whether a convolution that `fits` is replaced."""
        choice = setting("winograd")
        if choice != "auto":
            return bool(choice == "always")
        if not is_candidate(node):
            return False
        if self.faster or self.slower:
            found = form(node)
            if found in self.faster or found in self.slower:
                return found in self.faster
        gain = speedup(node, self.prepared) if node.op == "conv" else gradient_speedup(node)
        return gain >= GAIN


def is_candidate(node: Node) -> bool:
    """Whether a node may as well be a Winograd convolution as not."""
    return fits(node) and not any(_is_sparse(value) for value in node.inputs)


def form(node: Node) -> str:
    """What decides how fast the forms of a node that `fits` are, the machine apart."""
    x, w = node.inputs
    turned = " turned" if turned_back(w) is not None else ""
    return f"{node.op}: {x.type} * {w.type}{turned} -> {node.types[0]}"


def alone(node: Node) -> Graph:
    """A graph of a node that `fits`, and of the turn of its kernel where it reads a turned one."""
    x, w = node.inputs
    source = turned_back(w)
    builder = Builder(node.op)
    image = builder.input(x.type, "x")
    kernel = builder.input((w if source is None else source).type, "w")
    if source is not None:
        kernel = builder.emit("reverse", kernel, axes=(0, 1))
        kernel = builder.emit("transpose", kernel, perm=(0, 1, 3, 2))
    with builder.at(node.loc):
        result = builder.emit(node.op, image, kernel, **node.attrs)
    return builder.build([result])


def _is_sparse(value: Value) -> bool:
    """Whether so few elements are not zero that the plain sum of their products is shorter."""
    node = value.producer
    rule = None if node is None else get_op(node.op).scattered
    found = rule(node) if rule is not None and node is not None else None
    return found is not None and prod(found.window) >= WINDOW


def fits(node: Node) -> bool:
    """Whether a node is a convolution of float32 images by 3x3 pixels, one apart, or a gradient."""
    if node.op not in ("conv", "conv_kernel_grad"):
        return False
    if node.types[0].rank != 4 or node.types[0].dtype != "float32":
        return False
    kernel = (node.inputs[1] if node.op == "conv" else node.result).type.shape
    return kernel[:2] == (3, 3) and all(node.attrs[name] == v for name, v in _ATTRS.items())


def speedup(node: Node, prepared: bool) -> float:
    """How much faster a convolution that `fits` is estimated to be as a Winograd convolution."""
    images, price = (PREPARED_IMAGES, PREPARED_PRICE) if prepared else (IMAGES, KERNEL_PRICE)
    batch, height, width, filters = node.types[0].shape
    channels = node.inputs[1].type.shape[2]
    outer = _number(batch, images)
    pairs = _number(channels) * _number(filters)
    places = outer * _number(height) * _number(width)
    patches = outer * -(-_number(height) // 2) * -(-_number(width) // 2)
    plain = places * (9 * pairs + DIRECT / 4 * _number(filters))
    transforms = SPREAD * _number(channels) + GATHER * _number(filters)
    products = 16 * _number(channels) * max(_number(filters), PANEL)
    return plain / (patches * (products + transforms) + price * pairs)


def gradient_speedup(node: Node) -> float:
    """As `speedup`, for the gradient of a kernel."""
    batch, height, width, filters = node.inputs[1].type.shape
    sides = [_number(each) for each in (node.inputs[0].type.shape[3], filters)]
    whole = [-(-each // VECTOR) * VECTOR for each in sides]
    outer = _number(batch, IMAGES)
    patches = outer * -(-_number(height) // 2) * -(-_number(width) // 2)
    plain = outer * _number(height) * _number(width) * 9 * prod(sides)
    products = 16 * prod(whole) + GRADIENT_SPREAD * sum(whole)
    return plain / (patches * products + GRADIENT_PRICE * prod(whole))


def _number(dim: Dim, unknown: int = 1) -> int:
    return dim if isinstance(dim, int) else unknown


def _transformed(rewriter: Rewriter, w: Value) -> Value:
    """The kernel as a Winograd convolution reads it."""
    kernel = turned_back(w)
    filters = _number(w.type.shape[3])
    panel = PANEL if filters % PANEL == 0 else filters
    return rewriter.emit("winograd_kernel", kernel or w, panel=panel, turned=kernel is not None)


def turned_back(w: Value) -> Value | None:
    """The kernel that `w` is turned around in space, with channels and filters swapped."""
    swap = w.producer
    if swap is None or swap.op != "transpose" or swap.attrs["perm"] != (0, 1, 3, 2):
        return None
    turn = swap.inputs[0].producer
    if turn is None or turn.op != "reverse" or tuple(sorted(turn.attrs["axes"])) != (0, 1):
        return None
    return turn.inputs[0]
