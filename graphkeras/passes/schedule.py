"""The order of kernels, with every state update placed so that it can be written in place.

An output that is the next value of an input (`Graph.aliases`) is written straight into the
input's memory when all other readers of the old value run before. So each reader gets an edge to
the kernel that overwrites::

    w ──► forward ──► loss ──► grad(w) ──► w' = w - lr * g      w' overwrites w
     └──► input gradient ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─►┘                must come before

Where such an edge would close a cycle, or where the overwriting kernel itself reads the old value
at other elements than it writes, a copy at the end of the schedule takes the update instead. Among
kernels that are ready, updates go first (they free gradients), then the graph's order.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from graphkeras.frozen import frozen
from graphkeras.ir.access import accesses, loop_position
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op


@frozen
class Schedule:
    """Orders the kernels of a fused graph and gives every output memory of its own."""

    name = "schedule"

    def __call__(self, graph: Graph) -> Graph:
        """The graph in execution order; every output is the result of one kernel of its own."""
        return _order(_own_outputs(graph))


def can_overwrite(node: Node, operand: Value, result: Value) -> bool:
    """Whether a kernel may write `result` into the memory of its own `operand`.

    True where each element of the operand is read only by the loop iteration that writes the
    same element of the result.
    """
    body = node.body
    assert body is not None
    same = operand.type.numel == result.type.numel and operand.type.dtype == result.type.dtype
    if not same or node.inputs.count(operand) != 1:
        return False
    pattern: str = node.attrs["pattern"]
    if pattern == "opaque":
        return False
    in_rows = pattern == "rows" or node.attrs["rows"] > 0
    inner = body.inputs[node.inputs.index(operand)]
    if in_rows and result.type.numel != product(node.attrs["space"]):
        return False
    if pattern != "rows" and _in_hero(body, inner):
        return False
    return all(_pointwise(v, inner, body) for v in _loop_values(body))


def _loop_values(body: Graph) -> list[Value]:
    """Values whose shape a loop of the kernel runs over: outputs and reduced operands."""
    values = list(body.outputs)
    for node in body.nodes:
        if get_op(node.op).kind is Kind.REDUCE and node.inputs[0].producer is not None:
            values.append(node.inputs[0])
    return values


def _heroes(body: Graph) -> set[Value]:
    inline = (Kind.ELEMENTWISE, Kind.INJECTIVE, Kind.CONSTANT)
    return {v for n in body.nodes if get_op(n.op).kind not in inline for v in n.results}


def _in_hero(body: Graph, value: Value) -> bool:
    """Whether a reduction or contraction of the body reads `value`.

    Reductions behind a contraction read what it has written; see `ir.image_sums`.
    """
    stack = [v for hero in _heroes(body) if hero.producer for v in hero.producer.inputs]
    written = set(body.outputs)
    seen: set[Value] = set()
    while stack:
        current = stack.pop()
        if current is value:
            return True
        if current not in seen | written and current.producer is not None:
            seen.add(current)
            stack.extend(current.producer.inputs)
    return False


def _pointwise(root: Value, leaf: Value, body: Graph) -> bool:
    position = loop_position(root)
    heroes = _heroes(body)
    if root in heroes:
        return True
    found = accesses(root, position, heroes).get(leaf, set())
    return found <= {position.flat}


def _own_outputs(graph: Graph) -> Graph:
    """Copies outputs that are inputs, constants, or outputs twice."""
    builder = Builder.extending(graph, Schedule.name)
    outputs: list[Value] = []
    for i, value in enumerate(graph.outputs):
        kept = i in graph.aliases and value is graph.inputs[graph.aliases[i]]
        fused = value.producer is not None and value.producer.body is not None
        if kept or (fused and value not in outputs):
            outputs.append(value)
        else:
            outputs.append(_copy(builder, value))
    return builder.build(outputs, graph.aliases, graph.output_names)


def _copy(builder: Builder, value: Value) -> Value:
    body = Builder("copy", Schedule.name)
    inner = body.input(value.type, value.name)
    same = body.emit("reshape", inner, shape=value.type.shape)
    origins = (value.producer,) if value.producer is not None else ()
    loc = value.producer.loc if value.producer is not None else builder.loc
    with builder.at(loc, origins):
        (copied,) = builder.fused(
            body.build([same]), [value], pattern="loop", rows=0, space=value.type.shape
        )
    return copied


def _order(graph: Graph) -> Graph:
    edges: dict[Node, set[Node]] = {
        node: {v.producer for v in node.inputs if v.producer is not None} for node in graph.nodes
    }
    builder = Builder.extending(graph, Schedule.name)
    outputs = list(graph.outputs)
    for i, j in graph.aliases.items():
        old, new = graph.inputs[j], outputs[i]
        if new is old:
            continue
        writer = new.producer
        assert writer is not None
        readers = [n for n in graph.users.get(old, ()) if n is not writer]
        if (old in writer.inputs and not can_overwrite(writer, old, new)) or any(
            _reaches(edges, reader, writer) for reader in readers
        ):
            outputs[i] = _copy(builder, new)
            copy = outputs[i].producer
            assert copy is not None
            edges[copy] = {writer, *graph.users.get(old, ())}
        else:
            edges[writer].update(readers)
    nodes = _topological(builder.nodes, edges)
    return Graph(
        graph.name, graph.inputs, tuple(nodes), tuple(outputs), graph.aliases, graph.output_names
    )


def _reaches(edges: dict[Node, set[Node]], node: Node, target: Node) -> bool:
    """Whether `node` must run after `target`."""
    stack, seen = [node], set()
    while stack:
        current = stack.pop()
        if current is target:
            return True
        if current not in seen:
            seen.add(current)
            stack.extend(edges[current])
    return False


def _topological(nodes: Sequence[Node], edges: dict[Node, set[Node]]) -> list[Node]:
    waiting = {node: len(edges[node]) for node in nodes}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for operand in edges[node]:
            users[operand].append(node)
    index = {node: i for i, node in enumerate(nodes)}

    def key(node: Node) -> tuple[int, int]:
        return (0 if node.loc.phase == "update" else 1, index[node])

    ready = [(key(n), index[n], n) for n in nodes if not waiting[n]]
    heapq.heapify(ready)
    order: list[Node] = []
    while ready:
        _, _, node = heapq.heappop(ready)
        order.append(node)
        for user in users[node]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (key(user), index[user], user))
    return order
