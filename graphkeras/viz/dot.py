"""A view as Graphviz text, through the `graphviz` package."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from graphkeras.ir.graph import Graph
from graphkeras.viz.build import make_view
from graphkeras.viz.palette import ROLE_INKS, ROLE_NAMES, Ink, box_ink, phase_ink
from graphkeras.viz.view import VARIABLE, Box, Edge, Line, View

if TYPE_CHECKING:
    from graphviz import Digraph

DIRECTIONS = ("TB", "LR", "BT", "RL")
FONT = "Helvetica"
SHAPES = {"data": "oval", "parameter": "box", "constant": "note", "output": "oval", "node": "box"}


def to_dot(
    graph: Graph, detail: str | None = None, direction: str = "TB", title: str | None = None
) -> Digraph:
    """A graph as a `graphviz.Digraph`, ready to print or to render.

    Boxes have the colour of their phase (forward, loss, metrics, backward, update); data,
    variables, constants and outputs have shapes and colours of their own; a legend explains
    both. Scalar constants stand in the boxes that read them.

    Args:
        graph: Any graph, at any point of the pipeline.
        detail: `"ops"`: every primitive, kernels as clusters around their bodies; `"kernels"`:
            a box a node; `"layers"`: a box a layer and phase. None: the finest one at which the
            graph is readable.
        direction: `"TB"` (top to bottom), `"LR"`, `"BT"` or `"RL"`.
        title: Text above the picture; None: the name of the graph.

    Raises:
        ValueError: `detail` or `direction` is none of these.
    """
    if direction not in DIRECTIONS:
        raise ValueError(
            f"unknown direction {direction!r}; expected one of {', '.join(map(repr, DIRECTIONS))}"
        )
    return view_to_dot(make_view(graph, detail), direction, graph.name if title is None else title)


def view_to_dot(view: View, direction: str = "TB", title: str = "") -> Digraph:
    """A view as a `graphviz.Digraph`."""
    import graphviz

    dot = graphviz.Digraph(name="graph", comment=None)
    dot.attr(
        "graph",
        rankdir=direction,
        fontname=FONT,
        fontsize="12",
        labelloc="t",
        label=_heading(view, title),
        nodesep="0.25",
        ranksep="0.4",
        newrank="true",
    )
    dot.attr("node", fontname=FONT, fontsize="11", margin="0.08,0.05", height="0.3")
    dot.attr("edge", fontname=FONT, fontsize="9", color="#555555", arrowsize="0.7")
    if view.columns:
        _table(dot, view)
    else:
        _clusters(dot, view)
    return dot


def _clusters(dot: Digraph, view: View) -> None:
    for box in view.boxes:
        if not box.group:
            _node(dot, box)
    for group in view.groups:
        ink = phase_ink(group.phase)
        with dot.subgraph(name=f"cluster_{group.id}") as cluster:
            cluster.attr(
                label=_html(_left(group.title)),
                style="rounded,filled",
                color=ink.strong,
                fillcolor=ink.faint,
                fontsize="12",
                labeljust="l",
                margin="8",
            )
            for box in view.boxes:
                if box.group == group.id:
                    _node(cluster, box)
    for edge in view.edges:
        dot.edge(edge.source, edge.target, **_edge_style(edge))


# the table of the layers view


def _table(dot: Digraph, view: View) -> None:
    """Rows of equal rank; invisible places keep the columns straight."""
    placed = {(box.row, box.column): box for box in view.boxes if box.row >= 0}
    last = max(row for row, _ in placed)
    heads = [f"head{column}" for column in range(len(view.columns))]
    with dot.subgraph() as line:
        line.attr(rank="same")
        for column, name in enumerate(view.columns):
            label = _html(f"<b>{_text(name)}</b>")
            ink = phase_ink(name)
            line.node(
                heads[column],
                label,
                shape="plain",
                fontsize="15",
                fontcolor=ink.strong,
                group=f"column{column}",
            )
    above = heads
    for row in range(last + 1):
        if any((row, column) in placed for column in range(len(heads))):
            above = _row(dot, placed, row, above)
    for box in view.boxes:
        if box.row < 0:
            _node(dot, box)
    cell = {box.id: box for box in view.boxes}
    for edge in view.edges:
        _table_edge(dot, edge, cell[edge.source], cell[edge.target])


def _row(dot: Digraph, placed: dict[tuple[int, int], Box], row: int, above: list[str]) -> list[str]:
    names = []
    with dot.subgraph() as line:
        line.attr(rank="same")
        for column in range(len(above)):
            box = placed.get((row, column))
            name = box.id if box else f"gap{row}_{column}"
            names.append(name)
            if box:
                _node(line, box, group=f"column{column}")
            else:
                line.node(
                    name,
                    "",
                    shape="point",
                    style="invis",
                    width="0.01",
                    height="0.01",
                    group=f"column{column}",
                )
        for left, right in pairwise(names):
            line.edge(left, right, style="invis", minlen="2")
    for upper, lower in zip(above, names, strict=True):
        dot.edge(upper, lower, style="invis", weight="20")
    return names


def _table_edge(dot: Digraph, edge: Edge, source: Box, target: Box) -> None:
    style = _edge_style(edge)
    if source.row < 0 or target.row < 0:
        # Inputs stand above the box that reads them first, outputs below.
        dot.edge(edge.source, edge.target, **style)
    elif source.row > target.row:
        dot.edge(edge.target, edge.source, dir="back", **style)
    else:
        dot.edge(edge.source, edge.target, **style)


# parts


def _node(dot: Digraph, box: Box, group: str = "") -> None:
    ink = box_ink(box.role, box.phase)
    style = "filled,rounded" if box.role == "node" else "filled"
    extra = {"group": group} if group else {}
    dot.node(
        box.id,
        _label(box),
        shape=SHAPES[box.role],
        style=f"{style},bold" if box.role in ("output", "data") else style,
        color=ink.strong,
        fillcolor=ink.pale,
        tooltip="\n".join(f"{label}: {text}" for label, text in box.details).replace("\\", "/"),
        **extra,
    )


def _label(box: Box) -> str:
    rows = [f'<tr><td align="center"><b>{_text(box.title)}</b></td></tr>']
    side = "left" if any(line.text for line in box.lines) else "center"
    rows += [_line(line, side) for line in box.lines]
    return _html(f'<table border="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>')


def _line(line: Line, side: str) -> str:
    text = _text(line.text) if line.text else ""
    if line.role in VARIABLE:
        mark = "← " if line.role == "write" else ""
        text = f'<font color="{ROLE_INKS["parameter"].strong}">{mark}{text}</font>'
    elif line.role == "kept":
        text = f'<font color="#777777">{text}</font>'
    squares = "".join(f'<font color="{phase_ink(p).strong}">■</font>' for p in line.phases)
    kind = f'<font color="#555555">{_text(line.type)}</font>' if line.type else ""
    parts = "  ".join(part for part in (squares, text, kind) if part)
    size = "10" if line.text else "9"
    return f'<tr><td align="{side}"><font point-size="{size}">{parts}</font></td></tr>'


def _edge_style(edge: Edge) -> dict[str, str]:
    style = {"label": _html(_text(edge.label))} if edge.label else {}
    if edge.style == "kept":
        style |= {"style": "dashed", "color": "#AAAAAA", "constraint": "false"}
    elif edge.style == "scalar":
        style |= {"color": "#D8D8D8", "arrowsize": "0.4", "constraint": "false"}
    return style


def _heading(view: View, title: str) -> str:
    """The title, and the legend below it."""
    cells = [_sample(ROLE_NAMES.get(key, key), box_ink(key, key)) for key in view.legend]
    if any(edge.style == "kept" for edge in view.edges):
        cells.append('<td><font color="#777777">╌╌ kept for backward</font></td>')
    if not title and not cells:
        return ""
    row = f'<tr><td><font point-size="20"><b>{_text(title)}</b></font></td>{"".join(cells)}</tr>'
    return _html(f'<table border="0" cellspacing="8" cellpadding="4">{row}</table>')


def _sample(name: str, ink: Ink) -> str:
    return f'<td bgcolor="{ink.pale}" color="{ink.strong}" border="1">{_text(name)}</td>'


def _left(text: str) -> str:
    """Lines of text, each at the left."""
    return "".join(f'{_text(line)}<br align="left"/>' for line in text.splitlines())


def _text(text: str) -> str:
    """Text that is safe inside an HTML-like label."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return escape(shown) or "&#160;"


def _html(markup: str) -> str:
    return f"<{markup}>"
