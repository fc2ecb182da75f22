"""Leaves out pixels that nothing reads.

A 1x1 convolution with stride 2 reads every other line and column of its image. Where all readers
of an image do so, three quarters of it need not be computed::

    conv 3x3 ──► relu ──► conv 1x1, stride 2             before: 4 pixels for each one that is read

    conv 3x3, stride 2 ──► relu ──► conv 1x1             after

The last block of each stage of a residual network has this form (strides in 1x1 convolutions, as
published); its other addend, which more is read of, is sliced. Going backwards, every value learns
the largest *steps* between the positions that its readers look at: slices and convolutions by one
pixel multiply the steps of their result, elementwise nodes hand them on, everything else reads
each position, and several readers read at the greatest common divisor. Going forwards, a
convolution with steps multiplies its strides, what is elementwise behind it has fewer elements, and
readers divide their strides. What is computed neither by a convolution nor from one stays whole.

Results are those of the same sums: a pixel that is left out had no part in them. In one run
ResNet-50 for one image took 41.6 ms in place of 45.4.
"""

from __future__ import annotations

from math import gcd
from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rewriter import Rewriter
from graphkeras.passes.rules.rule import made_by

Steps = tuple[int, ...]
"""For each dim, the distance of the positions that are read, from position 0 on."""


@frozen
class SkipUnread:
    """Computes only those pixels of convolutions that are read."""

    name: ClassVar[str] = "skip_unread"

    def __call__(self, graph: Graph) -> Graph:
        """The graph without pixels that nothing reads; the same object if there are none."""
        steps = _steps(graph)
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            values = (*node.inputs, *node.results)
            if all(max(steps[value], default=1) == 1 for value in values):
                rewriter.take(node)
                continue
            with rewriter.standing_for(node):
                rewriter.replace(node.result, _thinned(rewriter, node, steps))
        return rewriter.finish()


def _steps(graph: Graph) -> dict[Value, Steps]:
    """The steps at which every value is to be computed."""
    thin: set[Value] = set()
    for node in graph.nodes:
        if _has_strides(node) or (_is_elementwise(node) and any(v in thin for v in node.inputs)):
            thin.add(node.result)
    read = {value: [0] * value.type.rank for value in graph.inputs}
    read.update({v: [0] * v.type.rank for node in graph.nodes for v in node.results})
    read.update({value: [1] * value.type.rank for value in graph.outputs})
    steps: dict[Value, Steps] = {}
    for node in reversed(graph.nodes):
        for value in node.results:
            steps[value] = tuple(max(1, s) if value in thin else 1 for s in read[value])
        for place, value in enumerate(node.inputs):
            found = _reads(node, place, steps[node.results[0]])
            read[value] = [gcd(old, new) for old, new in zip(read[value], found, strict=True)]
    for value in graph.inputs:
        steps[value] = (1,) * value.type.rank
    return steps


def _is_elementwise(node: Node) -> bool:
    return get_op(node.op).kind is Kind.ELEMENTWISE


def _has_strides(node: Node) -> bool:
    """Whether larger strides leave pixels of the result out."""
    return node.op == "conv" and set(node.attrs["lhs_dilation"]) == {1}


def _reads(node: Node, place: int, kept: Steps) -> Steps:
    """The steps at which a node reads an operand, for those of its result."""
    if _is_elementwise(node):
        return kept
    shape = node.inputs[place].type.shape
    if node.op == "slice":
        bounds = zip(shape, node.attrs["start"], node.attrs["step"], strict=True)
        return tuple(
            step if isinstance(dim, int) and start == 0 else 1 for dim, start, step in bounds
        )
    if place == 0 and _has_strides(node):
        attrs, kernel = node.attrs, node.inputs[1].type.shape
        spatial = (
            stride * keep if size == 1 and pads == (0, 0) else 1
            for size, pads, stride, keep in zip(
                kernel[:-2], attrs["padding"], attrs["strides"], kept[1:-1], strict=True
            )
        )
        return (1, *spatial, 1)
    return (1,) * len(shape)


def _thinned(rewriter: Rewriter, node: Node, steps: dict[Value, Steps]) -> Value:
    """The result of a node at its steps, of operands at theirs."""
    kept, have, attrs = steps[node.result], steps[node.inputs[0]], node.attrs
    if _is_elementwise(node):
        operands = (_at(rewriter, value, steps[value], kept) for value in node.inputs)
        return rewriter.emit(node.op, *operands, **attrs)
    if node.op == "slice":
        stop = tuple(
            -(-last // had) if isinstance(last, int) else last
            for last, had in zip(attrs["stop"], have, strict=True)
        )
        step = tuple(by // had for by, had in zip(attrs["step"], have, strict=True))
        operand = rewriter.current(node.inputs[0])
        return rewriter.emit("slice", operand, start=attrs["start"], stop=stop, step=step)
    strides = tuple(
        stride * keep // had
        for stride, keep, had in zip(attrs["strides"], kept[1:-1], have[1:-1], strict=True)
    )
    return rewriter.emit(node.op, *rewriter.operands(node), **{**attrs, "strides": strides})


def _at(rewriter: Rewriter, value: Value, have: Steps, want: Steps) -> Value:
    """An old value, which is computed at the steps `have`, at larger ones."""
    new = rewriter.current(value)
    if have == want:
        return new
    step = tuple(wanted // had for wanted, had in zip(want, have, strict=True))
    spread = made_by(new, "broadcast")
    if spread is not None and all(step[d] == 1 for d in spread.attrs["dims"]):
        shape = tuple(
            -(-dim // by) if isinstance(dim, int) else dim
            for dim, by in zip(new.type.shape, step, strict=True)
        )
        return rewriter.emit("broadcast", *spread.inputs, shape=shape, dims=spread.attrs["dims"])
    return rewriter.emit("slice", new, start=(0,) * len(step), stop=new.type.shape, step=step)
