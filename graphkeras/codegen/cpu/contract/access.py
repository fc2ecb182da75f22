"""Where the elements of an operand lie, as strides.

A contraction's rule says at which position of an operand an element lies, as an expression in
the positions b, m, k, n. Where the offset in memory is a sum of these times constants, the
operand can be read in place, by a tile whose strides are constants::

    x[n, oy + kh, ox + kw, c] of [N, 13, 13, 32]      m = (n, oy, ox)    strides (5408, 416, 32)
                                                      k = (kh, kw, c)    strides (416, 32, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Var, as_index

Linear = Mapping[str, int]
"""Variable -> factor of it; "" -> the constant."""


def linear(expr: Expr) -> Linear | None:
    """An index expression as a sum of variables times constants, or None where it is not one."""
    if isinstance(expr, Const):
        return {"": int(expr.value)}
    if isinstance(expr, Var):
        return {expr.name: 1}
    if not isinstance(expr, Apply) or len(expr.args) != 2:
        return None
    a, b = (linear(arg) for arg in expr.args)
    if a is None or b is None:
        return None
    if expr.template in ("({0} + {1})", "({0} - {1})"):
        sign = 1 if "+" in expr.template else -1
        return {name: a.get(name, 0) + sign * b.get(name, 0) for name in {**a, **b}}
    if expr.template == "({0} * {1})":
        if set(b) != {""}:
            a, b = b, a
        return {name: factor * b[""] for name, factor in a.items()} if set(b) == {""} else None
    return None


def varies(expr: Expr) -> bool:
    """Whether an expression reads anything that is not a constant."""
    if isinstance(expr, Apply):
        return any(varies(arg) for arg in expr.args)
    return not isinstance(expr, Const)


@frozen
class Strides:
    """Elements between neighbours along every dim of the positions of an operand."""

    start: int
    dims: tuple[tuple[int, ...], ...]
    """For each group of dims that was asked for (b, m, k, ...), a stride a dim."""


Place = Callable[..., Sequence[Expr]]
"""Groups of positions -> position in a tensor."""


def strides(place: Place, shape: Shape, groups: Sequence[int]) -> Strides | None:
    """Strides of the offsets that `place` gives in a row-major tensor of `shape`.

    Args:
        place: The position of an element.
        shape: Shape of the tensor in memory.
        groups: Number of dims of each argument of `place`.

    Returns:
        The strides, or None where an offset is no sum of positions times constants.
    """
    names = [[Var(INDEX, f"d{g}.{i}") for i in range(count)] for g, count in enumerate(groups)]
    total: dict[str, int] = {}
    for axis, index in enumerate(place(*names)):
        form, step = linear(index), product(shape[axis + 1 :])
        if form is None:
            return None
        for name, factor in form.items():
            if factor and not isinstance(step, int):
                return None
            if factor and isinstance(step, int):
                total[name] = total.get(name, 0) + factor * step
    dims = tuple(tuple(total.get(v.name, 0) for v in group) for group in names)
    return Strides(total.get("", 0), dims)


def without(
    found: Strides, b_dim: int | None = None, m_dim: int | None = None, k_dim: int | None = None
) -> Strides:
    """Strides with one dim's position left out: it is the one that is laid out."""
    b, m, k = found.dims
    if b_dim is not None:
        b = tuple(0 if i == b_dim else s for i, s in enumerate(b))
    if m_dim is not None:
        m = tuple(0 if i == m_dim else s for i, s in enumerate(m))
    if k_dim is not None:
        k = tuple(0 if i == k_dim else s for i, s in enumerate(k))
    return Strides(found.start, (b, m, k))


@frozen
class Axis:
    """Neighbouring dims that act as one: an extent, and a stride in each operand."""

    extent: Dim
    strides: tuple[int, ...]


def merged(extents: Sequence[Dim], *steps: Sequence[int]) -> list[Axis]:
    """Dims with what acts as one dim put together; dims of one element left out.

    Args:
        extents: Extents of the dims, outermost first.
        steps: Strides of the dims, for each operand.
    """
    result: list[Axis] = []
    for extent, *own in zip(extents, *steps, strict=True):
        if extent == 1:
            continue
        outer = result[-1] if result else None
        if (
            outer is not None
            and isinstance(extent, int)
            and all(o == s * extent for o, s in zip(outer.strides, own, strict=True))
        ):
            result[-1] = Axis(product((outer.extent, extent)), tuple(own))
        else:
            result.append(Axis(extent, tuple(own)))
    return result


def offset(positions: Sequence[Expr], steps: Sequence[int]) -> Expr:
    """Sum of positions times strides."""
    total: Expr = Const(INDEX, 0)
    for position, step in zip(positions, steps, strict=True):
        total = total + position * as_index(step)
    return total
