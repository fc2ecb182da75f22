"""The dataflow graph: values, nodes, and where they come from.

    Graph(inputs) -> Node -> Value -> Node -> ... -> Graph(outputs)

Everything is immutable. A pass returns a new graph, so keeping a graph as a snapshot costs
nothing. The graph is purely functional: parameters, optimizer slots, moving statistics and
random keys come in as inputs and leave as outputs; `aliases` says which output is the next
value of which input, and memory planning alone decides whether it is written in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphkeras.frozen import frozen
from graphkeras.ir.types import TensorType

if TYPE_CHECKING:
    import networkx as nx
    from graphviz import Digraph

Attributes = Mapping[str, Any]


@frozen
class Loc:
    """Where a node comes from: the user's source line, the layer, and the phase of the step."""

    file: str = ""
    line: int = 0
    layer: str = ""
    phase: str = "forward"
    """`forward`, `loss`, `metrics`, `backward` or `update`."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        return " ".join(part for part in (self.layer, place) if part) or "unknown"


UNKNOWN = Loc()


@frozen(eq=False)
class Value:
    """One tensor that flows along an edge. Compared by identity; its name is for printing."""

    type: TensorType
    producer: Node | None = field(repr=False)
    index: int = 0
    name: str = ""


@frozen(eq=False)
class Node:
    """One call of an op: operands, attributes, results, and where it comes from."""

    op: str
    inputs: tuple[Value, ...]
    attrs: Attributes
    types: tuple[TensorType, ...]
    """Types of the results."""
    name: str = ""
    body: Graph | None = None
    """The graph inside a `fused` node."""
    loc: Loc = UNKNOWN
    origins: tuple[Node, ...] = ()
    """The nodes of the graph before the pass that made this node."""
    made_by: str = "trace"
    """Name of the pass that made this node."""
    results: tuple[Value, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        many = len(self.types) > 1
        results = tuple(
            Value(t, self, i, f"{self.name}.{i}" if many and self.name else self.name)
            for i, t in enumerate(self.types)
        )
        object.__setattr__(self, "results", results)

    @property
    def result(self) -> Value:
        """The only result of a single-result node."""
        (value,) = self.results
        return value


@frozen(eq=False)
class Graph:
    """Nodes in topological order between inputs and outputs."""

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    aliases: Mapping[int, int] = field(default_factory=dict)
    """Output position -> position of the input whose next value it is."""
    output_names: tuple[str, ...] = ()

    @cached_property
    def users(self) -> Mapping[Value, tuple[Node, ...]]:
        """The nodes that read each value, in order, each node once."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                users.setdefault(value, []).append(node)
        return {value: tuple(nodes) for value, nodes in users.items()}

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Sorted names of the run-time dimensions of the inputs."""
        from graphkeras.ir.dims import Size

        dims = [d for value in self.inputs for d in value.type.shape if isinstance(d, Size)]
        return tuple(sorted(set().union(*(d.symbols for d in dims)) if dims else set()))

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """The graph for networkx: a vertex a node, input and output; an edge a use."""
        from graphkeras.ir.networkx_view import to_networkx

        return to_networkx(self)

    def to_dot(
        self, detail: str | None = None, direction: str = "TB", title: str | None = None
    ) -> Digraph:
        """The graph as a `graphviz.Digraph`; see `graphkeras.viz.to_dot`."""
        from graphkeras.viz import to_dot

        return to_dot(self, detail, direction, title)

    def __str__(self) -> str:
        from graphkeras.ir.text import print_graph

        return print_graph(self)
