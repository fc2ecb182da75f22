"""What a picture of a graph shows, before anything is drawn.

    Graph ─► facts ─► View (boxes, edges, groups) ─► dot text, or the HTML page

One of three levels of detail is chosen, and both ways to draw get the same boxes:

    ops       every primitive is a box; fused nodes are groups around their bodies
    kernels   every node of the graph is a box, grouped by layer and phase
    layers    one box a layer and phase, in a table: rows are layers, columns are forward,
              backward and update. The training step of a convnet fits on one page.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphkeras.frozen import frozen

PHASES = ("forward", "loss", "metrics", "backward", "update")
"""The parts of a training step, in the order of legends."""

DETAILS = ("ops", "kernels", "layers")
"""Levels of detail, finest first."""

VARIABLE = ("parameter", "write")
"""Roles of lines about variables."""


@frozen
class Line:
    """One line of text in a box."""

    text: str
    type: str = ""
    """Type of the tensor the line is about, such as `f32[N,10]`."""
    phases: tuple[str, ...] = ()
    """Phases to show as coloured squares before the text."""
    role: str = ""
    """`"parameter"` for a variable that is read, `"write"` for one that is written, `"kept"` for
    a forward value that the backward pass reads."""


@frozen
class Box:
    """One box of the picture."""

    id: str
    role: str
    """`node`, `data`, `parameter`, `constant` or `output`."""
    title: str
    phase: str = ""
    """Phase that gives the colour, for `node`."""
    lines: tuple[Line, ...] = ()
    group: str = ""
    """Id of the group the box lies in; empty for none."""
    row: int = -1
    column: int = -1
    """Place in the table, where the view has one."""
    details: tuple[tuple[str, str], ...] = ()
    """What a click on the box tells: pairs of a label and a text."""


@frozen
class Edge:
    """A tensor that one box makes and another reads."""

    source: str
    target: str
    label: str = ""
    style: str = ""
    """`"kept"`: a forward value that the backward pass reads; `"scalar"`: single numbers that one
    box hands to many, such as the learning rate."""


@frozen
class Group:
    """A frame around boxes: a kernel, or a layer."""

    id: str
    title: str
    phase: str = ""


@frozen
class View:
    """Everything a picture shows."""

    name: str
    detail: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...] = ()
    columns: tuple[str, ...] = ()
    """Headings of the columns, where the boxes form a table."""

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that occur, in the order of `PHASES`."""
        shown = {box.phase for box in self.boxes}
        shown.update(phase for box in self.boxes for line in box.lines for phase in line.phases)
        return tuple(phase for phase in PHASES if phase in shown)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that occur besides `node`, in a fixed order."""
        shown = {box.role for box in self.boxes}
        shown.update(
            "parameter" for box in self.boxes for line in box.lines if line.role in VARIABLE
        )
        return tuple(r for r in ("data", "parameter", "constant", "output") if r in shown)

    @property
    def legend(self) -> tuple[str, ...]:
        """Phases and roles that a legend explains; none where colours tell nothing."""
        if len(self.phases) > 1 or "parameter" in self.roles:
            return (*self.phases, *self.roles)
        return ()


@dataclass
class ViewBuilder:
    """Collects the parts of a view; boxes get ids `b0`, `b1`, ..., groups `g0`, `g1`, ..."""

    boxes: list[Box] = field(default_factory=list)
    edges: dict[tuple[str, str, str], Edge] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def next_box(self) -> str:
        """The id the next box must have."""
        return f"b{len(self.boxes)}"

    def group(self, title: str, phase: str = "") -> str:
        """Adds a group and returns its id."""
        self.groups.append(Group(f"g{len(self.groups)}", title, phase))
        return self.groups[-1].id

    def edge(self, source: str, target: str, label: str = "", style: str = "") -> None:
        """Adds an edge once; of several between two boxes, a plain one counts."""
        key = (source, target, label)
        if key not in self.edges or not style:
            self.edges[key] = Edge(source, target, label, style)

    def build(self, name: str, detail: str, columns: tuple[str, ...] = ()) -> View:
        """The finished view."""
        return View(
            name,
            detail,
            tuple(self.boxes),
            tuple(self.edges.values()),
            tuple(self.groups),
            columns,
        )
