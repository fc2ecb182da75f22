"""Rules about where elements are: shapes, orders, slices, and reductions over nothing.

They move elements without computing, so they are exact, but for one freedom: a sum over a
single negative zero keeps its sign where adding it to 0 would lose it.
"""

from __future__ import annotations

from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Value
from graphkeras.passes.rules.rule import Match, Rule, made_by


def _same_shape(m: Match) -> Value | None:
    """A reshape to the operand's own shape."""
    return m.operand if m.operand.type.shape == m.shape else None


def _double_reshape(m: Match) -> Value | None:
    """Rule: reshape(reshape(x)) -> reshape(x)."""
    inner = made_by(m.operand, "reshape")
    return m.builder.emit("reshape", inner.inputs[0], shape=m.shape) if inner else None


def _identity_broadcast(m: Match) -> Value | None:
    """A broadcast that only inserts dimensions of size 1 -> reshape, or nothing at all."""
    shape, dims = m.operand.type.shape, m.attrs["dims"]
    inserted = [d for i, d in enumerate(m.shape) if i not in dims]
    same = all(m.shape[d] == size for d, size in zip(dims, shape, strict=True))
    if not same or list(dims) != sorted(dims) or any(d != 1 for d in inserted):
        return None
    return m.builder.emit("reshape", m.operand, shape=m.shape)


def _double_broadcast(m: Match) -> Value | None:
    """Rule: broadcast(broadcast(x)) -> broadcast(x)."""
    inner = made_by(m.operand, "broadcast")
    if inner is None:
        return None
    dims = tuple(m.attrs["dims"][d] for d in inner.attrs["dims"])
    return m.builder.emit("broadcast", inner.inputs[0], shape=m.shape, dims=dims)


def _broadcast_of_reshape(m: Match) -> Value | None:
    """Rule: broadcast(reshape(x)) -> broadcast(x) where the reshape only inserts sizes 1."""
    inner = made_by(m.operand, "reshape")
    if inner is None:
        return None
    kept = _kept_dims(inner.inputs[0].type.shape, m.operand.type.shape)
    if kept is None:
        return None
    dims = tuple(m.attrs["dims"][d] for d in kept)
    return m.builder.emit("broadcast", inner.inputs[0], shape=m.shape, dims=dims)


def _broadcast_of_ones(m: Match) -> Value | None:
    """Rule: broadcast(x) -> broadcast(reshape(x)) without the dims of size 1 that x has."""
    shape = m.operand.type.shape
    kept = [i for i, size in enumerate(shape) if size != 1]
    if len(kept) == len(shape):
        return None
    source = m.builder.emit("reshape", m.operand, shape=tuple(shape[i] for i in kept))
    dims = tuple(m.attrs["dims"][i] for i in kept)
    return m.builder.emit("broadcast", source, shape=m.shape, dims=dims)


def _elementwise_of_reshapes(m: Match) -> Value | None:
    """Rule: f(reshape(a), reshape(b)) -> reshape(f(a, b)), of reshapes that move sizes of 1 only.

    Scalars may be mixed in. Behind f the reshape may meet the one that takes it back.
    """
    sources: list[Value | None] = []
    for value in m.node.inputs:
        node = made_by(value, "reshape", "broadcast")
        if node is None or (node.op == "broadcast" and node.inputs[0].type.shape):
            return None
        sources.append(node.inputs[0] if node.op == "reshape" else None)
    shapes = {source.type.shape for source in sources if source is not None}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    if [d for d in shape if d != 1] != [d for d in m.shape if d != 1]:
        return None
    operands = (
        m.builder.emit("reshape", value, shape=shape) if source is None else source
        for value, source in zip(m.node.inputs, sources, strict=True)
    )
    result = m.builder.emit(m.node.op, *operands, **m.attrs)
    return m.builder.emit("reshape", result, shape=m.shape)


def _kept_dims(short: tuple[Dim, ...], long: tuple[Dim, ...]) -> list[int] | None:
    """Where the dims of `short` are in `long`, which is `short` with sizes 1 inserted."""
    kept: list[int] = []
    for i, dim in enumerate(long):
        if len(kept) < len(short) and short[len(kept)] == dim:
            kept.append(i)
        elif dim != 1:
            return None
    return kept if len(kept) == len(short) else None


def _moved_scalar(m: Match) -> Value | None:
    """Moving the elements of a broadcast scalar -> a broadcast of the new shape."""
    spread = made_by(m.operand, "broadcast")
    if spread is None or spread.inputs[0].type.shape:
        return None
    return m.spread(spread.inputs[0], m.shape)


def _identity_transpose(m: Match) -> Value | None:
    """A transpose that moves only dimensions of size 1 -> reshape, or nothing at all."""
    shape = m.operand.type.shape
    moved = [axis for axis in m.attrs["perm"] if shape[axis] != 1]
    if moved != sorted(moved):
        return None
    return m.builder.emit("reshape", m.operand, shape=m.shape)


def _double_transpose(m: Match) -> Value | None:
    """Rule: transpose(transpose(x)) -> transpose(x)."""
    inner = made_by(m.operand, "transpose")
    if inner is None:
        return None
    perm = tuple(inner.attrs["perm"][axis] for axis in m.attrs["perm"])
    return m.builder.emit("transpose", inner.inputs[0], perm=perm)


def _transpose_of_broadcast(m: Match) -> Value | None:
    """Rule: transpose(broadcast(x)) -> broadcast(transpose(x)), which moves fewer elements."""
    inner = made_by(m.operand, "broadcast")
    if inner is None:
        return None
    dims = [m.attrs["perm"].index(d) for d in inner.attrs["dims"]]
    order = tuple(sorted(range(len(dims)), key=dims.__getitem__))
    source = m.builder.emit("transpose", inner.inputs[0], perm=order)
    return m.builder.emit("broadcast", source, shape=m.shape, dims=tuple(sorted(dims)))


def _identity_reverse(m: Match) -> Value | None:
    """A reversal along dimensions of size 1, or along none."""
    return m.operand if all(m.shape[axis] == 1 for axis in m.attrs["axes"]) else None


def _double_reverse(m: Match) -> Value | None:
    """Rule: reverse(reverse(x)) -> reverse(x) along the axes that only one of them has."""
    inner = made_by(m.operand, "reverse")
    if inner is None:
        return None
    axes = tuple(sorted(set(inner.attrs["axes"]) ^ set(m.attrs["axes"])))
    return m.builder.emit("reverse", inner.inputs[0], axes=axes)


def _whole_slice(m: Match) -> Value | None:
    """A slice of everything."""
    whole = (
        all(start == 0 for start in m.attrs["start"])
        and all(step == 1 for step in m.attrs["step"])
        and tuple(m.attrs["stop"]) == m.operand.type.shape
    )
    return m.operand if whole else None


def _no_padding(m: Match) -> Value | None:
    """Padding by nothing."""
    amounts = (*m.attrs["low"], *m.attrs["high"], *m.attrs["interior"])
    return m.operand if all(amount == 0 for amount in amounts) else None


def _concat_of_few(m: Match) -> Value | None:
    """Concatenation without its empty operands, and of one operand alone."""
    axis = m.attrs["axis"]
    kept = [v for v in m.node.inputs if v.type.shape[axis] != 0] or [m.operand]
    if len(kept) == 1:
        return kept[0]
    if len(kept) == len(m.node.inputs):
        return None
    return m.builder.emit("concat", *kept, axis=axis)


def _concat_of_concat(m: Match) -> Value | None:
    """Rule: concat(concat(a, b), c) -> concat(a, b, c) along one axis."""
    axis = m.attrs["axis"]
    parts: list[Value] = []
    for value in m.node.inputs:
        inner = made_by(value, "concat")
        nested = inner is not None and inner.attrs["axis"] == axis
        parts += inner.inputs if inner is not None and nested else (value,)
    if len(parts) == len(m.node.inputs):
        return None
    return m.builder.emit("concat", *parts, axis=axis)


def _reduce_over_one(m: Match) -> Value | None:
    """A reduction over no axis, or over axes of size 1 -> reshape."""
    if any(m.operand.type.shape[axis] != 1 for axis in m.attrs["axes"]):
        return None
    return m.builder.emit("reshape", m.operand, shape=m.shape)


def _double_reduce(m: Match) -> Value | None:
    """Rule: reduce(reduce(x)) -> reduce(x) for maxima, minima and logic (sums would round anew)."""
    inner = made_by(m.operand, m.node.op)
    if inner is None:
        return None
    left = [a for a in range(inner.inputs[0].type.rank) if a not in inner.attrs["axes"]]
    axes = tuple(sorted((*inner.attrs["axes"], *(left[a] for a in m.attrs["axes"]))))
    return m.builder.emit(m.node.op, inner.inputs[0], axes=axes)


def _dot_of_transpose(m: Match) -> Value | None:
    """Rule: dot_general(transpose(x), y) -> dot_general(x, y) with other dimension numbers.

    Only where the free dimensions keep their order, since they are the result's.
    """
    for side, prefix in enumerate(("lhs", "rhs")):
        inner = made_by(m.node.inputs[side], "transpose")
        if inner is None:
            continue
        perm = inner.attrs["perm"]
        batch, contract = m.attrs[f"{prefix}_batch"], m.attrs[f"{prefix}_contract"]
        free = [perm[axis] for axis in range(len(perm)) if axis not in (*batch, *contract)]
        if free != sorted(free):
            continue
        changed = {
            f"{prefix}_batch": tuple(perm[axis] for axis in batch),
            f"{prefix}_contract": tuple(perm[axis] for axis in contract),
        }
        operands = list(m.node.inputs)
        operands[side] = inner.inputs[0]
        return m.builder.emit("dot_general", *operands, **{**m.attrs, **changed})
    return None


def _transpose_of_dot(m: Match) -> Value | None:
    """Rule: transpose(dot_general(x, y)) -> dot_general(y, x), the two groups of free dims swapped.

    Only where nothing else reads the product, which would then be computed twice.
    """
    inner = made_by(m.operand, "dot_general")
    if inner is None or not m.builder.is_read_once(inner):
        return None
    x, y = inner.inputs
    batch = len(inner.attrs["lhs_batch"])
    middle = x.type.rank - len(inner.attrs["lhs_contract"])
    end = m.operand.type.rank
    if m.attrs["perm"] != (*range(batch), *range(middle, end), *range(batch, middle)):
        return None
    attrs = {
        f"{to}_{what}": inner.attrs[f"{side}_{what}"]
        for side, to in (("lhs", "rhs"), ("rhs", "lhs"))
        for what in ("batch", "contract")
    }
    return m.builder.emit("dot_general", y, x, **attrs)


_REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or")

SHAPES: tuple[Rule, ...] = (
    Rule(("reshape",), _same_shape),
    Rule(("reshape", "transpose", "reverse", "slice"), _moved_scalar),
    Rule(("reshape",), _double_reshape),
    Rule(("broadcast",), _identity_broadcast),
    Rule(("broadcast",), _double_broadcast),
    Rule(("broadcast",), _broadcast_of_reshape),
    Rule(("broadcast",), _broadcast_of_ones),
    Rule((), _elementwise_of_reshapes),
    Rule(("transpose",), _identity_transpose),
    Rule(("transpose",), _double_transpose),
    Rule(("transpose",), _transpose_of_broadcast),
    Rule(("transpose",), _transpose_of_dot),
    Rule(("reverse",), _identity_reverse),
    Rule(("reverse",), _double_reverse),
    Rule(("slice",), _whole_slice),
    Rule(("pad",), _no_padding),
    Rule(("concat",), _concat_of_few),
    Rule(("concat",), _concat_of_concat),
    Rule(_REDUCTIONS, _reduce_over_one),
    Rule(("reduce_max", "reduce_min", "reduce_and", "reduce_or"), _double_reduce),
    Rule(("dot_general",), _dot_of_transpose),
)
"""In the order they are tried."""
