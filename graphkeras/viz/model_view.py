"""The view of a Keras model: a box a layer, an edge a call."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from graphkeras.frozen import frozen
from graphkeras.trace import CallNode, FunctionCall, symbolic_leaves
from graphkeras.viz.view import Box, Line, View, ViewBuilder


def model_view(model: Any, show: Shown, expand_nested: bool) -> View:
    """The view of a model.

    Args:
        model: A built model. A subclassed one has no calls to show and is one box.
        show: What the boxes tell.
        expand_nested: Whether models inside the model are groups of their layers.

    Raises:
        ValueError: The model is not built.
    """
    if not getattr(model, "built", False):
        raise ValueError(
            f"model {getattr(model, 'name', model)!r} is not built, so its layers have no shapes "
            "yet. Build it first: call `model.build(input_shape)`, or the model on a batch of data"
        )
    return _Drawing(show, expand_nested).run(model)


@frozen
class Shown:
    """What the boxes tell of a layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool

    def title(self, operation: Any) -> str:
        """The class of a layer, with its name where names are shown."""
        from graphkeras.utils.summary import class_name

        kind = class_name(operation)
        return f"{operation.name} ({kind})" if self.names else kind

    def lines(self, operation: Any, node: CallNode | None) -> list[Line]:
        """The lines below the title."""
        lines = []
        activation = getattr(operation, "activation", None)
        if self.activations and activation is not None:
            lines.append(Line(f"Activation: {_activation_name(activation)}"))
        outputs = symbolic_leaves(node.outputs) if node is not None else []
        if self.shapes:
            if node is None or node.inputs:
                inputs = node.inputs if node is not None else []
                lines.append(Line("Input shape:", _listed([t.shape for t in inputs])))
            lines.append(Line("Output shape:", _listed([t.shape for t in outputs])))
        if self.dtype:
            lines.append(Line("Output dtype:", _listed([t.dtype for t in outputs])))
        if self.trainable and getattr(operation, "weights", None):
            lines.append(Line("Trainable" if operation.trainable else "Non-trainable"))
        return lines


def _listed(items: list[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, items))) or "?"


def _activation_name(activation: Any) -> str:
    name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
    return str(name or activation)


class _Drawing:
    """Collects boxes and edges; nested models become groups where they are expanded."""

    def __init__(self, show: Shown, expand_nested: bool) -> None:
        self.show = show
        self.expand_nested = expand_nested
        self.view = ViewBuilder()
        self.boxes: dict[int, str] = {}

    def run(self, model: Any) -> View:
        if model._graph is not None:
            self._graph(model, "", "")
        elif getattr(model, "_stack", None):
            self._stack(model)
        else:
            self._box(model, None, "")
        return self.view.build(model.name, "layers")

    def _stack(self, model: Any) -> None:
        """A Sequential model without symbolic tensors: its layers one after the other."""
        for layer in model.layers:
            self._box(layer, None, "")
        ids = [self.boxes[id(layer)] for layer in model.layers]
        for first, second in pairwise(ids):
            self.view.edge(first, second)

    def _graph(self, model: Any, group: str, path: str) -> None:
        for node in model._graph.nodes:
            operation = node.operation
            if id(operation) in self.boxes or (not node.inputs and _hides_input(model)):
                continue
            if self._is_expanded(operation):
                if path + operation.name not in {g.title for g in self.view.groups}:
                    inner = self.view.group(path + operation.name)
                    self._graph(operation, inner, f"{path}{operation.name} / ")
            else:
                self._box(operation, node, group)
        for node in model._graph.nodes:
            for position, tensor in enumerate(node.inputs):
                if tensor.node is not None:
                    source = self._exit(tensor.node.operation, tensor.index)
                    target = self._entry(node.operation, position)
                    if source in self.boxes and target in self.boxes:
                        self.view.edge(self.boxes[source], self.boxes[target])

    def _box(self, operation: Any, node: CallNode | None, group: str) -> None:
        id_ = self.view.next_box()
        self.boxes[id(operation)] = id_
        role = "node" if node is None or node.inputs else "data"
        lines = tuple(self.show.lines(operation, node))
        title = self.show.title(operation)
        details = [("name", operation.name), ("parameters", _parameters(operation))]
        if node is not None and node.place is not None:
            details.append(("source", f"{node.place[0]}:{node.place[1]}"))
        self.view.boxes.append(
            Box(id_, role, title, "forward", lines, group, details=tuple(details))
        )

    def _is_expanded(self, operation: Any) -> bool:
        return self.expand_nested and getattr(operation, "_graph", None) is not None

    def _exit(self, operation: Any, index: int) -> int:
        """The operation, inside nested models, that makes a result of `operation`."""
        while self._is_expanded(operation):
            tensor = operation._graph.flat_outputs[index]
            operation, index = tensor.node.operation, tensor.index
        return id(operation)

    def _entry(self, operation: Any, position: int) -> int:
        """The operation, inside nested models, that takes an input of `operation`."""
        while self._is_expanded(operation):
            if _hides_input(operation):
                operation, position = operation.layers[0], 0
            else:
                inputs = operation._graph.flat_inputs
                operation = inputs[min(position, len(inputs) - 1)].node.operation
        return id(operation)


def _hides_input(model: Any) -> bool:
    """Sequential models show no box for their input, as in Keras."""
    from graphkeras.models.sequential import Sequential

    return isinstance(model, Sequential)


def _parameters(operation: Any) -> str:
    if isinstance(operation, FunctionCall) or not operation.built:
        return "0"
    return f"{operation.count_params():,}"
