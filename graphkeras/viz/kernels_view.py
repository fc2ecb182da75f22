"""The middle view: every node of the graph is a box, grouped by layer and phase."""

from __future__ import annotations

from graphkeras.ir.graph import Node, Value
from graphkeras.viz.facts import (
    Facts,
    edge_style,
    is_kept,
    is_tensor_constant,
    kernel_title,
    node_details,
    pattern,
    phases,
)
from graphkeras.viz.parts import add_outputs, add_value_box, input_label
from graphkeras.viz.view import Box, Line, View, ViewBuilder


def kernels_view(facts: Facts) -> View:
    """A box a node of the graph; after fusion that is a box a kernel.

    Variables are lines in the boxes that read and write them, and so are forward values that the
    backward pass reads: as edges they would cross the whole picture.
    """
    graph = facts.graph
    view = ViewBuilder()
    made_by: dict[Value, str] = {}
    used = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
    for value in graph.inputs:
        if value in used and value not in facts.states:
            made_by[value] = add_value_box(view, value, facts)
    groups: dict[tuple[str, str], str] = {}
    for node in graph.nodes:
        if facts.is_folded(node):
            continue
        layer, phase = facts.layers[node], node.loc.phase
        key = (layer, phase)
        if layer and key not in groups:
            groups[key] = view.group(f"{facts.title(layer)} · {phase}", phase)
        box = _box(facts, node, view.next_box(), groups.get(key, ""))
        view.boxes.append(box)
        for value in node.inputs:
            if value in made_by and not is_kept(value, node):
                style = edge_style(value, node)
                several = value.producer is not None and len(value.producer.results) > 1
                label = str(value.type) if several and not style else ""
                view.edge(made_by[value], box.id, label, style)
        made_by.update(dict.fromkeys(node.results, box.id))
    add_outputs(view, facts, made_by)
    return view.build(graph.name, "kernels")


def _box(facts: Facts, node: Node, id: str, group: str) -> Box:
    constant = is_tensor_constant(node)
    return Box(
        id,
        "constant" if constant else "node",
        kernel_title(node),
        "" if constant else node.loc.phase,
        tuple(kernel_lines(facts, node)),
        group,
        details=node_details(node, facts.layers[node]),
    )


def kernel_lines(facts: Facts, node: Node) -> list[Line]:
    """Pattern, results, and the variables and kept values that a node reads and writes."""
    several = phases(node)
    lines = []
    if node.body is not None:
        kind = f"{pattern(node)} kernel, {len(node.body.nodes)} ops"
        lines.append(Line(kind, phases=several if len(several) > 1 else ()))
    written = facts.written_names(node)
    for value in facts.read_states(node):
        if value.name not in written:
            name = facts.title(input_label(value))
            lines.append(Line(name, str(value.type), role="parameter"))
    for value in dict.fromkeys(node.inputs):
        if value not in facts.states and is_kept(value, node):
            lines.append(Line(_kept_text(facts, value), str(value.type), role="kept"))
    for value in node.results:
        names = facts.writes.get(value, ())
        lines += [Line(facts.title(name), str(value.type), role="write") for name in names]
        if not names:
            lines.append(Line("", str(value.type)))
    return lines


def _kept_text(facts: Facts, value: Value) -> str:
    if value.producer is None:
        return f"kept: {input_label(value)}"
    return f"kept: result of {facts.title(facts.layers[value.producer]) or 'forward'}"
