"""Boxes that every view draws alike: inputs, variables and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from graphkeras.ir.graph import Value
from graphkeras.viz.facts import Facts
from graphkeras.viz.view import Box, Line, ViewBuilder


def add_value_box(view: ViewBuilder, value: Value, facts: Facts, group: str = "") -> str:
    """Adds the box of a graph input: data or a variable. Returns its id."""
    role = "parameter" if value in facts.states else "data"
    box = view.next_box()
    kind = str(value.type)
    details = (("role", "variable" if role == "parameter" else "data"), ("type", kind))
    view.boxes.append(
        Box(
            box,
            role,
            facts.title(input_label(value)),
            "",
            (Line("", kind),),
            group,
            details=details,
        )
    )
    return box


def add_outputs(view: ViewBuilder, facts: Facts, made_by: Mapping[Value, str]) -> None:
    """Adds a box for every output that is no next value of a variable."""
    graph = facts.graph
    for position, value in enumerate(graph.outputs):
        if position in graph.aliases or value not in made_by:
            continue
        box = view.next_box()
        kind = str(value.type)
        details = (("role", "output"), ("type", kind))
        view.boxes.append(
            Box(
                box,
                "output",
                output_label(facts, position),
                "",
                (Line("", kind),),
                "",
                details=details,
            )
        )
        view.edge(made_by[value], box)


def input_label(value: Value) -> str:
    """The name of an input; its position where it has none."""
    return value.name or f"input {value.index}"


def output_label(facts: Facts, position: int) -> str:
    """The name of an output; its position where it has none."""
    names = facts.graph.output_names
    return names[position] if position < len(names) else f"output {position}"
