"""`keras.Sequential`: layers one after the other."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from graphkeras import tree
from graphkeras.layers.config import init_names
from graphkeras.layers.input_layer import InputLayer
from graphkeras.layers.layer import Layer
from graphkeras.models.graph import CallGraph
from graphkeras.models.model import Model, check_unique_names
from graphkeras.names import auto_name
from graphkeras.trace import KerasTensor


class Sequential(Model):
    """A stack of layers, each fed with the result of the one before.

    The weights are made when the input's shape is known: from an `Input` at the front, from
    `build`, or from the first data.

    Args:
        layers: the layers, in order.
        trainable: whether optimizers change the weights.
        name: name; made up by default.
    """

    _untracked = Model._untracked | {"_stack"}

    def __new__(cls, *args: Any, **kwargs: Any) -> Sequential:
        """A sequential model; its arguments are never inputs and outputs."""
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(
        self,
        layers: Iterable[Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        self._stack: list[Layer] = []
        if isinstance(layers, Layer):
            raise TypeError(
                f"Sequential takes a list of layers, received the layer {layers!r}. "
                "Write Sequential([layer])."
            )
        for layer in layers or ():
            self._append(layer)
        self._build_if_known()

    def add(self, layer: Any, rebuild: bool = True, **kwargs: Any) -> None:
        """Adds a layer at the end.

        Args:
            layer: a layer, or the result of `keras.Input` at the front.
            rebuild: whether to make the weights now, where the input's shape is known.
            **kwargs: none; arguments belong to the layer, and the error says where.

        Raises:
            ValueError: for something that is no layer, a second input, or a name used twice.
            TypeError: for extra arguments.
        """
        if kwargs:
            raise _misplaced(layer, kwargs)
        self._append(layer)
        if rebuild:
            self._build_if_known()
        else:
            self.built, self._graph = False, None

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and layer.node is not None:
            layer = layer.node.operation
        if not isinstance(layer, Layer):
            raise ValueError(_no_layer(layer))
        if isinstance(layer, InputLayer) and self._stack:
            raise ValueError(
                f"model {self.name!r} already begins with the input shape "
                f"{_first_shape(self._stack)}; an Input can only come first."
            )
        shape = layer._batch_input_shape
        if not self._stack and not isinstance(layer, InputLayer) and shape is not None:
            self._stack.append(InputLayer(batch_shape=shape))
        check_unique_names([*self._stack, layer], self.name)
        self._stack.append(layer)

    def pop(self, rebuild: bool = True) -> Layer:
        """Removes the last layer and returns it. Raises `ValueError` where there is none."""
        if not self._stack:
            raise ValueError(f"model {self.name!r} has no layers to remove")
        layer = self._stack.pop()
        self.built, self._graph = False, None
        if rebuild:
            self._build_if_known()
        return layer

    @property
    def _layers(self) -> list[Layer]:
        return self._layers_among([])

    def _layers_among(self, held: list[Any]) -> list[Layer]:
        return list(self.__dict__.get("_stack", ()))

    def _public_layers(self) -> list[Layer]:
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    def _build_if_known(self) -> None:
        self.built, self._graph = False, None
        if self._stack and isinstance(self._stack[0], InputLayer):
            if len(self._stack) > 1:
                self.build(self._stack[0].batch_shape)
        elif self._stack and isinstance(self._stack[0], Model) and self._stack[0].built:
            graph = self._stack[0]._graph
            if graph is not None and len(graph.flat_inputs) == 1:
                self.build(graph.flat_inputs[0].shape)

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for an input shape (with the batch size).

        Raises:
            ValueError: where the model has no layers, or a shape of its own that differs.
        """
        if not self._stack:
            raise ValueError(
                f"model {self.name!r} has no layers to build; add some with model.add(layer)"
            )
        first = self._stack[0]
        if input_shape is None:
            if not isinstance(first, InputLayer):
                raise ValueError(f"build() of {self.name!r} needs an input_shape")
            input_shape = first.batch_shape
        if not _is_shape(input_shape):
            return
        shape = tuple(input_shape)
        if not isinstance(first, InputLayer):
            self._stack.insert(0, InputLayer(batch_shape=shape, dtype=_input_dtype(first)))
        elif not _agree(first.batch_shape, shape):
            raise ValueError(
                f"model {self.name!r} has the input shape {first.batch_shape} and cannot be built "
                f"for the input shape {shape}"
            )
        x = self._stack[0].output
        start = x
        for layer in self._stack[1:]:
            x = layer(x)
        self._graph = CallGraph(start, x, self.name)
        auto_name("Functional")  # Keras makes a functional model here, which counts in names
        self.autocast = False
        self.built = True

    def _build_for(self, arguments: dict[str, Any]) -> None:
        if self.built or not self._stack:
            return super()._build_for(arguments)
        inputs = arguments.get("inputs")
        if inputs is None or tree.is_nested(inputs):
            self.built = True  # several inputs: the layers are built one by one as they are called
            return None
        self.build((None, *inputs.shape[1:]))
        return None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The inputs sent through all layers."""
        if self._graph is not None:
            return super().call(inputs, training=training, mask=mask)
        for layer in self._stack:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the result for the shape of the inputs."""
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(d is None or isinstance(d, int) for d in value)


def _agree(own: tuple[int | None, ...], given: tuple[int | None, ...]) -> bool:
    return len(own) == len(given) and all(
        a is None or b is None or a == b for a, b in zip(own, given, strict=True)
    )


def _input_dtype(first: Layer) -> str:
    """Class numbers for a first layer that looks them up, else the layer's own dtype."""
    return "int32" if hasattr(first, "embeddings_initializer") else first.compute_dtype


def _first_shape(stack: list[Layer]) -> Any:
    return stack[0].batch_shape if isinstance(stack[0], InputLayer) else None


def _no_layer(thing: Any) -> str:
    text = (
        f"a Sequential model is made of layers, received {thing!r} of type {type(thing).__name__}"
    )
    if inspect.isclass(thing) and issubclass(thing, Layer):
        return f"{text}. It is the class: write {thing.__name__}(...) with its arguments."
    if callable(thing):
        return f"{text}. Wrap a function in keras.layers.Lambda(function)."
    return text


def _misplaced(layer: Any, kwargs: dict[str, Any]) -> TypeError:
    """The error for `model.add(Flatten(), activation="relu")`."""
    from graphkeras import layers

    given = ", ".join(f"{name}={value!r}" for name, value in kwargs.items())
    kind = type(layer).__name__
    text = f"Sequential.add() takes a layer only, received {kind} and {given}."
    for name in kwargs:
        if name in init_names(type(layer)):
            text += f" The argument `{name}` belongs inside the layer: {kind}(..., {given})."
            continue
        takers = [
            public
            for public in sorted(layers.__all__)
            if inspect.isclass(found := getattr(layers, public))
            and issubclass(found, Layer)
            and name in init_names(found)
        ]
        known = f"{', '.join(takers)} take it" if takers else "no layer takes it"
        text += f" {kind} has no argument `{name}`; {known}."
        if name == "activation":
            text += f" To add an activation of its own: model.add(Activation({kwargs[name]!r}))."
    return TypeError(text)
