"""Whether convolutions compute a tree of elementwise ops while they copy their operand.

A normalised and rectified image is read by the next convolution and, in a training step, by the
gradient of its kernel and by the mask of the rectifier. Either it is written once, or by nobody::

    z ──► scale, shift, relu ──► a ──┬──► conv             written: z is read once more, and a is
                                     ├──► kernel's gradient    fetched and written back
                                     └──► a > 0            unwritten: z is read in place of a, and
                                                               a computed anew by each of them

A convolution with padding copies lines of its operand anyway, with zeros around them, so the tree
costs it a few instructions an element; the zeros stay zeros. What speaks against it is counted in
the same unit, and all of it is below: dear trees, many readers, readers that would not copy
otherwise or copy several times, and trees of two images, both of which every reader reads.

In one run on two cores: 2-4 % of a training step (ResNet-20, batch 64, 74.1 to 72.4 ms; with the
activations in front of convolutions 50.2 to 48.2).

Nothing is gained where the tree joins the kernel that makes z, as a bias and a rectifier do: then z
is not written at all. It cannot join where something of it, as the scale, is a statistic of z.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Contraction, Kind, get_op
from graphkeras.ir.scalar import INDEX, Var

PASS = 25
"""Instructions an element (of vectors of 16) that reading an image from memory takes as long as.
Normalising 64 images of 32x32x16 pixels reads and writes, for which lines are fetched, 0.5 ms on
two cores: as long as 70."""
BANDS = 2
"""How often a line is copied at most, where bands of lines overlap."""
COPY = 8
"""For a reader that would read its operand in place: stores and loads of the copy, and waiting for
memory, which tiles do not."""
TEAM = 4
"""Threads that copy everything each, where they share channels of a gradient and not images."""
WEIGHTS = 1 << 18
"""Elements of a kernel that are used together; lines are copied again for each such part."""
FILTERS = 128
"""The same for a gradient of transformed patches, in filters."""
LEAST_CHANNELS = 16
"""Of a pixel, for copies of whole vectors."""


def pays_while_copying(
    value: Value,
    readers: Sequence[Node],
    tree: int,
    written: Collection[Value],
    order: Mapping[Node, int],
) -> bool:
    """Whether the readers of a value, a contraction among them, should compute it each.

    Args:
        value: Result of a tree of elementwise ops.
        readers: Its users.
        tree: What an element costs, in simple instructions.
        written: The values that are written, as far as the graph comes before this one.
        order: Position of each node in the graph.
    """
    images = _images(value, written)
    if images is None or _joins(value, images, written, order):
        return False
    saved = PASS * (len(images) + 2)
    spent = sum(PASS * (len(images) - 1) + _price(value, reader, tree) for reader in readers)
    return spent < saved


def _images(value: Value, written: Collection[Value]) -> list[Value] | None:
    """The written images a tree reads; None where it reads anything but these and channels."""
    kind = value.type
    if not kind.is_float or len(kind.shape) < 3 or not isinstance(kind.shape[-1], int):
        return None
    if kind.shape[-1] < LEAST_CHANNELS:
        return None
    small = (1, kind.shape[-1])
    images: list[Value] = []
    seen: set[Value] = set()
    stack = [value]
    while stack:
        each = stack.pop()
        if each in seen or each.type.numel in small:
            continue
        seen.add(each)
        node = each.producer
        if node is None or each in written:
            if each.type.shape != kind.shape:
                return None
            images.append(each)
        elif get_op(node.op).kind is Kind.ELEMENTWISE:
            stack.extend(node.inputs)
        elif any(operand.type.numel not in small for operand in node.inputs):
            return None
    return images or None


def _joins(
    value: Value, images: Sequence[Value], written: Collection[Value], order: Mapping[Node, int]
) -> bool:
    """Whether the tree would be computed by the kernel that makes its last image.

    Not where something of the tree waits for another kernel that reads the image.
    """
    made = [image.producer for image in images if image.producer is not None]
    last = max(made, key=lambda node: order[node], default=None)
    if last is None:
        return False
    stack, seen = [value], set(images)
    while stack:
        each = stack.pop()
        node = each.producer
        if each in seen or node is None or order[node] < order[last]:
            continue
        seen.add(each)
        if each in written and _depends(each, last, order):
            return False
        stack.extend(node.inputs)
    return True


def _depends(value: Value, on: Node, order: Mapping[Node, int]) -> bool:
    """Whether a value is computed from results of a node."""
    stack, seen = [value], set[Value]()
    while stack:
        each = stack.pop()
        node = each.producer
        if node is on:
            return True
        if each not in seen and node is not None and order[node] > order[on]:
            seen.add(each)
            stack.extend(node.inputs)
    return False


def _price(value: Value, reader: Node, tree: int) -> float:
    """What a reader pays for an element, in simple instructions."""
    rule = get_op(reader.op).contraction
    if rule is None:
        return tree
    return _copied(value, reader, rule(reader), tree)


def _copied(value: Value, reader: Node, rule: Contraction, tree: int) -> float:
    """What a contraction pays for an element, with what it copies in any case taken off."""
    never = float("inf")
    filters = product(rule.n)
    if value is not reader.inputs[0] or value in reader.inputs[1:] or rule.view is None:
        return never
    if rule.phases or not isinstance(filters, int) or filters == 1:
        return never
    b, m, k = (
        [Var(INDEX, f"{name}{i}") for i in range(len(dims))]
        for name, dims in (("b", rule.batch), ("m", rule.m), ("k", rule.k))
    )
    image = rule.view.place(b, m, k)[0]
    if rule.transformed == "sums":
        return BANDS * -(-filters // FILTERS) * tree + COPY
    if image == m[0] and not rule.batch:
        padded = bool(rule.lhs(b, m, k)[1])
        weights = product((filters, *rule.k))
        assert isinstance(weights, int)
        return BANDS * -(-weights // WEIGHTS) * tree + (0 if padded else COPY)
    if b and image == b[0] and _are_ones(rule.batch[1:]):
        return BANDS * tree + COPY
    if image == k[0] and not rule.batch:
        return TEAM * (tree + COPY)
    return never


def _are_ones(dims: Sequence[Dim]) -> bool:
    return all(dim == 1 for dim in dims)


__all__ = ["pays_while_copying"]
