"""Products of matrices and tensors, of `keras.ops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras.ir.dims import Dim
from graphkeras.ops._common import (
    TensorLike,
    broadcast_shape,
    expand_to,
    one_axis,
    promote,
    reshape_to,
)
from graphkeras.ops.elementwise import multiply
from graphkeras.ops.reduction import sum as reduce_sum
from graphkeras.ops.shaping import permuted, ravel
from graphkeras.trace import Tensor, emit, op


def contract(
    a: Tensor,
    b: Tensor,
    lhs_contract: Sequence[int],
    rhs_contract: Sequence[int],
    lhs_batch: Sequence[int] = (),
    rhs_batch: Sequence[int] = (),
) -> Tensor:
    """`dot_general`: batch axes, then free axes of `a`, then free axes of `b`."""
    return emit(
        "dot_general",
        a,
        b,
        lhs_batch=tuple(lhs_batch),
        rhs_batch=tuple(rhs_batch),
        lhs_contract=tuple(lhs_contract),
        rhs_contract=tuple(rhs_contract),
    )


def _check_inner(name: str, a: Tensor, b: Tensor, inner_a: Dim, inner_b: Dim) -> None:
    if inner_a != inner_b:
        raise ValueError(
            f"{name}: the inner sizes must be equal, received {inner_a} and {inner_b} "
            f"(shapes {a.shape} and {b.shape})"
        )


@op
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Matrix product of the last two axes; the axes before broadcast.

    A vector on the left is a row, on the right a column; its axis is not in the result.

    Raises:
        ValueError: for scalars, or where the inner sizes differ.
    """
    a, b = promote(x1, x2)
    if not a.dims or not b.dims:
        raise ValueError(f"matmul needs tensors of 1 or more dimensions: {a.shape} and {b.shape}")
    contract_b = max(len(b.dims) - 2, 0)
    _check_inner("matmul", a, b, a.dims[-1], b.dims[contract_b])
    if len(b.dims) <= 2:
        return contract(a, b, (len(a.dims) - 1,), (contract_b,))
    if len(a.dims) == 1:
        return contract(a, b, (0,), (len(b.dims) - 2,))
    batch = broadcast_shape(a.dims[:-2], b.dims[:-2])
    a = expand_to(a, (*batch, *a.dims[-2:]))
    b = expand_to(b, (*batch, *b.dims[-2:]))
    rank = len(batch)
    axes = tuple(range(rank))
    return contract(a, b, (rank + 1,), (rank,), axes, axes)


@op
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Sum over the last axis of `x1` and the last but one of `x2`; scalars multiply."""
    a, b = promote(x1, x2)
    if not a.dims or not b.dims:
        return multiply(a, b)
    inner = max(len(b.dims) - 2, 0)
    _check_inner("dot", a, b, a.dims[-1], b.dims[inner])
    return contract(a, b, (len(a.dims) - 1,), (inner,))


@op
def tensordot(x1: TensorLike, x2: TensorLike, axes: Any = 2) -> Tensor:
    """Sum of products over pairs of axes.

    Args:
        x1: tensor.
        x2: tensor.
        axes: how many last axes of `x1` meet the first of `x2`, or two lists of axes.
    """
    a, b = promote(x1, x2)
    if isinstance(axes, int):
        left = list(range(len(a.dims) - axes, len(a.dims)))
        right = list(range(axes))
    else:
        left, right = ([s] if isinstance(s, int) else list(s) for s in axes)
    left = [one_axis(i, len(a.dims)) for i in left]
    right = [one_axis(i, len(b.dims)) for i in right]
    for i, j in zip(left, right, strict=True):
        _check_inner("tensordot", a, b, a.dims[i], b.dims[j])
    return contract(a, b, left, right)


@op
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """All products of an element of `x1` with one of `x2`, both flattened."""
    a, b = (ravel(t) for t in promote(x1, x2))
    return multiply(reshape_to(a, (*a.dims, 1)), reshape_to(b, (1, *b.dims)))


@op
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Sum of the products of the elements, both flattened."""
    return reduce_sum(multiply(x1, x2))


@op
def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Einstein summation, such as `einsum("bij,bjk->bik", x, y)`.

    Operands are contracted from left to right; `...` stands for the axes before the named ones.

    Raises:
        ValueError: for subscripts that do not fit the operands, or repeat a letter in one operand.
    """
    tensors = promote(*operands)
    inputs, output = _subscripts(subscripts, [len(t.dims) for t in tensors])
    labels, result = inputs[0], tensors[0]
    for position in range(1, len(tensors)):
        later = set(output).union(*inputs[position + 1 :])
        labels, result = _pair(labels, result, inputs[position], tensors[position], later)
    gone = [i for i, label in enumerate(labels) if label not in output]
    if gone:
        result = emit("reduce_sum", result, axes=tuple(gone))
        labels = [label for label in labels if label in output]
    return permuted(result, tuple(labels.index(label) for label in output))


def _subscripts(text: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"einsum: {text!r} names {len(terms)} operands, received {len(ranks)}")
    inputs = [_labels(term, rank, text) for term, rank in zip(terms, ranks, strict=True)]
    extra = max((sum(1 for x in labels if x.isdigit()) for labels in inputs), default=0)
    spread = [str(i) for i in reversed(range(extra))]
    if arrow:
        head, dots, tail = right.partition("...")
        output = [*head, *(spread if dots else ()), *tail]
    else:
        every = [label for labels in inputs for label in labels if not label.isdigit()]
        output = [*spread, *sorted(x for x in set(every) if every.count(x) == 1)]
    missing = [x for x in output if not any(x in labels for labels in inputs)]
    if missing:
        raise ValueError(f"einsum: {missing} of the result is in no operand of {text!r}")
    return inputs, output


def _labels(term: str, rank: int, text: str) -> list[str]:
    head, dots, tail = term.partition("...")
    named = len(head) + len(tail)
    if named > rank or (not dots and named != rank):
        raise ValueError(f"einsum: the term {term!r} of {text!r} does not fit {rank} dimensions")
    labels = [*head, *(str(i) for i in reversed(range(rank - named))), *tail]
    if len(set(labels)) != len(labels):
        raise ValueError(
            f"einsum: {term!r} repeats a letter in one operand, which is not supported"
        )
    return labels


def _pair(
    left: list[str], a: Tensor, right: list[str], b: Tensor, later: set[str]
) -> tuple[list[str], Tensor]:
    """Contracts two operands; letters needed `later` stay."""
    shared = [x for x in left if x in right]
    for x in shared:
        i, j = left.index(x), right.index(x)
        if a.dims[i] != b.dims[j]:
            if 1 not in (a.dims[i], b.dims[j]):
                raise ValueError(
                    f"einsum: axis {x!r} has sizes {a.dims[i]} and {b.dims[j]} "
                    f"(shapes {a.shape} and {b.shape})"
                )
            size = b.dims[j] if a.dims[i] == 1 else a.dims[i]
            a = expand_to(a, (*a.dims[:i], size, *a.dims[i + 1 :]))
            b = expand_to(b, (*b.dims[:j], size, *b.dims[j + 1 :]))
    batch = [x for x in shared if x in later]
    inner = [x for x in shared if x not in later]
    result = contract(
        a,
        b,
        [left.index(x) for x in inner],
        [right.index(x) for x in inner],
        [left.index(x) for x in batch],
        [right.index(x) for x in batch],
    )
    free = [x for x in left if x not in shared] + [x for x in right if x not in shared]
    return batch + free, result
