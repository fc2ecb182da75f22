"""What a layer holds: variables, sublayers, metrics, losses; and its place in functional models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.ir.op import Array
from graphkeras.layers import tracking
from graphkeras.trace import CallNode, EagerScope, Tensor, current_scope
from graphkeras.variables import Variable

if TYPE_CHECKING:
    from graphkeras.layers.layer import Layer


class LayerState:
    """The part of `Layer` that answers questions about it."""

    name: str
    built: bool
    autocast: bool
    supports_masking: bool
    activity_regularizer: Any
    input_spec: Any
    _dtype: str
    _trainable: bool
    _path: str
    _building: bool
    _initialized: bool
    _parent_path: str | None
    _made_at: tuple[str, int] | None
    _made_weights: list[Variable]
    _inbound_nodes: list[CallNode]
    _losses: list[Tensor]
    _auto_config: dict[str, Any]

    @property
    def path(self) -> str:
        """Names of the models and layers it was built in, and its own: `"model/dense"`."""
        return self._path or self.name

    @property
    def dtype(self) -> str:
        """Dtype of the weights."""
        return self._dtype

    @property
    def variable_dtype(self) -> str:
        """Dtype of the weights."""
        return self._dtype

    @property
    def compute_dtype(self) -> str:
        """Dtype of the computation."""
        return self._dtype

    @property
    def _layers(self) -> list[Layer]:
        return self._layers_among(tracking.held(self))

    def _layers_among(self, held: list[Any]) -> list[Layer]:
        """The layers directly inside this one, given all that its attributes hold.

        That takes long to find, so it is looked for once where several things are asked for.
        """
        return tracking.layers_in(held)

    def _flatten_layers(self, include_self: bool = True) -> Iterator[Any]:
        """The layer and the layers inside it, each once."""
        seen: set[int] = set()
        queue: list[Any] = [self] if include_self else list(self._layers)
        while queue:
            layer = queue.pop(0)
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            yield layer
            queue = [*layer._layers, *queue]

    @property
    def variables(self) -> list[Variable]:
        """Weights and the states of seed generators, own ones first."""
        held = tracking.held(self)
        found = [
            *tracking.variables_in(held),
            *(g.state for g in tracking.seed_generators_in(held)),
        ]
        for layer in self._layers_among(held):
            found.extend(layer.variables)
        return tracking.unique(found)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables optimizers change."""
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables optimizers leave alone."""
        return [v for v in self.variables if not (v.trainable and self._trainable)]

    @property
    def weights(self) -> list[Variable]:
        """The variables but for the states of seed generators, own ones first."""
        held = tracking.held(self)
        found = tracking.variables_in(held)
        for layer in self._layers_among(held):
            found.extend(layer.weights)
        return tracking.unique(found)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights optimizers change."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights optimizers leave alone."""
        return [v for v in self.weights if not (v.trainable and self._trainable)]

    @property
    def metrics(self) -> list[Any]:
        """Metrics of the layer and of the layers inside it."""
        held = tracking.held(self)
        found = tracking.metrics_in(held)
        for layer in self._layers_among(held):
            found.extend(layer.metrics)
        return tracking.unique(found)

    @property
    def metrics_variables(self) -> list[Variable]:
        """The variables of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def trainable(self) -> bool:
        """Whether optimizers change the weights. Setting it sets all layers inside too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in tracking.variables_in(tracking.held(self)):
            if variable.trainable_from_start:
                variable.trainable = self._trainable
        for layer in self._layers:
            layer.trainable = value

    @property
    def losses(self) -> list[Any]:
        """Scalars to add to the loss: from `add_loss` in the last call, then of regularizers."""
        found = []
        for layer in self._flatten_layers():
            found.extend(layer._own_losses())
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable))
        return found

    def _own_losses(self) -> list[Any]:
        scope = current_scope()
        found: list[Any] = []
        for loss in self._losses:
            if loss.scope is scope:
                found.append(loss)
            elif scope is None and isinstance(loss.scope, EagerScope):
                found.append(loss.numpy())
        return found

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._losses.clear()

    def get_weights(self) -> list[Array]:
        """Copies of the weights, as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the weights, in the order of `weights`.

        Raises:
            ValueError: where their number or a shape differs.
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"set_weights() of layer {self.name!r} expects {len(own)} arrays, received "
                f"{len(weights)}."
                + ("" if self.built else " The layer is not built yet: call it or build() first.")
            )
        for variable, value in zip(own, weights, strict=True):
            if tuple(np.shape(value)) != variable.shape:
                raise ValueError(
                    f"set_weights() of layer {self.name!r}: the weight {variable.path!r} has shape "
                    f"{variable.shape}, received an array of shape {tuple(np.shape(value))}"
                )
        for variable, value in zip(own, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Number of scalars in the weights. Raises `ValueError` before they exist."""
        if not self.built:
            raise ValueError(
                f"count_params() of layer {self.name!r}: it has no weights yet. Call it, or "
                "build(input_shape)."
            )
        return sum(int(v.buffer.size) for v in self.weights)

    def _first_node(self, what: str) -> CallNode:
        if not self._inbound_nodes:
            raise AttributeError(
                f"layer {self.name!r} has no {what}: it was never called on a symbolic tensor"
            )
        return self._inbound_nodes[0]

    @property
    def input(self) -> Any:
        """The symbolic inputs of the first call in a functional model."""
        node = self._first_node("input")
        return node.args[0] if node.args else next(iter(node.kwargs.values()))

    @property
    def output(self) -> Any:
        """The symbolic results of the first call in a functional model."""
        return self._first_node("output").outputs
