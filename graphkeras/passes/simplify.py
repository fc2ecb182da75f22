"""Canonical forms and algebraic simplification.

One sweep over the nodes. Every node, old or emitted by a rule, is offered to the rules of its
op before it enters the new graph::

    node --rule matches--> nodes of the rule --> offered in turn --> new graph
         --none matches--> new graph

Operands are in their simplest form when a node is looked at, and every rule leaves something
simpler, so one sweep reaches the fixed point. What is replaced stays behind as dead code for
`dce`. The rules are data in `passes/rules/`.
"""

from __future__ import annotations

from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.rewriter import Rewriter
from graphkeras.passes.rules import RULES, Match, Rule, by_op

TABLE = by_op(RULES)


def rules_for(node: Node) -> tuple[Rule, ...]:
    """The rules that look at a node, its own op's first."""
    general = TABLE[""] if get_op(node.op).kind is Kind.ELEMENTWISE else ()
    return TABLE.get(node.op, ()) + general


@frozen
class Simplify:
    """Applies the rewrite rules until none matches."""

    name: ClassVar[str] = "simplify"

    def __call__(self, graph: Graph) -> Graph:
        """The simplified graph; the same object if no rule matched."""
        rewriter = _SimplifyingRewriter(graph, self.name)
        for node in graph.nodes:
            with rewriter.standing_for(node):
                rewriter.take(node)
        return rewriter.finish()


class _SimplifyingRewriter(Rewriter):
    """Offers every node to the rules before it is appended."""

    def _append(self, node: Node) -> tuple[Value, ...]:
        for rule in rules_for(node):
            value = rule.rewrite(Match(self, node))
            if value is not None:
                return (value,)
        return super()._append(node)
