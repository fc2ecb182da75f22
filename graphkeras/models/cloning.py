"""`keras.models.clone_model`: the same architecture with weights of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphkeras import tree
from graphkeras.layers.input_layer import Input, InputLayer
from graphkeras.layers.layer import Layer
from graphkeras.models.functional import Functional
from graphkeras.models.model import Model
from graphkeras.models.sequential import Sequential


def _from_config(layer: Layer) -> Layer:
    if isinstance(layer, Model) and (layer._graph is not None or isinstance(layer, Sequential)):
        return clone_model(layer)
    return type(layer).from_config(layer.get_config())


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Model:
    """A copy of a Sequential or functional model, with new layers and new weights.

    Args:
        model: the model.
        input_tensors: symbolic tensors to begin with; new inputs by default.
        clone_function: makes the copy of a layer; from its config by default.

    Raises:
        ValueError: for a subclassed model, whose architecture is known to its `call` only.
    """
    clone = clone_function or _from_config
    if isinstance(model, Sequential):
        copies = [clone(layer) for layer in model.layers]
        first = model._layers[0] if model._layers else None
        if input_tensors is not None:
            return Sequential([tree.flatten(input_tensors)[0], *copies], name=model.name)
        if isinstance(first, InputLayer):
            start = Input(batch_shape=first.batch_shape, dtype=first.dtype, name=first.name)
            return Sequential([start, *copies], name=model.name)
        return Sequential(copies, name=model.name)
    graph = model._graph
    if graph is None:
        raise ValueError(
            f"clone_model() copies Sequential and functional models; the layers of {model!r} are "
            "connected in its own call(). Make another instance of its class."
        )
    made: dict[int, Any] = {}

    def copy_of(operation: Any) -> Any:
        if not isinstance(operation, Layer):
            return operation
        if id(operation) not in made:
            made[id(operation)] = clone(operation)
        return made[id(operation)]

    inputs = input_tensors
    if inputs is None:
        inputs = tree.map_structure(
            lambda t: Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.inputs
        )
    outputs = graph.run(tree.flatten(inputs), copy_of)
    return Functional(inputs, outputs, name=model.name)
