"""Checks the rules every graph keeps.

A value is defined once, before its uses; every node's attributes fit its op; its result types
are what the op's type rule infers; outputs and aliases fit; the body of a fused node keeps the
same rules. Passes are verified before and after, so a broken graph is blamed on the pass that
broke it and not on the kernel that reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, Op, OpTypeError, get_op
from graphkeras.ir.text import graph_lines
from graphkeras.ir.types import TensorType

WINDOW = 3
"""Lines of the graph shown before and after the faulty one."""


class VerifyError(ValueError):
    """A graph that breaks a rule; the message shows the lines around the fault."""

    def __init__(self, message: str, subject: object) -> None:
        super().__init__(message)
        self.subject = subject
        """The node, input value or graph at fault."""


def verify(graph: Graph, after: str = "") -> None:
    """Checks `graph` and the bodies of its fused nodes.

    Args:
        graph: The graph to check.
        after: What made the graph, usually the name of a pass, for the message.

    Raises:
        VerifyError: The graph breaks a rule.
    """
    try:
        _check_graph(graph, frozenset(graph.symbols))
    except VerifyError as error:
        made = f" after {after!r}" if after else ""
        raise VerifyError(
            f"graph {graph.name!r} is wrong{made}: {error}\n{_window(graph, error.subject)}",
            error.subject,
        ) from None


def _check_graph(graph: Graph, symbols: frozenset[str]) -> None:
    defined: set[Value] = set()
    for value in graph.inputs:
        if value in defined:
            raise VerifyError(f"input {value.name!r} appears twice", value)
        if value.producer is not None:
            raise VerifyError(f"input {value.name!r} is the result of a node", value)
        _check_symbols(value.type.shape, symbols, value)
        defined.add(value)
    seen: set[Node] = set()
    for node in graph.nodes:
        if node in seen:
            raise VerifyError(f"the node {node.op!r} appears twice", node)
        seen.add(node)
        for position, operand in enumerate(node.inputs):
            if operand not in defined:
                raise VerifyError(
                    f"operand {position} of {node.op!r} is used before it is defined", node
                )
        _check_node(node, symbols)
        defined.update(node.results)
    _check_outputs(graph, defined)


def _check_node(node: Node, symbols: frozenset[str]) -> None:
    pairs = zip(node.results, node.types, strict=True)
    if any(result.producer is not node or result.type != kind for result, kind in pairs):
        raise VerifyError(f"the results of {node.op!r} do not belong to it", node)
    for kind in node.types:
        _check_symbols(kind.shape, symbols, node)
    for attribute in node.attrs.values():
        _check_symbols(_flat(attribute), symbols, node)
    op = _check_attrs(node)
    if (op.kind is Kind.FUSED) != (node.body is not None):
        problem = "lacks its" if op.kind is Kind.FUSED else "must not have a"
        raise VerifyError(f"{node.op!r} {problem} body", node)
    types = _infer(op, node) if node.body is None else _check_body(node, node.body, symbols)
    if types != node.types:
        raise VerifyError(
            f"{node.op!r} gives {_list(types)}, but the graph says {_list(node.types)}", node
        )


def _check_attrs(node: Node) -> Op:
    try:
        op = get_op(node.op)
        missing = [name for name in op.check_attrs(node.attrs) if name not in node.attrs]
    except OpTypeError as error:
        raise VerifyError(str(error), node) from None
    if missing:
        raise VerifyError(f"{node.op!r} lacks the attribute {missing[0]!r}", node)
    return op


def _infer(op: Op, node: Node) -> tuple[TensorType, ...]:
    try:
        return tuple(op.infer([v.type for v in node.inputs], node.attrs))
    except (OpTypeError, ValueError) as error:
        raise VerifyError(str(error), node) from None


def _check_body(node: Node, body: Graph, symbols: frozenset[str]) -> tuple[TensorType, ...]:
    expected = [v.type for v in body.inputs]
    received = [v.type for v in node.inputs]
    if expected != received:
        raise VerifyError(
            f"the body of {node.op!r} takes {_list(expected)}, but receives {_list(received)}", node
        )
    _check_graph(body, symbols)
    return tuple(v.type for v in body.outputs)


def _check_outputs(graph: Graph, defined: set[Value]) -> None:
    for position, value in enumerate(graph.outputs):
        if value not in defined:
            raise VerifyError(f"output {position} is not defined", graph)
    if graph.output_names and len(graph.output_names) != len(graph.outputs):
        raise VerifyError(
            f"{len(graph.outputs)} outputs have {len(graph.output_names)} names", graph
        )
    written: set[int] = set()
    for output, position in graph.aliases.items():
        if not 0 <= output < len(graph.outputs) or not 0 <= position < len(graph.inputs):
            raise VerifyError(
                f"output {output} is the next value of input {position}, but the graph has "
                f"{len(graph.outputs)} outputs and {len(graph.inputs)} inputs",
                graph,
            )
        if position in written:
            raise VerifyError(f"input {position} has two next values", graph)
        written.add(position)
        old, new = graph.inputs[position].type, graph.outputs[output].type
        if old != new:
            raise VerifyError(
                f"output {output} of type {new} is the next value of input {position} "
                f"of type {old}",
                graph,
            )


def _check_symbols(dims: Iterable[Any], symbols: frozenset[str], subject: object) -> None:
    for dim in dims:
        if isinstance(dim, Size) and not dim.symbols <= symbols:
            raise VerifyError(
                f"the size {dim} is unknown at run time: no input of the graph has it", subject
            )


def _flat(attribute: Any) -> Iterable[Any]:
    if isinstance(attribute, tuple):
        for item in attribute:
            yield from _flat(item)
    elif not isinstance(attribute, np.ndarray):
        yield attribute


def _list(types: Iterable[TensorType]) -> str:
    return ", ".join(str(kind) for kind in types) or "nothing"


def _window(graph: Graph, subject: object) -> str:
    """The lines around the one of `subject`, which is marked with `>`."""
    lines = list(graph_lines(graph))
    places = [i for i, (_, owner) in enumerate(lines) if owner is subject]
    opening_line = isinstance(subject, Graph)
    at = places[-2] if opening_line and len(places) > 1 else places[-1]
    first, last = max(0, at - WINDOW), min(len(lines), at + WINDOW + 1)
    shown = [f"{'>' if i == at else ' '} {i + 1:4} | {lines[i][0]}" for i in range(first, last)]
    return "\n".join(shown)
