"""Splits the product with a weight that the graph updates into products with parts of its rows.

Threads share the columns of a product with few rows, and the rows of the gradient of its weight,
whose kernel updates weight and moments in place. In every step half of the weight would then go
from one core's cache to another's, and back::

    x[N,784] w[784,128]       core 0            core 1
    forward                   w[:, 0:64]        w[:, 64:128]
    update                    w[0:392]          w[392:784]

With parts both share the weight's rows, and what goes between the cores is a few sums::

    w ── [4,196,128] ─╮
    x ── [N,4,196] ───┴─► dot_general [4,N,128] ── sum over parts ──► [N,128]
                          shared by parts          bias, activation, ... follow here

A training step of 784-128-10 with Adam, batch 32, on two cores took 0.27 ms without, 0.20 ms with
in one run; on one core 0.28 ms both ways.

Parts depend on shapes alone, never on how many threads there are: neither do the bits of the
result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node
from graphkeras.passes.rewriter import Rewriter

BY_PARTS: Mapping[str, Any] = {
    "lhs_batch": (1,),
    "rhs_batch": (0,),
    "lhs_contract": (2,),
    "rhs_contract": (1,),
}
"""Dims of x `[batch, part, row of w]` and w `[part, row, column]`."""


@frozen
class SplitProducts:
    """Splits products of a batch with an updated weight.

    Attributes:
        parts: Parts of a weight.
        min_steps: Rows that a part must have, or the sums are as much to write and read again as
            the product is work.
        max_bytes: Largest weight: a larger one does not stay in a core's cache from step to step.
    """

    name: ClassVar[str] = "split_products"
    parts: int = 4
    min_steps: int = 128
    max_bytes: int = 1 << 20

    def __call__(self, graph: Graph) -> Graph:
        """The graph with such products split; the same object if there are none."""
        rewriter = Rewriter(graph, self.name)
        updated = {graph.inputs[i] for i in graph.aliases.values()}
        for node in graph.nodes:
            if node.op != "dot_general" or node.inputs[1] not in updated or not self._pays(node):
                rewriter.take(node)
                continue
            x, w = rewriter.operands(node)
            rows, (steps, columns) = x.type.shape[0], w.type.shape
            assert isinstance(steps, int)
            each = steps // self.parts
            with rewriter.standing_for(node):
                x = rewriter.emit("reshape", x, shape=(rows, self.parts, each))
                w = rewriter.emit("reshape", w, shape=(self.parts, each, columns))
                sums = rewriter.emit("dot_general", x, w, **BY_PARTS)
                rewriter.replace(node.result, rewriter.emit("reduce_sum", sums, axes=(0,)))
        return rewriter.finish()

    def _pays(self, node: Node) -> bool:
        """Whether samples meet a weight of a suitable size."""
        x, w = (value.type for value in node.inputs)
        attrs = node.attrs
        dims = (attrs["lhs_batch"], attrs["lhs_contract"], attrs["rhs_contract"])
        if dims != ((), (1,), (0,)) or x.rank != 2 or w.rank != 2 or not w.is_float:
            return False
        steps, elements = w.shape[0], w.numel
        if isinstance(x.shape[0], int) or not isinstance(steps, int):
            return False
        fits = isinstance(elements, int) and elements * w.itemsize <= self.max_bytes
        return fits and steps % self.parts == 0 and steps >= self.parts * self.min_steps
