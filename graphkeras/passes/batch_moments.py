"""The mean and variance of a batch, of parts that a convolution can add up as it writes them.

A variance around the mean of a whole batch needs all of the batch before its first square. With the
mean m_i and the squares q_i around it for each image i of P pixels, as Chan, Golub and LeVeque give
them (1979), the image need not be seen again::

    y ──► s_i = sum over pixels of y            m_i = s_i / P       in the kernel that writes y,
     ╲──► q_i = sum of (y - m_i)^2                                  while the image is in cache
    m = sum of s_i / (N P)                                          N numbers a channel
    sum of (y - m)^2 = sum of q_i + P (m_i - m)^2

This is as exact as squares around the mean of all: every difference is of numbers near each other
where the variance is small, and no large numbers cancel, as in E[y^2] - m^2. What is not finite
makes the same sums not finite as before.

The gradient of the variance also asks for the sum of y - m, which is zero but for rounding. It is
taken from the sums that are known: sum of (s_i - P m).
"""

from __future__ import annotations

from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rewriter import Rewriter


@frozen
class _Centred:
    """A sum over all dims but the last of x - mean, or of its square."""

    x: Value
    mean: Value
    squared: bool


@frozen
class BatchMoments:
    """Takes the squares around the mean of a contraction's result image by image.

    Attributes:
        min_part: Pixels of an image below which its sums are as much to read as the image.
    """

    name: ClassVar[str] = "batch_moments"
    min_part: int = 16

    def __call__(self, graph: Graph) -> Graph:
        """The graph with such sums split; the same object if there are none."""
        found = {node: c for node in graph.nodes if (c := self._centred(node)) is not None}
        wanted = {(c.x, c.mean) for c in found.values() if c.squared}
        rewriter, sums = Rewriter(graph, self.name), dict[Value, Value]()
        for node in graph.nodes:
            centred, x = found.get(node), node.inputs[0] if node.inputs else None
            with rewriter.standing_for(node):
                if x is not None and _is_batch_sum(node) and any(x is each for each, _ in wanted):
                    sums[x] = rewriter.emit("reduce_sum", rewriter.current(x), axes=_inner(x))
                    total = rewriter.emit("reduce_sum", sums[x], axes=(0,))
                    rewriter.replace(node.result, total)
                elif centred is not None and (centred.x, centred.mean) in wanted:
                    emit = _squares if centred.squared else _rest
                    result = emit(rewriter, centred, sums[centred.x])
                    rewriter.replace(node.result, result)
                else:
                    rewriter.take(node)
        return rewriter.finish()

    def _centred(self, node: Node) -> _Centred | None:
        """What a node sums up, if it is a contraction's result around its mean."""
        if not _is_batch_sum(node):
            return None
        distance = node.inputs[0].producer
        squared = distance is not None and distance.op == "mul"
        if distance is not None and squared:
            one, other = distance.inputs
            distance = one.producer if one is other else None
        if distance is None or distance.op != "sub":
            return None
        x, spread = distance.inputs
        pixels = product(x.type.shape[1:-1])
        whole = isinstance(pixels, int) and pixels >= self.min_part
        made = x.producer is not None and get_op(x.producer.op).kind is Kind.CONTRACT
        broadcast = spread.producer
        if not (whole and made) or broadcast is None or broadcast.op != "broadcast":
            return None
        (mean,) = broadcast.inputs
        if broadcast.attrs["dims"] != (x.type.rank - 1,) or not _is_mean(mean, x):
            return None
        return _Centred(x, mean, squared)


def _is_batch_sum(node: Node) -> bool:
    """Whether a node sums a float tensor of images up over all dims but the last."""
    if node.op != "reduce_sum" or not node.types[0].is_float:
        return False
    rank = node.inputs[0].type.rank
    return rank >= 3 and tuple(sorted(node.attrs["axes"])) == tuple(range(rank - 1))


def _is_mean(mean: Value, x: Value) -> bool:
    """Whether a value is made from the sum of x, elementwise."""
    scaled = mean.producer
    if scaled is None or scaled.op not in ("mul", "div"):
        return False
    total = scaled.inputs[0].producer
    return total is not None and _is_batch_sum(total) and total.inputs[0] is x


def _inner(x: Value) -> tuple[int, ...]:
    """The dims of an image without its channels."""
    return tuple(range(1, x.type.rank - 1))


def _squares(rewriter: Rewriter, centred: _Centred, sums: Value) -> Value:
    """The sum of q_i + P (m_i - m)^2."""
    x, mean = rewriter.current(centred.x), rewriter.current(centred.mean)
    pixels = number(product(x.type.shape[1:-1]))
    # Spread and then scaled: a mean of an image that is in memory would be one more result.
    spread = rewriter.emit("broadcast", sums, shape=x.type.shape, dims=(0, x.type.rank - 1))
    within = _square(rewriter, x, _scaled(rewriter, spread, 1.0 / pixels))
    inner = rewriter.emit("reduce_sum", within, axes=_inner(x))
    whole = rewriter.emit("broadcast", mean, shape=sums.type.shape, dims=(1,))
    between = _square(rewriter, _scaled(rewriter, sums, 1.0 / pixels), whole)
    parts = rewriter.emit("add", inner, _scaled(rewriter, between, float(pixels)))
    return rewriter.emit("reduce_sum", parts, axes=(0,))


def _rest(rewriter: Rewriter, centred: _Centred, sums: Value) -> Value:
    """The sum of s_i - P m."""
    mean = rewriter.current(centred.mean)
    pixels = number(product(centred.x.type.shape[1:-1]))
    spread = rewriter.emit("broadcast", mean, shape=sums.type.shape, dims=(1,))
    parts = rewriter.emit("sub", sums, _scaled(rewriter, spread, float(pixels)))
    return rewriter.emit("reduce_sum", parts, axes=(0,))


def _square(rewriter: Rewriter, a: Value, b: Value) -> Value:
    distance = rewriter.emit("sub", a, b)
    return rewriter.emit("mul", distance, distance)


def _scaled(rewriter: Rewriter, x: Value, factor: float) -> Value:
    constant = rewriter.constant(factor, dtype=x.type.dtype)
    spread = rewriter.emit("broadcast", constant, shape=x.type.shape, dims=())
    return rewriter.emit("mul", x, spread)
