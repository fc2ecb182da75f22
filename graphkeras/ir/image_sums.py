"""Sums over each image of a contraction's result, while the image is in cache.

A convolution has a row of products for every position (n, y, x), and a batch normalisation behind
it wants sums over n, y and x for every channel, as does its gradient. Where one thread computes all
rows of an image, one after the other, it can add up the image it has just written::

    conv ──► y[N,H,W,C] ── sum over H,W ──► [N,C] ── sum over N ──► [C]
             in cache      same kernel               a kernel of its own, little to read

So threads share images, and the order of additions does not depend on how many threads there are.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.scalar import INDEX, Var

MOST_ELEMENTS = 1 << 17
"""Elements of an image that is still in the second-level cache when all of it is written."""


def sums_images(contraction: Node, reduction: Node) -> bool:
    """Whether a reduction takes each image of a contraction's result, or of a tensor like it.

    An image is what one position of the first dim holds. The contraction has to compute it row by
    row from one image of its left operand, of one channel or more side by side.
    """
    contract, reduce = get_op(contraction.op).contraction, get_op(reduction.op).reduction
    assert contract is not None
    assert reduce is not None
    rule, shape = contract(contraction), contraction.types[0].shape
    if reduce(reduction).window or reduction.inputs[0].type.shape != shape:
        return False
    if rule.view is None or rule.batch or rule.phases or len(rule.n) != 1 or rule.n[0] == 1:
        return False
    return tuple(sorted(reduction.attrs["axes"])) == tuple(range(1, len(rule.m))) and _in_order(
        contraction
    )


def is_image_sum(value: Value) -> bool:
    """Whether an output of a contraction's kernel is made by such a reduction."""
    return value.producer is not None and get_op(value.producer.op).kind is Kind.REDUCE


def is_near(shape: tuple[Dim, ...]) -> bool:
    """Whether an image of a tensor is small enough to be in cache when it is complete."""
    elements = product(shape[1:])
    return isinstance(elements, int) and elements <= MOST_ELEMENTS


def _in_order(contraction: Node) -> bool:
    """Whether rows and columns of a contraction are the dims of its result, image by image."""
    contract = get_op(contraction.op).contraction
    assert contract is not None
    rule = contract(contraction)
    b, m, n, k = (
        [Var(INDEX, f"{name}{i}") for i in range(len(dims))]
        for name, dims in (("b", rule.batch), ("m", rule.m), ("n", rule.n), ("k", rule.k))
    )
    return list(rule.out(b, m, n)) == [*m, *n] and rule.lhs(b, m, k)[0][0] == m[0]
