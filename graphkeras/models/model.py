"""`keras.Model`: a layer of layers that can be trained.

A model is made in one of three ways: from symbolic inputs and outputs (functional), from a list
of layers (`Sequential`), or by a subclass that defines `call`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from graphkeras import tree
from graphkeras.errors import ShapeError, did_you_mean
from graphkeras.layers.input_spec import InputSpec, check_inputs
from graphkeras.layers.layer import Layer
from graphkeras.layers.tracking import is_layer
from graphkeras.models.graph import CallGraph
from graphkeras.trace import KerasTensor, Tensor, as_tensor, cast_to
from graphkeras.training.trainer import Trainer


def is_functional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of a model's `__init__` are inputs and outputs."""
    return (
        len(args) == 2
        or (len(args) == 1 and "outputs" in kwargs)
        or ("inputs" in kwargs and "outputs" in kwargs)
    )


class Model(Trainer, Layer):
    """A trainable model.

    Args:
        inputs: symbolic tensor of `keras.Input`, or a nested structure of them.
        outputs: symbolic tensor made from the inputs, or a nested structure of them.
        name: name; made up by default.
        trainable: whether optimizers change its weights.
        dtype: dtype of the weights, floatx by default.

    A subclass without `inputs` and `outputs` makes its layers in `__init__` and defines
    `call(self, inputs, training=None)`.

    Raises:
        ValueError: where the outputs do not depend on the inputs alone, or two layers have the
            same name.
    """

    _untracked = frozenset({"_graph", "_training_state", "history"})
    _graph: CallGraph | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """A `Functional` where `Model` itself is called with inputs and outputs."""
        if cls is Model and is_functional(args, kwargs):
            from graphkeras.models.functional import Functional

            cls = Functional  # type: ignore[assignment]  # a subclass, as the return type says
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not is_functional(args, kwargs):
            if args:
                raise TypeError(
                    f"{type(self).__name__}: expected Model(inputs, outputs) or keyword "
                    f"arguments, received {args!r}"
                )
            super().__init__(**kwargs)
            return
        names = ("inputs", "outputs")
        ends = {**dict(zip(names, args, strict=False)), **kwargs}
        inputs, outputs = ends.pop("inputs"), ends.pop("outputs")
        super().__init__(**ends)
        self._become_functional(inputs, outputs)

    def _become_functional(self, inputs: Any, outputs: Any) -> None:
        self._graph = CallGraph(_unboxed(inputs), _unboxed(outputs), self.name)
        check_unique_names(self._graph.operations, self.name)
        self.autocast = False
        self.built = True

    def _layers_among(self, held: list[Any]) -> list[Layer]:
        own = super()._layers_among(held)
        if self._graph is None:
            return own
        in_graph = [o for o in self._graph.operations if is_layer(o)]
        return list({id(layer): layer for layer in (*in_graph, *own)}.values())

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model, not those inside them; of a Sequential without the input."""
        return self._public_layers()

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("Model.layers cannot be set; give your list of layers another name")

    def _public_layers(self) -> list[Layer]:
        return self._layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or position.

        Raises:
            ValueError: where there is none, or not exactly one of the arguments is given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes either a name or an index")
        layers = self.layers
        if index is not None:
            if index >= len(layers):
                raise ValueError(
                    f"model {self.name!r} has {len(layers)} layers, so there is none at index "
                    f"{index}"
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"model {self.name!r} has no layer {name!r}. {did_you_mean(name, names)}\n"
            f"  layers: {', '.join(names)}"
        )

    # Calls -------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights of a subclassed model by calling it on symbolic inputs.

        Args:
            input_shape: shape (or nested shapes) of the inputs with the batch size.
        """
        if self.built:
            return
        self.built = True
        self.compute_output_shape(input_shape)

    def _build_for(self, arguments: dict[str, Any]) -> None:
        if type(self).build is Model.build:
            self.built = True  # the layers inside are built by the call that comes now
        super()._build_for(arguments)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs for the inputs. Subclasses define it."""
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} defines no call(): a model needs call(self, inputs)."
            )
        return self._graph.run(self._standardized(inputs, mask))

    def _standardized(self, inputs: Any, mask: Any = None) -> list[Any]:
        """The inputs in the order, dtype and rank of the graph's."""
        assert self._graph is not None
        wanted = self._graph.flat_inputs
        flat = self._ordered_inputs(inputs)
        specs = [
            InputSpec(shape=(None, *t.shape[1:]), allow_last_axis_squeeze=True, name=t.name)
            for t in wanted
        ]
        check_inputs(specs, flat, self.name)
        masks = tree.flatten(mask) if mask is not None else []
        result = []
        for position, (value, symbol) in enumerate(zip(flat, wanted, strict=True)):
            fitted = _fitted(value, symbol)
            if position < len(masks) and isinstance(fitted, Tensor):
                fitted._keras_mask = masks[position]
            result.append(fitted)
        return result

    def _ordered_inputs(self, inputs: Any) -> list[Any]:
        assert self._graph is not None
        wanted = self._graph.flat_inputs
        structure = self._graph.inputs
        if isinstance(inputs, dict):
            keys = list(structure) if isinstance(structure, dict) else [t.name for t in wanted]
            missing = [k for k in keys if k not in inputs]
            if missing:
                raise ShapeError(
                    f"The input {missing[0]!r} of model {self.name!r} is missing: expected data "
                    f"for {keys}, received {list(inputs)}. "
                    f"{did_you_mean(missing[0], [str(k) for k in inputs])}"
                )
            inputs = {k: inputs[k] for k in keys}
            return tree.flatten(inputs) if isinstance(structure, dict) else list(inputs.values())
        return tree.flatten(inputs)

    # Functional models -------------------------------------------------------------------

    def _require_graph(self, what: str) -> CallGraph:
        if self._graph is None:
            raise AttributeError(
                f"The model {self.name!r} has no {what}: it is defined by its `call`, not by "
                "symbolic tensors."
            )
        return self._graph

    @property
    def input(self) -> Any:
        """The symbolic inputs, in their structure."""
        return self._require_graph("input").inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs, in their structure."""
        return self._require_graph("output").outputs

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, as a flat list."""
        return list(self._require_graph("inputs").flat_inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, as a flat list."""
        return list(self._require_graph("outputs").flat_outputs)

    @property
    def input_shape(self) -> Any:
        """The shapes of the inputs, in their structure."""
        return tree.map_structure(lambda t: t.shape, self._require_graph("input_shape").inputs)

    @property
    def output_shape(self) -> Any:
        """The shapes of the outputs, in their structure."""
        return tree.map_structure(lambda t: t.shape, self._require_graph("output_shape").outputs)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [t.name for t in self._require_graph("input_names").flat_inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the layers that make the outputs."""
        tensors = self._require_graph("output_names").flat_outputs
        return [t.name if t.node is None else t.node.operation.name for t in tensors]

    def get_config(self) -> dict[str, Any]:
        """The arguments of a subclass, as for layers.

        Raises:
            NotImplementedError: for functional models, which are copied by `clone_model`.
        """
        if self._graph is not None:
            raise NotImplementedError(
                f"{type(self).__name__}.get_config() is not supported; use "
                "keras.models.clone_model(model) to copy a functional model."
            )
        return Layer.get_config(self)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Prints a table of the layers: name, output shape, parameters.

        Args:
            line_length: width of the table.
            positions: relative widths of the columns.
            print_fn: called with the text in the place of `print`.
            expand_nested: whether to show the layers of models inside the model.
            show_trainable: whether to show which layers are trained.
            layer_range: names of the first and last layer to show.
        """
        from graphkeras.utils.summary import print_summary

        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )


def check_unique_names(operations: list[Any], model: str) -> None:
    """Raises `ValueError` where two layers of a model have the same name."""
    names: set[str] = set()
    for operation in operations:
        if isinstance(operation, Layer):
            if operation.name in names:
                count = sum(getattr(o, "name", None) == operation.name for o in operations)
                raise ValueError(
                    f"{count} layers of model {model!r} have the name {operation.name!r}. "
                    "Give each layer a name of its own."
                )
            names.add(operation.name)


def _unboxed(structure: Any) -> Any:
    """A list of one tensor stands for the tensor, as in Keras."""
    if isinstance(structure, (list, tuple)) and len(structure) == 1:
        return structure[0] if isinstance(structure[0], KerasTensor) else structure
    return structure


def _fitted(value: Any, symbol: KerasTensor) -> Any:
    """An input in the dtype and rank of the symbolic tensor it stands for."""
    if isinstance(value, KerasTensor) or value is None:
        return value
    tensor = as_tensor(value)
    mask = tensor._keras_mask
    tensor = cast_to(tensor, symbol.dtype)
    from graphkeras import ops

    if tensor.ndim == symbol.ndim - 1 and symbol.shape[-1] == 1:
        tensor = ops.expand_dims(tensor, -1)
    elif tensor.ndim == symbol.ndim + 1 and tensor.shape[-1] == 1:
        tensor = ops.squeeze(tensor, -1)
    tensor._keras_mask = mask
    return tensor
