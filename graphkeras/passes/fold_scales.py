"""Folds a scale a channel, known before the data, into the weights of the contraction before it.

A batch normalisation at inference is a scale and a shift a channel, both made of variables::

    x ──► conv(w) ──► - mean ──► * factor ──► + beta           as traced

    x ──► conv(w * factor) ──► + (beta - mean * factor)        after this pass

What depends on variables alone is computed once for many calls (`split_constants`), and what is
left in the convolution's epilogue is an addition.

**Rounding.** With c = sum of x w, both forms differ from the exact result by rounding each
factor, each product and the sum once: errors of some units in the last place of the terms' sum
of magnitudes, as for any order of additions. `mean * factor` is rounded where `c - mean` was; where
the two nearly cancel, c itself is no better than that. Products of weights and factors may leave
the range of the dtype where the products with c did not.

**NaN and infinity.** An infinite or NaN element of x reaches the same results: infinity times a
factor of zero is NaN in both forms, and otherwise keeps its sign. Where a factor itself is not
finite, which takes a variance of minus epsilon or weights that are lost already, no result of its
channel is finite in either form, but NaN and infinity may change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Shape
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Affine, get_op
from graphkeras.ir.scalar import INDEX, Var
from graphkeras.passes.rewriter import Rewriter
from graphkeras.passes.rules.rule import made_by
from graphkeras.passes.split_constants import constant_values


@frozen
class _Tail:
    """The nodes behind a contraction that scale and shift its channels."""

    hero: Node
    steps: tuple[tuple[str, Value], ...]
    """Op and vector (or number) of each node, in order."""
    last: Node


@frozen
class FoldScales:
    """Scales weights instead of results.

    Attributes:
        constant: Positions of the inputs that are known before the data.
    """

    name: ClassVar[str] = "fold_scales"
    constant: tuple[int, ...] = ()

    def __call__(self, graph: Graph) -> Graph:
        """The graph with scales folded; the same object if there are none."""
        known = constant_values(graph, self.constant)
        found = [_tail(graph, node, known) for node in graph.nodes]
        tails = {tail.last: tail for tail in found if tail is not None}
        rewriter = Rewriter(graph, self.name)
        for node in graph.nodes:
            if node not in tails:
                rewriter.take(node)
                continue
            with rewriter.standing_for(node):
                rewriter.replace(node.result, _folded(rewriter, tails[node]))
        return rewriter.finish()


def _tail(graph: Graph, hero: Node, known: set[Value]) -> _Tail | None:
    """What scales and shifts the channels of a contraction's result, and nothing else reads."""
    if _channel(hero) is None or hero.inputs[1] not in known or not hero.types[0].is_float:
        return None
    steps: list[tuple[str, Value]] = []
    last = hero
    while last.result not in graph.outputs and len(graph.users.get(last.result, ())) == 1:
        (user,) = graph.users[last.result]
        vector = _vector(user, last.result, known)
        if vector is None:
            break
        steps.append((user.op, vector))
        last = user
    if not any(get_op(op).affine is Affine.SCALE for op, _ in steps):
        return None
    return _Tail(hero, tuple(steps), last)


def _channel(hero: Node) -> int | None:
    """The dim of the right operand that is the last dim of a contraction's result."""
    contraction = get_op(hero.op).contraction
    if contraction is None:
        return None
    rule = contraction(hero)
    b, m, n, k = (
        [Var(INDEX, f"{group}{i}") for i in range(len(dims))]
        for group, dims in (("b", rule.batch), ("m", rule.m), ("n", rule.n), ("k", rule.k))
    )
    place, result = rule.rhs(b, k, n)[0], rule.out(b, m, n)
    return place.index(result[-1]) if result and result[-1] in place else None


def _vector(user: Node, value: Value, known: set[Value]) -> Value | None:
    """What `user` combines each channel of `value` with: a constant vector or number."""
    op = get_op(user.op)
    if op.affine is None or user.inputs.count(value) != 1:
        return None
    place = user.inputs.index(value)
    if place == 1 and not op.commutative:
        return None
    spread = made_by(user.inputs[1 - place], "broadcast")
    if spread is None or spread.inputs[0] not in known:
        return None
    source, dims = spread.inputs[0], spread.attrs["dims"]
    return source if dims in ((), (value.type.rank - 1,)) else None


def _folded(rewriter: Rewriter, tail: _Tail) -> Value:
    """The contraction with scaled weights, and its shift."""
    hero = tail.hero
    with rewriter.standing_for(hero):
        x, w = rewriter.operands(hero)
        axis = _channel(hero)
        assert axis is not None
        scale, shift = _combined(rewriter, tail.steps, (w.type.shape[axis],), w.type.dtype)
        wide = rewriter.emit("broadcast", scale, shape=w.type.shape, dims=(axis,))
        result = rewriter.emit(hero.op, x, rewriter.emit("mul", w, wide), **hero.attrs)
    if shift is None:
        return result
    shape = result.type.shape
    spread = rewriter.emit("broadcast", shift, shape=shape, dims=(len(shape) - 1,))
    return rewriter.emit("add", result, spread)


def _combined(
    rewriter: Rewriter, steps: Sequence[tuple[str, Value]], shape: Shape, dtype: str
) -> tuple[Value, Value | None]:
    """All steps as one scale and one shift of the channels."""

    def vector(value: Value) -> Value:
        wide = bool(value.type.shape)
        return value if wide else rewriter.emit("broadcast", value, shape=shape, dims=())

    scale = vector(rewriter.constant(1.0, dtype))
    shift: Value | None = None
    for op, operand in steps:
        each = vector(operand)
        if get_op(op).affine is Affine.SCALE:
            scale = rewriter.emit(op, scale, each)
            shift = shift and rewriter.emit(op, shift, each)
        else:
            # -0.0 + v and -0.0 - v are v and -v, for zeros too.
            before = shift or vector(rewriter.constant(-0.0, dtype))
            shift = rewriter.emit(op, before, each)
    return scale, shift
