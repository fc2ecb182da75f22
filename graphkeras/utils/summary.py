"""`model.summary()`: the layers of a model as a table, and its parameters counted.

The rows, numbers and widths are those of Keras 3.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from graphkeras import config
from graphkeras.models.graph import CallGraph
from graphkeras.models.sequential import Sequential
from graphkeras.trace import CallNode, FunctionCall, symbolic_leaves
from graphkeras.utils.messages import print_message

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NUMBER, UNKNOWN, CLASS, NO = "color(34)", "color(45)", "color(33)", "color(9)"
UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Prints the layers of a model, their output shapes and parameters, and the totals.

    Args:
        model: The model; built or not.
        line_length: Width of the table; None: 88 (108 with connections, 12 more with
            `show_trainable`), at most the terminal's.
        positions: Right ends of the columns as parts of the width; None: Keras's.
        print_fn: Called once with the whole text in the place of printing.
        expand_nested: Whether the layers of models inside the model get rows too.
        show_trainable: Whether a column says which layers are trained.
        layer_range: Names (or regular expressions) of the first and last layer to show.

    Raises:
        ValueError: The width is too small, or `layer_range` does not name two layers.
    """
    rows = _Rows(model, expand_nested, show_trainable)
    table = rows.table(line_length, positions, layer_range)
    captured = print_fn is not None or not config.is_interactive_logging_enabled()
    console = _console(captured)
    if captured:
        console.begin_capture()
    console.print(f'[bold]Model: "{_escaped(model.name)}"[/]')
    console.print(table)
    for line in _totals(model):
        console.print(line)
    if print_fn is not None:
        print_fn(console.end_capture())
    elif captured:
        print_message(console.end_capture(), line_break=False)


class _Rows:
    """The rows of the table."""

    def __init__(self, model: Any, expand_nested: bool, show_trainable: bool) -> None:
        self.graph: CallGraph | None = None
        if model._graph is not None and not isinstance(model, Sequential):
            self.graph = model._graph
        self.layers = list(self.graph.operations if self.graph is not None else model.layers)
        self.connected = self.graph is not None and not is_chain(self.graph)
        self.calls = {id(node.operation): node for node in (self.graph.nodes if self.graph else ())}
        self.expand_nested = expand_nested
        self.show_trainable = show_trainable

    def table(
        self,
        line_length: int | None,
        positions: Sequence[float] | None,
        layer_range: Sequence[str] | None,
    ) -> Table:
        """The table with all its rows."""
        from rich.table import Column, Table

        heads = [("Layer (type)", "left"), ("Output Shape", "left"), ("Param #", "right")]
        width, ends = 88, list(positions or (0.45, 0.80, 1.0))
        if self.connected:
            heads.append(("Connected to", "left"))
            width, ends = 108, list(positions or (0.3, 0.56, 0.74, 1.0))
        if self.show_trainable:
            heads.append(("Trainable", "center"))
            width, ends = width + 12, [end * 0.9 for end in ends] + [1.0]
        width = line_length or min(width, shutil.get_terminal_size().columns - 4)
        columns = [
            Column(head, justify=justify, width=size)  # type: ignore[arg-type]  # a literal above
            for (head, justify), size in zip(heads, _widths(ends, width), strict=True)
        ]
        table = Table(*columns, width=width, show_lines=True)
        start, stop = bounds(self.layers, layer_range)
        for layer in self.layers[start:stop]:
            self._add(table, layer, 0)
        return table

    def _add(self, table: Table, layer: Any, level: int) -> None:
        prefix = "   " * level + "└ " if level else ""
        kind = f"[{CLASS}]{_escaped(class_name(layer))}[/]"
        name = f"{_escaped(prefix + layer.name)} ({kind})"
        fields = [name, self._shape_text(layer), _count(layer)]
        if self.connected:
            fields.append(self._connections(layer))
        if self.show_trainable:
            fields.append(_trainable(layer))
        table.add_row(*fields)
        for inner in (getattr(layer, "layers", None) or ()) if self.expand_nested else ():
            self._add(table, inner, level + 1)

    def _shape_text(self, layer: Any) -> str:
        """The output shape of a layer's last call; `?` where the layer was never called."""
        shapes = self._output_shapes(layer)
        if shapes is None:
            return "?"
        flat = _flat_shapes(shapes)
        if len(flat) == 1:
            return _sizes(flat[0])
        return f"[{', '.join(map(_sizes, flat))}]"

    def _output_shapes(self, layer: Any) -> Any:
        nodes = getattr(layer, "_inbound_nodes", None) or [self.calls.get(id(layer))]
        if nodes[-1] is not None:
            return [leaf.shape for leaf in symbolic_leaves(nodes[-1].outputs)]
        given = layer.__dict__.get("_built_for")
        if not given:
            return None
        if len(given) == 1:
            return layer.compute_output_shape(*given.values())
        return layer.compute_output_shape(**{f"{name}_shape": s for name, s in given.items()})

    def _connections(self, layer: Any) -> str:
        """The calls that feed this layer: `name[call of that layer][its result]`."""
        assert self.graph is not None
        texts = []
        for node in self.graph.nodes:
            for tensor in node.inputs if node.operation is layer else ():
                source = tensor.node
                if source is not None:
                    call, result = _number(call_index(source)), _number(tensor.index)
                    texts.append(f"{source.operation.name}[{call}][{result}]")
        return ", ".join(texts) or "-"


def is_chain(graph: CallGraph) -> bool:
    """Whether each call of a functional model feeds the next and no layer is called twice."""
    if len({id(node.operation) for node in graph.nodes}) != len(graph.nodes):
        return False
    first, *rest = graph.nodes
    followed = zip(graph.nodes, rest, strict=False)
    return not first.inputs and all(
        len(node.inputs) == 1 and node.inputs[0].node is before for before, node in followed
    )


def call_index(node: CallNode) -> int:
    """Which call of its layer a node is, counted from 0."""
    nodes = getattr(node.operation, "_inbound_nodes", [node])
    return next((i for i, other in enumerate(nodes) if other is node), 0)


def class_name(layer: Any) -> str:
    """The class of a layer; for a `keras.ops` function its name in the style of a class."""
    if isinstance(layer, FunctionCall):
        words = layer.function.__name__.split("_")
        return "".join(word.capitalize() for word in words)
    return type(layer).__name__


def bounds(layers: Sequence[Any], layer_range: Sequence[str] | None) -> tuple[int, int]:
    """Start and stop of the layers to show.

    Raises:
        ValueError: `layer_range` is no pair of names of layers.
    """
    if layer_range is None:
        return 0, len(layers)
    pair = isinstance(layer_range, (list, tuple)) and len(layer_range) == 2
    if not pair or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(
            "layer_range must be a list or tuple of two layer names, the first and the last to "
            f"show. Received: layer_range={layer_range!r}"
        )
    found = [
        [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
        for pattern in layer_range
    ]
    if not all(found):
        known = ", ".join(layer.name for layer in layers)
        raise ValueError(
            f"layer_range={layer_range!r} does not match the layers of the model\n  layers: {known}"
        )
    first, last = min(found[0]), max(found[1])
    if first > last:
        first, last = min(found[1]), max(found[0])
    return first, last + 1


def _widths(ends: Sequence[float], line_length: int) -> list[int]:
    widths, used = [], 0
    for end in ends:
        width = int(end * line_length) - used
        if width < 4:
            raise ValueError(
                f"line_length={line_length} leaves a column of the summary only {width} "
                "characters; make line_length larger"
            )
        widths.append(width)
        used += width
    return widths


def _flat_shapes(shapes: Any) -> list[Sequence[int | None]]:
    """The shapes in a nested structure; a shape is a sequence of sizes."""
    if isinstance(shapes, dict):
        return [shape for value in shapes.values() for shape in _flat_shapes(value)]
    if all(size is None or isinstance(size, int) for size in shapes):
        return [shapes]
    return [shape for value in shapes for shape in _flat_shapes(value)]


def _sizes(shape: Iterable[int | None]) -> str:
    return f"({', '.join(map(_number, shape))})"


def _number(value: object) -> str:
    return f"[{UNKNOWN if value is None else NUMBER}]{value}[/]"


def _count(layer: Any) -> str:
    if not hasattr(layer, "built"):
        return _number(0)
    return _number(f"{layer.count_params():,}") if layer.built else f"{_number(0)} (unbuilt)"


def _trainable(layer: Any) -> str:
    if not getattr(layer, "weights", None):
        return "[bold]-[/]"
    return f"[bold][{NUMBER}]Y[/][/]" if layer.trainable else f"[bold][{NO}]N[/][/]"


def _totals(model: Any) -> list[str]:
    """The lines below the table."""
    kinds = [
        ("Trainable params", model.trainable_weights),
        ("Non-trainable params", model.non_trainable_weights),
    ]
    if model.compiled and model.optimizer is not None and model.optimizer.built:
        kinds.append(("Optimizer params", model.optimizer.variables))
    everything = [variable for _, variables in kinds for variable in variables]
    lines = []
    for title, variables in [("Total params", everything), *kinds]:
        count = sum(int(variable.buffer.size) for variable in variables)
        size = readable_size(sum(int(variable.buffer.nbytes) for variable in variables))
        lines.append(f"[bold] {title}: [/][{NUMBER}]{count:,}[/] ({size})")
    return lines


def readable_size(nbytes: float) -> str:
    """A number of bytes for people: `readable_size(2048)` is `"2.00 KB"`."""
    for unit in UNITS[:-1]:
        if nbytes < 1024:
            return f"{nbytes:.2f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.2f} {UNITS[-1]}"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _console(captured: bool) -> Console:
    from rich.console import Console

    if captured:
        return Console(highlight=False, force_terminal=False, color_system=None)
    return Console(highlight=False)
