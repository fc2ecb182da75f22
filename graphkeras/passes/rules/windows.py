"""Rules about the gradient of a maximum over windows.

Let m = window_max(r), k = window_argmax(r, m) and s = window_scatter(d, k): an element e of r
gets s[e], the sum of d[w] over the windows w that it won, and zero if it won none. The element
that wins a window is its maximum: r[e] = m[w] (or both are NaN). So work on s, at the resolution
of r, can as well be done on d, one element a window::

    r ──► max ──► m             dr = select(r > 0, scatter(d, k), 0)      full resolution, reads r
     ╲──► argmax ─► k              = scatter(select(m > 0, d, 0), k)      pooled, r is not kept
"""

from __future__ import annotations

import numpy as np

from graphkeras.ir.graph import Node, Value
from graphkeras.passes.rules.rule import Match, Rule, made_by, uniform


def _winners_of(scatter: Node) -> Node | None:
    """The `window_argmax` whose windows a `window_scatter` writes to."""
    argmax = made_by(scatter.inputs[1], "window_argmax")
    if argmax is None or argmax.inputs[0].type.shape != scatter.types[0].shape:
        return None
    same = all(scatter.attrs[name] == value for name, value in argmax.attrs.items())
    return argmax if same else None


def _mask_of_winners(m: Match) -> Value | None:
    """Rule: select(f(r), scatter(d, k), 0) -> scatter(select(f(max), d, 0), k).

    f compares r with a constant, such as the `r > 0` of a rectifier's
    gradient. Proof, for an element e. Where it won no window, the scatter is 0 and so are both
    sides. Where it won, f gives the same for r[e] as for the maximum of every window it won, as
    these are equal; both sides are then the sum of d over these windows, or 0. Equal may mean
    0.0 and -0.0, or two NaNs (a NaN wins its window): no comparison tells either apart, and f is
    a comparison.
    """
    condition, scattered, zero = m.node.inputs
    scatter = made_by(scattered, "window_scatter")
    outside = uniform(zero)
    if scatter is None or outside is None or outside != 0 or np.signbit(outside):
        return None
    argmax, test = _winners_of(scatter), condition.producer
    if argmax is None or test is None or not m.builder.is_read_once(scatter):
        return None
    if test.op not in _COMPARISONS:
        return None
    r, largest = argmax.inputs
    numbers = [None if v is r else uniform(v) for v in test.inputs]
    if not all(v is r or n is not None for v, n in zip(test.inputs, numbers, strict=True)):
        return None
    pooled = [_filled(m, largest, n) if n is not None else largest for n in numbers]
    kept = m.builder.emit(test.op, *pooled, **test.attrs)
    d = scatter.inputs[0]
    masked = m.builder.emit("select", kept, d, _filled(m, d, outside))
    return m.builder.emit("window_scatter", masked, argmax.result, **scatter.attrs)


_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def _filled(m: Match, like: Value, number: object) -> Value:
    """A tensor of the type of `like`, every element `number`."""
    return m.spread(m.builder.constant(number, dtype=like.type.dtype), like.type.shape)


def _sum_of_winners(m: Match) -> Value | None:
    """Rule: reduce_sum(scatter(d, k)) -> reduce_sum(d) over whole windows, as for a bias.

    Every window has one winner, so both sides add up the same terms, beside zeros. The terms
    come in another order: they may round differently, as those of any sum over several dims.
    """
    scatter = made_by(m.operand, "window_scatter")
    if scatter is None or _winners_of(scatter) is None:
        return None
    sizes = zip(scatter.attrs["window"], scatter.attrs["strides"], strict=True)
    moved = [d for d, (window, stride) in enumerate(sizes) if window != 1 or stride != 1]
    moved += [d for d, p in enumerate(scatter.attrs["padding"]) if tuple(p) != (0, 0)]
    if not set(moved) <= set(m.attrs["axes"]):
        return None
    return m.builder.emit("reduce_sum", scatter.inputs[0], axes=m.attrs["axes"])


WINDOWS: tuple[Rule, ...] = (
    Rule(("select",), _mask_of_winners),
    Rule(("reduce_sum",), _sum_of_winners),
)
"""In the order they are tried."""
