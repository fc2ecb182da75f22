"""Splits a sum over the batch and more into one for each batch element, then over the batch.

A kernel shares out the elements of its result, and a sum over everything but the channels has
few of them; a sum to one number has one::

    x[N,H,W,C] ── sum over N,H,W ──► [C]           threads share C, or one does all

    x[N,H,W,C] ── sum over H,W ──► [N,C] ── sum over N ──► [C]
                  shared by N                little left

The gradient of the kernel of a convolution is such a sum too, over all positions of y. Where the
kernel is small beside an image, or depthwise, it is split alike, the latter by bands of lines for
several threads. Threads that share a small kernel's elements read all of x and dy each, and nine
taps do not fall in equal shares::

    conv_kernel_grad ──► conv_kernel_grads [N,bands,*K,C,O] ── sum over N, bands ──► [*K,C,O]

The parts depend on shapes only, never on how many threads there are: neither do the bits of the
result. Adding parts of equal size also loses less to rounding than one long sum.
"""

from __future__ import annotations

from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Graph, Node
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rewriter import Rewriter


@frozen
class SplitReductions:
    """Splits reductions over the first axis and others.

    Attributes:
        min_part: Elements that a part must have for each of its results, or the results are as
            much to write and read again as the operand.
        min_elements: Elements of a static operand below which one thread does it all anyway.
    """

    name: ClassVar[str] = "split_reductions"
    min_part: int = 16
    min_elements: int = 32768

    def __call__(self, graph: Graph) -> Graph:
        """The graph with such reductions split; the same object if there are none."""
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            axes, by_image = self._inner_axes(node), get_op(node.op).by_image
            each = None if by_image is None else by_image(node)
            if axes is None and each is None:
                rewriter.take(node)
                continue
            operands = rewriter.operands(node)
            with rewriter.standing_for(node):
                if each is not None:
                    op, attrs = each
                    parts = rewriter.emit(op, *operands, **attrs)
                    more = parts.type.rank - node.result.type.rank
                    total = rewriter.emit("reduce_sum", parts, axes=tuple(range(more)))
                else:
                    parts = rewriter.emit(node.op, *operands, axes=axes)
                    total = rewriter.emit(node.op, parts, axes=(0,))
                rewriter.replace(node.result, total)
        return rewriter.finish()

    def _inner_axes(self, node: Node) -> tuple[int, ...] | None:
        """The axes that a part is reduced over; None where splitting does not pay."""
        op = get_op(node.op)
        if op.kind is not Kind.REDUCE or op.reduction is None or op.reduction(node).window:
            return None
        shape = node.inputs[0].type.shape
        first, *inner = sorted(node.attrs["axes"]) or [-1]
        part = product(tuple(shape[axis] for axis in inner))
        if first != 0 or shape[0] == 1 or _below(part, self.min_part):
            return None
        return None if _below(product(shape), self.min_elements) else tuple(inner)


def _below(count: Dim, limit: int) -> bool:
    """Whether a number of elements is known to be below a limit."""
    return isinstance(count, int) and count < limit
