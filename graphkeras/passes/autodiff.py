"""Reverse-mode differentiation as a graph transform.

For one scalar loss, the cotangent of a value v is d loss / d v, a tensor of v's type. The loss
has cotangent 1. Walking the nodes backwards, the chain rule turns the cotangents of a node's
results into contributions to the cotangents of its operands; a value that several nodes read
sums what each of them contributes::

    forward      w ----.                    backward   dw <---.
                       mul -> y -> ... loss                   mul' <- dy <- ... <- 1
                 x --+-'                        dx = + <---+--'
                     '--> sin -> ...                  ^
                                                      '------- sin' <- ...

Reverse topological order makes the sum complete before it is used: every reader of a value
comes after its producer, so it was visited before it. Each op's own rule (`Op.gradient`)
builds ordinary nodes, which later passes simplify, share and fuse like all others.

Two sets bound the work. A value *varies* when it depends on one of the values differentiated
against; a value is *useful* when the loss depends on it, which is when it has a cotangent.
Only nodes between the two are visited: a frozen layer costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op


class GradientError(ValueError):
    """A gradient that does not exist or that no rule can build."""


def gradients(builder: Builder, loss: Value, wrt: Sequence[Value]) -> list[Value | None]:
    """Appends the backward nodes of `loss` to a builder that holds the forward nodes.

    The new nodes have the layer and line of their forward node, the phase `"backward"`, the
    forward node as origin, and are `made_by` `"autodiff"`. Contributions are added up in
    reverse order of the readers, so the same graph always gives the same bits.

    Args:
        builder: Holds the nodes between `wrt` and `loss`.
        loss: A float scalar.
        wrt: The values to differentiate against: graph inputs, or values on the way.

    Returns:
        For every value of `wrt` its gradient, of the same type, or None where the loss does not
        depend on it (or only through `stop_gradient`, integers or comparisons).

    Raises:
        GradientError: `loss` is no float scalar or is not in the builder, or an op on the way
            has no gradient rule.
    """
    forward = list(builder.nodes)
    _check_loss(builder, loss)
    varied = _varied(forward, wrt)
    cotangents: dict[Value, Value] = {}
    made_by, builder.made_by = builder.made_by, "autodiff"
    try:
        if loss in varied:
            origins = (loss.producer,) if loss.producer else ()
            loc = loss.producer.loc if loss.producer else builder.loc
            with builder.at(replace(loc, phase="backward"), origins):
                cotangents[loss] = builder.constant(1, dtype=loss.type.dtype)
        for node in reversed(forward):
            if any(r in cotangents for r in node.results):
                _visit(builder, node, varied, cotangents)
    finally:
        builder.made_by = made_by
    found = [cotangents.get(value) for value in wrt]
    builder.nodes[len(forward) :] = _needed(builder.nodes[len(forward) :], found)
    return found


def _check_loss(builder: Builder, loss: Value) -> None:
    if loss.type.shape != () or not loss.type.is_float:
        place = f"\n  at: {loss.producer.loc}" if loss.producer else ""
        raise GradientError(
            f"the loss must be a float scalar such as f32[], received {loss.type}{place}\n"
            "  reduce it first, for example with ops.mean or ops.sum"
        )
    known = loss in builder.inputs if loss.producer is None else loss.producer in builder.nodes
    if not known:
        raise GradientError(
            f"the loss was not computed in {builder.name!r}; "
            "compute it and its gradients in one trace"
        )


def _varied(nodes: Sequence[Node], wrt: Sequence[Value]) -> set[Value]:
    """Float values that change when one of `wrt` does."""
    varied = {value for value in wrt if value.type.is_float}
    for node in nodes:
        if any(v in varied for v in node.inputs) and not _blocks(node):
            varied.update(r for r in node.results if r.type.is_float)
    return varied


def _blocks(node: Node) -> bool:
    """Whether no gradient flows through the node by definition.

    An elementwise op without a rule is constant between jumps (floor, sign) or a barrier on
    purpose (stop_gradient). Any other float op without a rule merely lacks one.
    """
    op = get_op(node.op)
    return op.gradient is None and op.kind is Kind.ELEMENTWISE


def _visit(
    builder: Builder, node: Node, varied: set[Value], cotangents: dict[Value, Value]
) -> None:
    """Adds the node's contributions to the cotangents of its operands that vary."""
    wanted = [v in varied for v in node.inputs]
    if not any(wanted):
        return
    with builder.at(replace(node.loc, phase="backward"), (node,)):
        given = _apply_rule(builder, node, [cotangents.get(r) for r in node.results])
        for operand, is_wanted, part in zip(node.inputs, wanted, given, strict=True):
            if not is_wanted or part is None:
                continue
            if part.type != operand.type:
                raise GradientError(
                    f"the gradient rule of {node.op!r} gave {part.type} for an operand of type "
                    f"{operand.type}\n  at: {node.loc}"
                )
            total = cotangents.get(operand)
            cotangents[operand] = part if total is None else builder.emit("add", total, part)


def _apply_rule(
    builder: Builder, node: Node, cotangents: Sequence[Value | None]
) -> Sequence[Value | None]:
    rule = get_op(node.op).gradient
    try:
        if rule is None:
            raise NotImplementedError("it has no gradient rule")
        return rule(builder, node, cotangents)
    except NotImplementedError as error:
        operands = ", ".join(str(v.type) for v in node.inputs)
        raise GradientError(
            f"cannot differentiate through {node.op!r}: {error}\n"
            f"  node: {node.op}({operands}) -> {', '.join(map(str, node.types))}\n"
            f"  layer: {node.loc.layer or 'none'}\n"
            f"  line: {node.loc.file or 'unknown'}:{node.loc.line}\n"
            "  put ops.stop_gradient before it, or use operations that have a gradient"
        ) from error


def _needed(nodes: Sequence[Node], outputs: Sequence[Value | None]) -> list[Node]:
    """The nodes that `outputs` depend on. Rules also build gradients of frozen operands."""
    live = set(outputs)
    kept = []
    for node in reversed(nodes):
        if any(r in live for r in node.results):
            live.update(node.inputs)
            kept.append(node)
    return kept[::-1]


@frozen
class Autodiff:
    """Appends to a graph's outputs the gradients of output 0 with respect to inputs.

    A gradient that does not exist because output 0 does not depend on the input is zero.
    """

    name: ClassVar[str] = "autodiff"

    wrt: tuple[int, ...]
    """Positions of the inputs to differentiate against, one new output each."""

    def __call__(self, graph: Graph) -> Graph:
        """The graph with the gradients, `d_<input name>` each, as last outputs.

        Raises:
            GradientError: Output 0 is no float scalar, or a position is not that of a float
                input, or an op on the way has no gradient rule.
        """
        for position in self.wrt:
            if not 0 <= position < len(graph.inputs):
                raise GradientError(f"wrt={position}: the graph has {len(graph.inputs)} inputs")
            if not graph.inputs[position].type.is_float:
                raise GradientError(
                    f"wrt={position}: {graph.inputs[position].type} has no gradient, only floats do"
                )
        builder = Builder.extending(graph, self.name)
        wrt = [graph.inputs[position] for position in self.wrt]
        found = gradients(builder, graph.outputs[0], wrt)
        outputs = [g or _zeros(builder, v) for g, v in zip(found, wrt, strict=True)]
        names = [f"d_{v.name}" for v in wrt] if graph.output_names else []
        return builder.build(
            (*graph.outputs, *outputs), graph.aliases, (*graph.output_names, *names)
        )


def _zeros(builder: Builder, like: Value) -> Value:
    zero = builder.constant(0, dtype=like.type.dtype)
    if not like.type.shape:
        return zero
    return builder.emit("broadcast", zero, shape=like.type.shape, dims=())
