"""The finest view: every primitive is a box, and kernels are groups around their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.viz.facts import (
    Facts,
    call_text,
    is_tensor_constant,
    kernel_title,
    literal,
    node_details,
    pattern,
)
from graphkeras.viz.parts import add_outputs, add_value_box
from graphkeras.viz.view import Box, Line, View, ViewBuilder


def ops_view(facts: Facts) -> View:
    """A box a primitive; scalar constants stand in the boxes that read them."""
    return _OpsView(facts).run()


class _OpsView:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.view = ViewBuilder()
        self.made_by: dict[Value, str] = {}

    def run(self) -> View:
        graph = self.facts.graph
        fused = any(node.body is not None for node in graph.nodes)
        used = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
        for value in graph.inputs:
            if value in used and not (fused and value in self.facts.states):
                self.made_by[value] = add_value_box(self.view, value, self.facts)
        groups: dict[str, str] = {}
        for node in graph.nodes:
            if node.body is not None:
                self._kernel(node, node.body)
                continue
            layer = self.facts.layers[node]
            if layer and layer not in groups and not fused:
                groups[layer] = self.view.group(self.facts.title(layer))
            self._node(node, groups.get(layer, ""), graph.outputs)
        add_outputs(self.view, self.facts, self.made_by)
        return self.view.build(graph.name, "ops")

    def _kernel(self, node: Node, body: Graph) -> None:
        where = self.facts.title(self.facts.layers[node]) or node.loc.phase
        title = f"{pattern(node)}: {kernel_title(node)}\n{where}"
        group = self.view.group(title, node.loc.phase)
        for outer, inner in zip(node.inputs, body.inputs, strict=True):
            if outer not in self.made_by:
                # A variable is drawn inside each kernel that reads it: no edge across the page.
                self.made_by[inner] = add_value_box(self.view, outer, self.facts, group)
            else:
                self.made_by[inner] = self.made_by[outer]
        for inner_node in body.nodes:
            self._node(inner_node, group, body.outputs)
        for outer, inner in zip(node.results, body.outputs, strict=True):
            self.made_by[outer] = self.made_by[inner]
            for name in self.facts.writes.get(outer, ()):
                self._mark_write(self.made_by[inner], name)

    def _node(self, node: Node, group: str, outputs: Iterable[Value]) -> None:
        folded = all(literal(value) is not None for value in node.results)
        readers = self.facts.graph.users.get(node.results[0], ())
        kept = node.results[0] in outputs or any(reader.body is not None for reader in readers)
        if folded and not kept:
            return
        box = self.view.next_box()
        constant = is_tensor_constant(node) or (folded and kept)
        title = (literal(node.results[0]) if folded else None) or call_text(node)
        lines = [Line("", str(kind)) for kind in node.types]
        lines += [
            Line(self.facts.title(name), role="write")
            for value in node.results
            for name in self.facts.writes.get(value, ())
        ]
        self.view.boxes.append(
            Box(
                box,
                "constant" if constant else "node",
                title,
                "" if constant else node.loc.phase,
                tuple(lines),
                group,
                details=node_details(node),
            )
        )
        for value in () if folded else node.inputs:
            source = self.made_by.get(value)
            if source is not None:
                self.view.edge(source, box)
        self.made_by.update(dict.fromkeys(node.results, box))

    def _mark_write(self, box: str, name: str) -> None:
        position = int(box[1:])
        old = self.view.boxes[position]
        lines = (*old.lines, Line(self.facts.title(name), role="write"))
        self.view.boxes[position] = replace(old, lines=lines)
