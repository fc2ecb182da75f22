"""Graphs as text, one node a line; `parse_graph` (in `graphkeras.ir.parse`) reads it back.

    graph "mlp" {
      %0 = input f32[N,4] "x"
      %1 = input f32[4,3] "dense/kernel"
      %2:f32[N,3] = dot_general(%0, %1) {lhs_batch=(), ...} @"logits" loc("a.py":7, layer="dense")
      %3:f32[] = constant() {value=f32[](0.5)}
      %4:f32[N] = fused(%2) {} graph "body" {
        ...
        return %1
      }
      return %4 "y", %1 "dense/kernel" -> %1
    }

`%n` numbers values from the top of each graph. `@"..."` is the name of a node, `loc(...)` the
layer, user's line and phase it comes from, `by "..."` the pass that made it; what is unset is
left out. `-> %1` says that an output is the next value of that input. Attributes are literals;
a symbolic size is written as it is (`2*N + 1`), an array as its type with its elements, or in
base64 where it is long or its elements have no exact decimal form. Origins are not written:
they are nodes of other graphs.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from graphkeras.ir.dims import Size
from graphkeras.ir.graph import UNKNOWN, Graph, Loc, Node, Value
from graphkeras.ir.op import Array
from graphkeras.ir.parse import ParseError, literal_element, parse_graph
from graphkeras.ir.types import TensorType

__all__ = ["ParseError", "attribute_text", "graph_lines", "node_text", "parse_graph", "print_graph"]

LITERAL_ELEMENTS = 16
"""Arrays of up to this many elements are written element by element."""

INDENT = "  "


def print_graph(graph: Graph, lines: bool = True) -> str:
    """The graph as text, without a final newline.

    Args:
        graph: The graph.
        lines: Whether to tell the file and line that each node comes from.

    A graph that breaks its rules is printed too, for error messages: a value that is used but
    not defined appears as `%?`.

    Raises:
        TypeError: An attribute is of a type that has no text form.
    """
    return "\n".join(line for line, _ in graph_lines(graph, lines=lines))


def graph_lines(graph: Graph, indent: str = "", lines: bool = True) -> Iterator[tuple[str, object]]:
    """The lines of `print_graph`, each with the node, input value or graph it stands for."""
    names: dict[Value, str] = {}
    yield f"{indent}graph {quote(graph.name)} {{", graph
    yield from _body_lines(graph, names, indent, lines)


def _body_lines(
    graph: Graph, names: dict[Value, str], indent: str, lines: bool
) -> Iterator[tuple[str, object]]:
    inside = indent + INDENT
    for value in graph.inputs:
        names[value] = f"%{len(names)}"
        name = f" {quote(value.name)}" if value.name else ""
        yield f"{inside}{names[value]} = input {value.type}{name}", value
    for node in graph.nodes:
        for result in node.results:
            names.setdefault(result, f"%{len(names)}")
        line = inside + node_text(node, names, lines)
        if node.body is None:
            yield line, node
        else:
            yield f"{line} graph {quote(node.body.name)} {{", node
            yield from _body_lines(node.body, {}, inside, lines)
    yield f"{inside}{_return_text(graph, names)}", graph
    yield f"{indent}}}", graph


def _return_text(graph: Graph, names: Mapping[Value, str]) -> str:
    outputs = []
    for position, value in enumerate(graph.outputs):
        text = names.get(value, "%?")
        if position < len(graph.output_names):
            text += f" {quote(graph.output_names[position])}"
        if position in graph.aliases:
            target = graph.aliases[position]
            known = 0 <= target < len(graph.inputs)
            text += f" -> {names[graph.inputs[target]] if known else '%?'}"
        outputs.append(text)
    return " ".join(["return", ", ".join(outputs)]).rstrip()


def node_text(node: Node, names: Mapping[Value, str], lines: bool = True) -> str:
    """One node's line without its body; `names` holds the text of the values."""
    results = ", ".join(f"{names.get(r, '%?')}:{r.type}" for r in node.results)
    operands = ", ".join(names.get(v, "%?") for v in node.inputs)
    parts = [f"{results} = {node.op}({operands})".lstrip()]
    if node.attrs:
        attrs = ", ".join(f"{key}={attribute_text(value)}" for key, value in node.attrs.items())
        parts.append(f"{{{attrs}}}")
    if node.name:
        parts.append(f"@{quote(node.name)}")
    if node.loc != UNKNOWN:
        parts.append(_loc_text(node.loc, lines))
    if node.made_by != "trace":
        parts.append(f"by {quote(node.made_by)}")
    return " ".join(parts)


def _loc_text(loc: Loc, lines: bool) -> str:
    parts = [f"{quote(loc.file)}:{loc.line}"] if lines and (loc.file or loc.line) else []
    if loc.layer:
        parts.append(f"layer={quote(loc.layer)}")
    if loc.phase != UNKNOWN.phase:
        parts.append(f"phase={quote(loc.phase)}")
    return f"loc({', '.join(parts)})"


def quote(text: str) -> str:
    """A string literal without line breaks."""
    return json.dumps(text)


def attribute_text(value: Any) -> str:
    """An attribute's value as text.

    Raises:
        TypeError: The value is of a type that has no text form.
    """
    if value is None or isinstance(value, bool | np.bool_):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_text(float(value))
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Size):
        return str(value)
    if isinstance(value, tuple):
        items = ", ".join(attribute_text(item) for item in value)
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, np.ndarray):
        return _array_text(value)
    raise TypeError(f"an attribute of type {type(value).__name__} has no text form: {value!r}")


def _float_text(value: float) -> str:
    return repr(value) if math.isfinite(value) else str(value)


def _array_text(array: Array) -> str:
    kind = TensorType(array.shape, str(array.dtype))
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    if array.size <= LITERAL_ELEMENTS:
        items = [str(item) for item in array.reshape(-1)]
        read = [literal_element(item) for item in items]
        if np.array(read, dtype=array.dtype).tobytes() == array.tobytes():
            return f"{kind}({', '.join(items)})"
    return f'{kind}"{base64.b64encode(data).decode()}"'
