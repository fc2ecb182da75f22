"""What a pass is, and its text form.

A pass is a `frozen` record: its fields are its options, `name` is its name, and calling it
with a graph returns a graph. Its text, such as `fold_constants{max_elements=1024}`, names it
in records, dumps, reproducers and on the command line.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Protocol

from graphkeras.ir.graph import Graph
from graphkeras.ir.text import attribute_text


class Pass(Protocol):
    """A function from graph to graph with a name; it returns its argument if nothing changed."""

    @property
    def name(self) -> str:
        """The name of the pass; a class variable of the record."""
        ...

    def __call__(self, graph: Graph) -> Graph:
        """The graph after the pass. The graph given is not changed."""
        ...


def pass_text(which: Any) -> str:
    """A pass as text: its name, and its options in braces if it has any.

    Raises:
        TypeError: An option has no text form.
    """
    options = ", ".join(
        f"{field.name}={attribute_text(getattr(which, field.name))}" for field in fields(which)
    )
    return f"{which.name}{{{options}}}" if options else str(which.name)
