"""The coarse view: a table with a row a layer and columns for forward, backward and update.

    forward          backward         update
    conv2d      ···  conv2d      ──►  conv2d         data flows down the left column,
      │                ▲                             gradients up the middle one,
      ▼                │                             new parameters are made on the right
    dense       ···  dense       ──►  dense
      │                ▲
      ▼                │
    loss        ──►  loss             optimizer
    metrics

Each box lists its kernels (or, before fusion, counts its ops) and its variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphkeras.ir.graph import Node, Value
from graphkeras.viz.facts import (
    Facts,
    edge_style,
    is_tensor_constant,
    kernel_title,
    pattern,
    phases,
    summary,
)
from graphkeras.viz.parts import add_outputs, add_value_box, input_label
from graphkeras.viz.view import PHASES, Box, Line, View, ViewBuilder

COLUMNS = ("forward", "backward", "update")
NAMED = 4
"""Updated variables up to which all are named."""
NO_LAYER = {"forward": "model", "update": "optimizer"}
"""Titles of boxes whose nodes belong to no layer; the phase where it is not listed."""


@dataclass
class _Cell:
    """The nodes of one layer that work in one column."""

    title: str
    phase: str
    row: int
    column: int
    nodes: list[Node] = field(default_factory=list)


def layers_view(facts: Facts) -> View:
    """One box a layer and phase."""
    cells, cell_of = _cells(facts)
    view = ViewBuilder()
    made_by: dict[Value, str] = {}
    used = {value for node in facts.graph.nodes for value in node.inputs}
    for value in facts.graph.inputs:
        if value in used and value not in facts.states:
            made_by[value] = add_value_box(view, value, facts)
    ids: dict[int, str] = {}
    for cell in cells:
        ids[id(cell)] = view.next_box()
        view.boxes.append(_box(facts, cell, ids[id(cell)]))
    for node, cell in cell_of.items():
        made_by.update(dict.fromkeys(node.results, ids[id(cell)]))
    for node, cell in cell_of.items():
        for value in node.inputs:
            source, target = made_by.get(value), ids[id(cell)]
            if source is not None and source != target:
                view.edge(source, target, style=edge_style(value, node))
    add_outputs(view, facts, made_by)
    columns = COLUMNS if any(cell.column for cell in cells) else ()
    return view.build(facts.graph.name, "layers", columns)


def _cells(facts: Facts) -> tuple[list[_Cell], dict[Node, _Cell]]:
    rows = {layer: row for row, layer in enumerate(facts.layer_order)}
    cells: dict[tuple[str, str], _Cell] = {}
    cell_of: dict[Node, _Cell] = {}
    for node in facts.graph.nodes:
        if is_tensor_constant(node) or facts.is_folded(node):
            continue
        layer, phase = facts.layers[node], _phase(node)
        if phase in ("loss", "metrics"):
            layer = ""
        key = (layer, phase)
        if key not in cells:
            row, column = _place(layer, phase, rows)
            title = facts.title(layer) or NO_LAYER.get(phase, phase)
            if phase == "backward" and not layer:
                title = "gradient of the loss"
            cells[key] = _Cell(title, phase, row, column)
        cells[key].nodes.append(node)
        cell_of[node] = cells[key]
    ordered = sorted(cells.values(), key=lambda c: (c.row, c.column, PHASES.index(c.phase)))
    return ordered, cell_of


def _phase(node: Node) -> str:
    """The phase that decides the column: a kernel that also updates counts as update."""
    found = phases(node)
    if "update" in found and "backward" in found:
        return "update"
    return node.loc.phase


def _place(layer: str, phase: str, rows: dict[str, int]) -> tuple[int, int]:
    last = len(rows)
    if layer:
        return rows[layer], COLUMNS.index(phase)
    return {
        "forward": (last, 0),
        "loss": (last + 1, 0),
        "backward": (last + 1, 1),
        "update": (last + 1, 2),
        "metrics": (last + 2, 0),
    }[phase]


def _box(facts: Facts, cell: _Cell, id: str) -> Box:
    lines = _kernel_lines(cell) if any(n.body for n in cell.nodes) else _op_lines(cell.nodes)
    details = [("ops", str(sum(len(n.body.nodes) if n.body else 1 for n in cell.nodes)))]
    places = dict.fromkeys(f"{n.loc.file}:{n.loc.line}" for n in cell.nodes if n.loc.file)
    details.append(("source", "\n".join(list(places)[:6])))
    for i, node in enumerate(cell.nodes):
        if node.body is not None:
            body = f"{pattern(node)}: {' '.join(n.op for n in node.body.nodes)}"
            details.append((f"kernel {i}", body))
    return Box(
        id,
        "node",
        cell.title,
        cell.phase,
        (*lines, *_variable_lines(facts, cell)),
        row=cell.row,
        column=cell.column,
        details=tuple((label, text) for label, text in details if text),
    )


def _kernel_lines(cell: _Cell) -> list[Line]:
    return [
        Line(
            kernel_title(node),
            str(node.types[0]) + (f" +{len(node.types) - 1}" if len(node.types) > 1 else ""),
            phases(node) if phases(node) != (cell.phase,) else (),
        )
        for node in cell.nodes
    ]


def _op_lines(nodes: Sequence[Node]) -> list[Line]:
    lines = [Line(summary(nodes), str(nodes[-1].types[0]))]
    if len(nodes) > 1:
        lines.append(Line(f"{len(nodes)} ops"))
    return lines


def _variable_lines(facts: Facts, cell: _Cell) -> list[Line]:
    """The layer's own variables where they are read first, and all that are written."""
    lines: list[Line] = []
    written = {name: None for node in cell.nodes for name in facts.written_names(node)}
    if cell.phase == "forward":
        read = dict.fromkeys(v for node in cell.nodes for v in facts.read_states(node))
        lines += [
            Line(short_name(facts.title(input_label(v)), cell.title), str(v.type), role="parameter")
            for v in read
            if v.name not in written
        ]
    if written:
        lines.append(Line(_written_text(facts, cell, list(written)), role="write"))
    return lines


def _written_text(facts: Facts, cell: _Cell, written: list[str]) -> str:
    own = [short_name(facts.title(name), cell.title) for name in written if facts.owner(name)]
    others = [facts.title(name) for name in written if not facts.owner(name)]
    if len(written) <= NAMED:
        return ", ".join([*own, *others])
    kind = "optimizer variables" if cell.phase == "update" else "variables"
    return " + ".join(part for part in (", ".join(own), f"{len(others)} {kind}") if part)


def short_name(path: str, layer: str) -> str:
    """The path of a variable without that of its layer: `conv2d/kernel` -> `kernel`."""
    return path.removeprefix(f"{layer}/")
