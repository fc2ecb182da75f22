"""A rewrite rule: what a single-result node of some op may be replaced by.

A rule is a function from a `Match` to the value that replaces the node's result, or None where
it does not apply. It decides before it emits, so that a rule that does not apply leaves no
nodes behind. Nodes it emits are simplified in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Shape
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rewriter import Rewriter


@frozen
class Match:
    """A node that a rule looks at, in the graph that is being built."""

    builder: Rewriter
    node: Node

    @property
    def operand(self) -> Value:
        """The first operand."""
        return self.node.inputs[0]

    @property
    def attrs(self) -> Any:
        """The node's attributes."""
        return self.node.attrs

    @property
    def shape(self) -> Shape:
        """The result's shape."""
        return self.node.types[0].shape

    @property
    def dtype(self) -> str:
        """The result's dtype."""
        return self.node.types[0].dtype

    @property
    def is_float(self) -> bool:
        """Whether the result is of a float dtype."""
        return self.node.types[0].is_float

    def full(self, number: Any) -> Value:
        """A tensor of the result's type, every element `number`."""
        scalar = self.builder.constant(number, dtype=self.dtype)
        return self.spread(scalar, self.shape)

    def spread(self, scalar: Value, shape: Shape) -> Value:
        """A scalar broadcast to a shape."""
        return self.builder.emit("broadcast", scalar, shape=shape, dims=()) if shape else scalar


Rewrite = Callable[[Match], Value | None]


@frozen
class Rule:
    """One rewrite: the ops it looks at, and the function that does it."""

    ops: tuple[str, ...]
    """Names of the ops; empty: every elementwise op."""
    rewrite: Rewrite

    @property
    def name(self) -> str:
        """The function's name with spaces, such as `"double transpose"`."""
        return self.rewrite.__name__.strip("_").replace("_", " ")

    @property
    def place(self) -> str:
        """File and line of the rule."""
        code = self.rewrite.__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


def by_op(rules: Iterable[Rule]) -> dict[str, tuple[Rule, ...]]:
    """The rules that look at each op, in the order given; key `""`: every elementwise op."""
    table: dict[str, list[Rule]] = {}
    for rule in rules:
        for op in rule.ops or ("",):
            table.setdefault(op, []).append(rule)
    return {op: tuple(found) for op, found in table.items()}


def made_by(value: Value, *ops: str) -> Node | None:
    """The node that made `value` if it is one of `ops`."""
    node = value.producer
    return node if node is not None and node.op in ops else None


def uniform(value: Value) -> Any | None:
    """The number that every element of `value` is, or None where it is not known to be one.

    Looks through broadcasts. Zeros of different sign and NaNs count as different numbers.
    """
    node = value.producer
    while node is not None and node.op == "broadcast":
        node = node.inputs[0].producer
    if node is None or get_op(node.op).kind is not Kind.CONSTANT:
        return None
    array = node.attrs["value"]
    if array.size == 0 or array.size > 4096:
        return None
    flat = array.reshape(-1)
    first = flat[0]
    same = np.all(flat == first) and np.all(np.signbit(flat) == np.signbit(first))
    return first if same else None
