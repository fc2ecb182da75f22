"""Splits a graph by what it depends on: some inputs change rarely, others in every call.

    w ──► rsqrt ──► mul ─╮ cut                     prepare: run again when an input has changed
    x ───────────────────┴──► conv ──► y           main: run in every call, reads cuts as inputs

Values that depend on rarely changing inputs alone are computed by the prepare graph. Where they
cross over to the main graph they are *cut*: outputs of one, inputs of the other.

A cut value takes memory for as long as the program lives, so it must be worth it. What only moves
elements about (a transpose, a reshape) or makes more of them (a broadcast) costs the main graph
next to nothing and is left there; its operand is cut instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.passes.dce import DeadCodeElimination

MADE_BY = "split_constants"


@frozen
class Split:
    """Two graphs that compute what one did."""

    constant: tuple[int, ...]
    """Positions of the inputs of the whole graph that change rarely."""
    prepare: Graph
    """Its inputs are those."""
    main: Graph
    sources: tuple[tuple[bool, int], ...]
    """For each input of `main`: whether `prepare` makes it, and which output of `prepare` or which
    input of the whole graph it is."""


def constant_values(graph: Graph, constant: Sequence[int]) -> set[Value]:
    """The values that depend on the inputs at the given positions alone, and on no run-time size.

    Literals depend on nothing, so they are among them.
    """
    known = {graph.inputs[i] for i in constant}
    for node in graph.nodes:
        if all(v in known for v in node.inputs) and not _has_size(node):
            known.update(node.results)
    return known


def split_constants(graph: Graph, constant: Sequence[int]) -> Split:
    """Splits a graph of primitives.

    Args:
        graph: The graph, before fusion.
        constant: Positions of the inputs that change rarely. No output may be the next value of
            one.
    """
    early, late = _early(graph, constant), set[Node]()
    for node in reversed(graph.nodes):
        is_output = any(v in graph.outputs for v in node.results)
        readers = [u for v in node.results for u in graph.users.get(v, ())]
        read_late = any(reader in late for reader in readers)
        if node not in early or is_output or (read_late and _is_free(node)):
            late.add(node)
    needed = {v for node in graph.nodes if node in late for v in node.inputs}
    cuts = [v for n in graph.nodes if n not in late for v in n.results if v in needed]
    main, sources = _main(graph, constant, late, cuts)
    return Split(tuple(constant), _prepare(graph, constant, cuts), main, sources)


def _has_size(node: Node) -> bool:
    entries = [v if isinstance(v, tuple) else (v,) for v in node.attrs.values()]
    dims = [kind.shape for kind in node.types]
    return any(isinstance(d, Size) for each in (*dims, *entries) for d in each)


def _early(graph: Graph, constant: Sequence[int]) -> set[Node]:
    """The nodes that depend on the inputs alone, but not on literals alone."""
    known = constant_values(graph, constant)
    reached = {graph.inputs[i] for i in constant}
    early: set[Node] = set()
    for node in graph.nodes:
        if node.results[0] in known and any(v in reached for v in node.inputs):
            reached.update(node.results)
            early.add(node)
    return early


def _is_free(node: Node) -> bool:
    """Whether computing a node in every call costs nothing to speak of."""
    op = get_op(node.op)
    return op.kind is Kind.INJECTIVE and op.cost <= 1


def _prepare(graph: Graph, constant: Sequence[int], cuts: Sequence[Value]) -> Graph:
    builder = Builder(f"prepare_{graph.name}", MADE_BY)
    given = [graph.inputs[i] for i in constant]
    new = {value: builder.input(value.type, value.name) for value in given}
    known = constant_values(graph, constant)
    for node in graph.nodes:
        # Literals and what is made of them are kept where an early node reads them.
        if all(v in known for v in node.results):
            results = builder.keep(node, [new[v] for v in node.inputs])
            new.update(zip(node.results, results, strict=True))
    names = [_name(value) for value in cuts]
    return DeadCodeElimination()(builder.build([new[value] for value in cuts], {}, names))


def _main(
    graph: Graph, constant: Sequence[int], late: set[Node], cuts: Sequence[Value]
) -> tuple[Graph, tuple[tuple[bool, int], ...]]:
    builder = Builder(graph.name, MADE_BY)
    used = {v for node in graph.nodes if node in late for v in node.inputs} | set(graph.outputs)
    new: dict[Value, Value] = {}
    sources: list[tuple[bool, int]] = []
    for position, value in enumerate(graph.inputs):
        if not cuts or position not in constant or value in used:
            new[value] = builder.input(value.type, value.name)
            sources.append((False, position))
    for index, value in enumerate(cuts):
        new[value] = builder.input(value.type, _name(value))
        sources.append((True, index))
    for node in graph.nodes:
        if node in late:
            results = builder.keep(node, [new[v] for v in node.inputs])
            new.update(zip(node.results, results, strict=True))
    places = {position: i for i, (prepared, position) in enumerate(sources) if not prepared}
    aliases = {output: places[position] for output, position in graph.aliases.items()}
    main = builder.build([new[v] for v in graph.outputs], aliases, graph.output_names)
    return DeadCodeElimination()(main), tuple(sources)


def _name(value: Value) -> str:
    """A name that says for which layer a value was prepared."""
    node = value.producer
    assert node is not None
    return f"{node.loc.layer}/{node.op}" if node.loc.layer else node.op
