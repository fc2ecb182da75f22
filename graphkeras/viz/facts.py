"""What a reader of a picture wants to know about nodes and values, found from the graph alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from graphkeras.ir.dims import is_static
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.text import attribute_text, print_graph
from graphkeras.viz.view import PHASES

SAME_NUMBER = ("broadcast", "reshape", "cast")
"""Ops that leave a literal number what it is."""
QUIET = ("constant", "broadcast", "reshape", "cast", "dim", "transpose")
"""Ops that a summary leaves out where there are others."""
NAMED = 4
"""Ops that a summary names."""
DETAIL_LINES = 80
"""Lines of a kernel's text that are shown."""


class Facts:
    """Answers questions about one graph.

    Args:
        graph: Any graph, at any point of the pipeline.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writes: dict[Value, tuple[str, ...]] = {}
        """Values that are next values of inputs: the names of those inputs."""
        for output, position in graph.aliases.items():
            value = graph.outputs[output]
            self.writes[value] = (*self.writes.get(value, ()), graph.inputs[position].name)

    @cached_property
    def states(self) -> frozenset[Value]:
        """Inputs that are parameters or other variables, not data.

        An input that is updated is a variable; so is one of fixed shape with a path for a name,
        and one of fixed shape behind a variable: traces declare their data first.
        """
        updated = {self.graph.inputs[position] for position in self.graph.aliases.values()}
        found: set[Value] = set()
        for value in self.graph.inputs:
            fixed = is_static(value.type.shape)
            if value in updated or (fixed and (found or "/" in value.name)):
                found.add(value)
        return frozenset(found)

    @cached_property
    def layer_order(self) -> tuple[str, ...]:
        """Paths of the layers in the order of the forward pass."""
        locs = [
            inner.loc
            for node in self.graph.nodes
            for inner in (node.body.nodes if node.body is not None else (node,))
            if inner.loc.layer and inner.op not in QUIET[:2]
        ]
        forward = [loc.layer for loc in locs if loc.phase == "forward"]
        return tuple(dict.fromkeys([*forward, *(loc.layer for loc in locs)]))

    @cached_property
    def model(self) -> str:
        """The path that all layers share, with its slash: the model's, left out of titles."""
        return common_folder(self.layer_order)

    def title(self, path: str) -> str:
        """The path of a layer or variable as pictures show it."""
        return path.removeprefix(self.model)

    @cached_property
    def layers(self) -> Mapping[Node, str]:
        """The layer of every node; empty where it belongs to none.

        A node of the update belongs to the layer of the parameter or gradient it works on.
        """
        found: dict[Node, str] = {}
        for node in self.graph.nodes:
            layer = node.loc.layer
            if not layer and "update" in phases(node):
                near = {self._layer_of(value, found) for value in node.inputs} - {""}
                layer = near.pop() if len(near) == 1 else ""
            found[node] = layer
        return found

    def _layer_of(self, value: Value, found: Mapping[Node, str]) -> str:
        if value.producer is not None:
            return found.get(value.producer, "")
        return self.owner(value.name) if value in self.states else ""

    def owner(self, path: str) -> str:
        """The layer that owns the variable at `path`; empty where that cannot be told."""
        prefixes = [layer for layer in self.layer_order if path.startswith(f"{layer}/")]
        if prefixes:
            return max(prefixes, key=len)
        folder = path.rpartition("/")[0].rpartition("/")[2]
        same = [layer for layer in self.layer_order if layer.rpartition("/")[2] == folder]
        return same[0] if len(same) == 1 and folder else ""

    def is_folded(self, node: Node) -> bool:
        """Whether a node is shown in the text of its readers only: a literal number."""
        if node.body is not None or any(v in self.graph.outputs for v in node.results):
            return False
        return literal(node.results[0]) is not None

    def read_states(self, node: Node) -> list[Value]:
        """The variables a node reads, in order."""
        return [value for value in dict.fromkeys(node.inputs) if value in self.states]

    def written_names(self, node: Node) -> list[str]:
        """Names of the variables a node updates."""
        return [name for value in node.results for name in self.writes.get(value, ())]


def phases(node: Node) -> tuple[str, ...]:
    """The phases a node works for: its own, and for a kernel those of what it computes."""
    found = {node.loc.phase}
    if node.body is not None:
        found.update(v.producer.loc.phase for v in node.body.outputs if v.producer is not None)
    return tuple(phase for phase in PHASES if phase in found) or (node.loc.phase,)


def value_phase(value: Value) -> str:
    """The phase a value is computed in, seen inside the kernel that makes it."""
    producer = value.producer
    if producer is None:
        return "forward"
    if producer.body is not None:
        inner = producer.body.outputs[value.index].producer
        return inner.loc.phase if inner is not None else producer.loc.phase
    return producer.loc.phase


def is_kept(value: Value, reader: Node) -> bool:
    """Whether a value of the forward pass is read by the backward pass or the update."""
    if value.producer is not None and is_tensor_constant(value.producer):
        return False
    return value_phase(value) == "forward" and reader.loc.phase in ("backward", "update")


def edge_style(value: Value, reader: Node) -> str:
    """How the edge of a value to a reader is drawn; see `Edge.style`."""
    if is_kept(value, reader):
        return "kept"
    single = value.type.numel == 1 and value.producer is not None
    return "scalar" if single and "update" in phases(reader) else ""


def common_folder(paths: Sequence[str]) -> str:
    """The first part that all layer paths share, with its slash; empty where there is none."""
    firsts = {path.partition("/")[0] for path in paths}
    nested = all("/" in path for path in paths)
    return f"{firsts.pop()}/" if len(firsts) == 1 and nested else ""


def is_tensor_constant(node: Node) -> bool:
    """Whether a node is a constant of several elements."""
    return get_op(node.op).kind is Kind.CONSTANT and node.types[0].numel != 1


def literal(value: Value) -> str | None:
    """The number that a value holds in every element, as text; None where it is computed."""
    node = value.producer
    while node is not None and node.op in SAME_NUMBER:
        node = node.inputs[0].producer
    if node is None or node.op != "constant" or node.types[0].numel != 1:
        return None
    number = np.asarray(node.attrs["value"]).reshape(-1)[0]
    return f"{number:.6g}" if np.issubdtype(number.dtype, np.floating) else str(number)


def call_text(node: Node) -> str:
    """A node's op with its literal operands: `mul(·, 0.001)`."""
    literals = [literal(value) for value in node.inputs]
    if all(text is None for text in literals):
        return node.op
    return f"{node.op}({', '.join('·' if text is None else text for text in literals)})"


def summary(nodes: Iterable[Node]) -> str:
    """The ops that say what nodes compute: `conv + add · relu`, `reduce_sum + 17 elementwise`."""
    names = [node.op for node in nodes]
    telling = [name for name in names if name not in QUIET] or names
    inline = (Kind.ELEMENTWISE, Kind.INJECTIVE, Kind.CONSTANT)
    heroes = Counter(name for name in telling if get_op(name).kind not in inline)
    others = Counter(name for name in telling if get_op(name).kind in inline)
    parts = []
    if heroes:
        shown = [f"{n} x{count}" if count > 1 else n for n, count in heroes.items()]
        more = f" · {len(shown) - NAMED} more" if len(shown) > NAMED else ""
        parts.append(" · ".join(shown[:NAMED]) + more)
    if len(others) > NAMED or others.total() > len(others) + 1:
        parts.append(f"{others.total()} elementwise")
    elif others:
        parts.append(" · ".join(f"{n} x{c}" if c > 1 else n for n, c in others.items()))
    return " + ".join(parts)


def pattern(node: Node) -> str:
    """The loops that a node with a body becomes."""
    return str(node.attrs.get("pattern", node.op))


def kernel_title(node: Node) -> str:
    """What a node of a fused graph computes, in a few words."""
    return call_text(node) if node.body is None else summary(node.body.nodes)


def node_details(node: Node, layer: str = "") -> tuple[tuple[str, str], ...]:
    """Everything known about a node, as labelled texts."""
    rows = [
        ("op", node.op),
        ("name", node.name),
        ("result", ", ".join(map(str, node.types))),
        ("operands", ", ".join(str(value.type) for value in node.inputs)),
        ("attributes", _attributes(node)),
        ("layer", layer or node.loc.layer),
        ("phase", ", ".join(phases(node))),
        ("source", f"{node.loc.file}:{node.loc.line}" if node.loc.file else ""),
        ("made by", node.made_by),
        ("origins", _origins(node)),
    ]
    if node.body is not None:
        rows.append(("kernel", pattern(node)))
        rows.append(("not fused", "\n".join(map(str, node.attrs.get("not_fused", ())))))
        rows.append(("body", clipped(print_graph(node.body))))
    return tuple((label, text) for label, text in rows if text)


def clipped(text: str) -> str:
    """The first lines of a text, with a note of how many follow."""
    lines = [line if len(line) <= 400 else line[:400] + " …" for line in text.splitlines()]
    more = len(lines) - DETAIL_LINES
    return "\n".join(lines[:DETAIL_LINES] + ([f"… {more} more lines"] if more > 0 else []))


def _attributes(node: Node) -> str:
    shown = {k: v for k, v in node.attrs.items() if k != "not_fused"}
    return "\n".join(f"{k} = {attribute_text(v)[:200]}" for k, v in shown.items())


def _origins(node: Node) -> str:
    texts = [f"{origin.op} ({origin.loc})" for origin in node.origins]
    more = len(texts) - 12
    return "\n".join(texts[:12] + ([f"… {more} more"] if more > 0 else []))
