"""`keras.layers.Layer`: state, and a function on tensors that uses it.

    __call__    checks the inputs, builds the layer once, resolves `training` and masks
    build       makes the weights, when the input's shape is known
    call        the computation, on tensors

How a layer is called decides what happens, as for the functions of `keras.ops`: on symbolic
tensors it becomes a node of a functional model, inside a trace it adds to the graph, and on
NumPy arrays it computes at once.
"""

from __future__ import annotations

import functools
import sys
from abc import ABCMeta
from collections.abc import Callable, Sequence
from functools import cached_property
from types import FrameType
from typing import Any, Self

import numpy as np

from graphkeras import tree
from graphkeras.layers.calling import (
    CallSignature,
    bind,
    converted,
    explain,
    inner_call,
    masks_of,
    resolve_training,
    set_masks,
)
from graphkeras.layers.config import arguments_of, automatic_config, unknown_arguments
from graphkeras.layers.input_spec import InputSpec, check_inputs
from graphkeras.layers.state import LayerState
from graphkeras.names import auto_name, current_path, name_scope
from graphkeras.ops._common import UnknownSizeError
from graphkeras.places import user_place, warn
from graphkeras.trace import (
    KerasTensor,
    Tensor,
    any_symbolic,
    current_scope,
    infer,
    node_of,
    outside,
    run_eagerly,
    standardize_dtype,
    symbolic_leaves,
)
from graphkeras.trace.scope import Scope
from graphkeras.variables import Variable

__all__ = ["InputSpec", "Layer"]

Shape = Sequence[int | None]


class LayerType(ABCMeta):
    """The class of layer classes: a new layer has been through `Layer.__init__`, or is refused.

    It is an `ABCMeta`, so that a layer class may be abstract as well.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Makes a layer."""
        layer = super().__call__(*args, **kwargs)
        layer._check_initialized()
        return layer


class Layer(LayerState, metaclass=LayerType):
    """Base class of layers and models.

    Args:
        activity_regularizer: penalty on the outputs, divided by the batch size.
        trainable: whether optimizers change its weights.
        dtype: dtype of the weights and the computation, floatx by default.
        autocast: whether floating-point inputs are cast to the layer's dtype.
        name: name; made up from the class by default.
        **kwargs: `input_shape` or `input_dim` (and `batch_size`), as in the first layer of a
            Sequential model.

    Raises:
        ValueError: for arguments the layer does not have.
    """

    _is_layer = True
    _untracked: frozenset[str] = frozenset()
    """Attributes that hold no state of the layer."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Prepares the bookkeeping, so that subclasses may set attributes at once."""
        layer = super().__new__(cls)
        layer._made_weights = []
        layer._inbound_nodes = []
        layer._losses = []
        layer._auto_config = arguments_of(cls, args, kwargs)
        layer._made_at = user_place(skip=2)
        layer._initialized = False
        layer._path = ""
        layer._building = False
        layer.built = False
        return layer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            setattr(cls, "build", _build_once(vars(cls)["build"]))  # noqa: B010

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        from graphkeras import regularizers

        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"a layer's name is a string without '/', received name={name!r} of type "
                f"{type(name).__name__}"
            )
        self.name = name or auto_name(type(self).__name__)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._dtype = standardize_dtype(_dtype_name(dtype))
        self.autocast = autocast
        self.input_spec: Any = None
        self.supports_masking = False
        self._trainable = bool(trainable)
        self._batch_input_shape = _input_shape_argument(kwargs)
        if kwargs:
            raise unknown_arguments(type(self), kwargs)
        self._parent_path: str | None = None
        self._initialized = True

    # State -------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Makes the weights. Layers with weights override it.

        Args:
            input_shape: shape of the first argument of `call`; a nested structure of shapes
                where that is nested.
        """
        self.built = True

    def add_weight(
        self,
        shape: Shape | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """Makes a variable of the layer.

        Args:
            shape: shape; a scalar by default.
            initializer: name or function; by default `"glorot_uniform"` for floating-point
                variables and `"zeros"` for others.
            dtype: dtype name, the layer's by default.
            trainable: whether optimizers change it.
            autocast: accepted for compatibility.
            regularizer: penalty added to the loss.
            constraint: projection applied after each update.
            aggregation: accepted for compatibility.
            name: name of the variable.
        """
        from graphkeras import constraints, initializers, regularizers

        self._check_initialized()
        sizes = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = self._dtype if dtype is None else standardize_dtype(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtype.startswith("float") else "zeros"
        initializer = initializers.get(initializer)
        with name_scope(self.name, owner=self):
            variable = Variable(
                initializer,
                shape=sizes,  # type: ignore[arg-type]  # Variable explains a None
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.trainable = variable.trainable and self._trainable
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._made_weights.append(variable)
        return variable

    def add_loss(self, loss: Any) -> None:
        """Adds a scalar to the loss the model is trained with. Call it inside `call`."""
        for item in tree.flatten(loss):
            if not isinstance(item, Tensor):
                raise ValueError(
                    f"layer {self.name!r}: add_loss() takes tensors computed inside call(), "
                    f"received {item!r}"
                )
            self._losses.append(item)

    # Calls -------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. Every layer defines it."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no call(): a layer needs call(self, inputs)."
        )

    @cached_property
    def _call_signature(self) -> CallSignature:
        return CallSignature.of(self.call)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer on symbolic tensors, tensors or NumPy arrays."""
        self._check_initialized()
        if any_symbolic(args, kwargs):
            return self._record(args, kwargs)
        return run_eagerly(self._run, args, kwargs)

    def _record(self, args: Any, kwargs: Any) -> Any:
        """A call on symbolic tensors: a node of a functional model."""
        try:
            results = infer(lambda *a, **k: self._run(a, k), args, kwargs)
        except UnknownSizeError:
            if type(self).compute_output_shape is Layer.compute_output_shape:
                raise
            # The weights exist by now; only sizes that are not known yet stopped the trace.
            shapes = tree.map_structure(lambda t: t.shape, args[0])
            results = KerasTensor(self.compute_output_shape(shapes), self.compute_dtype)
        return node_of(self, results, args, kwargs)

    def _run(self, args: Any, kwargs: Any) -> Any:
        """A call on tensors inside a scope."""
        scope = current_scope()
        if scope is None:
            raise RuntimeError("a layer runs only inside a scope")
        signature = self._call_signature
        training = kwargs.get("training")
        if not signature.takes_training:
            kwargs = {k: v for k, v in kwargs.items() if k != "training"}
        bound = bind(self, signature, args, kwargs)
        if signature.takes_training:
            training = bound.arguments.get("training")
        dtype = self._dtype if self.autocast else None
        for name, value in bound.arguments.items():
            bound.arguments[name] = converted(value, dtype)
        inputs = bound.arguments.get(signature.first)
        training = resolve_training(signature, bound, training)
        previous = masks_of(inputs)
        if signature.takes_mask and bound.arguments.get("mask") is None and previous is not None:
            bound.arguments["mask"] = previous
        with inner_call(training) as outermost, self._scopes(scope, sys._getframe()):
            if outermost:
                self._clear_losses()
            try:
                check_inputs(self.input_spec, inputs, self.name)
                self._build_for(bound.arguments)
                outputs = self.call(*bound.args, **bound.kwargs)
            except Exception as error:
                explain(self, error, bound.arguments)
                raise
            self._penalize_outputs(outputs)
            set_masks(self, inputs, outputs, previous)
        return outputs

    def _scopes(self, scope: Scope, frame: FrameType) -> _Scopes:
        return _Scopes(self, scope, frame)

    def _build_for(self, arguments: dict[str, Any]) -> None:
        """Builds the layer for the shapes of the arguments, unless it is built."""
        if self.built:
            return
        shapes = {name: _shapes(value) for name, value in arguments.items()}
        shapes = {name: shape for name, shape in shapes.items() if shape is not None}
        self.__dict__["_built_for"] = shapes  # for the output shapes in a model's summary
        with outside():
            self._build_by_name(shapes)
        self.built = True
        check_inputs(self.input_spec, arguments.get(self._call_signature.first), self.name)

    def _build_by_name(self, shapes: dict[str, Any]) -> None:
        """Passes shapes to `build`, which takes one, or one `<argument>_shape` each."""
        import inspect

        names = list(inspect.signature(self.build).parameters)
        wanted = {f"{name}_shape": shape for name, shape in shapes.items()}
        if len(names) > 1 and all(name in wanted for name in names):
            self.build(**{name: wanted[name] for name in names})
        elif shapes:
            self.build(next(iter(shapes.values())))

    def _penalize_outputs(self, outputs: Any) -> None:
        if self.activity_regularizer is None:
            return
        from graphkeras import ops

        for output in tree.leaves(outputs):
            if isinstance(output, Tensor):
                loss = self.activity_regularizer(output)
                if output.dims:
                    batch = ops.cast(output.dims[0], loss.dtype)
                    loss = ops.divide_no_nan(loss, batch)
                self.add_loss(loss)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; that of the inputs unless a layer says otherwise."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the result for the shape (or nested shapes) of the inputs."""
        spec = self.compute_output_spec(
            *(_symbolic(a, self.compute_dtype) for a in args),
            **{
                k.removesuffix("_shape"): _symbolic(v, self.compute_dtype)
                for k, v in kwargs.items()
            },
        )
        return tree.map_structure(lambda t: t.shape, spec)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors like the results for symbolic inputs, without recording a node."""
        results = infer(lambda *a, **k: self._run(a, k), args, kwargs)
        return tree.map_structure(lambda t: KerasTensor(t.dims, t.dtype), results)

    # Configs -----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer.

        Raises:
            NotImplementedError: for a class without `get_config` made with other than plain
                values.
        """
        from graphkeras import regularizers

        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": self._dtype,
        }
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is Layer.get_config:
            return automatic_config(self, self._auto_config, config)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer like the one the config is of, with weights of its own."""
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}(**config) failed: {error}. config={config}. A layer with "
                "arguments of its own passes **kwargs on to super().__init__(), or overrides "
                "from_config()."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but the losses of the last call, parts of its graph."""
        return {**self.__dict__, "_losses": []}

    def _check_initialized(self) -> None:
        if not self._initialized:
            raise RuntimeError(
                f"The __init__() of {type(self).__name__} does not call super().__init__(); it "
                "must, before anything else."
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


class _Scopes:
    """The name scope and location scope of one call, opened together."""

    def __init__(self, layer: Layer, scope: Scope, frame: FrameType) -> None:
        if layer._parent_path is None:
            layer._parent_path = current_path()
        self._names = name_scope(layer.name, owner=layer)
        path = "/".join(part for part in (current_path(), layer.name) if part)
        self._places = scope.layer(path, frame, layer._made_at)

    def __enter__(self) -> None:
        self._names.__enter__()
        self._places.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._places.__exit__(*error)
        self._names.__exit__(*error)


def _build_once(build: Callable[..., None]) -> Callable[..., None]:
    """Wraps a `build` so that its variables are named after the layer, and it is marked built."""

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        outer = not self._building
        self._building = True
        try:
            with name_scope(self.name, owner=self):
                self._path = current_path()
                build(self, *args, **kwargs)
        finally:
            self._building = not outer
        self.built = True

    return wrapper


def _dtype_name(dtype: Any) -> Any:
    """The dtype of a layer's `dtype` argument, which may be a policy or its config."""
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name", dtype)
    if isinstance(dtype, str) and dtype.startswith("mixed_"):
        raise ValueError(
            f"dtype={dtype!r}: mixed precision is not supported; use 'float32' or 'float64'."
        )
    return getattr(dtype, "name", dtype) if not isinstance(dtype, type) else dtype


def _input_shape_argument(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Takes `input_shape` and its relatives out of the arguments of a layer."""
    batch_size = kwargs.pop("batch_size", None)
    shape = kwargs.pop("input_shape", None)
    size = kwargs.pop("input_dim", None)
    whole = kwargs.pop("batch_input_shape", kwargs.pop("batch_shape", None))
    if size is not None:
        shape = (size,)
    if whole is None and shape is None:
        return None
    warn(
        "`input_shape`/`input_dim` in a layer is accepted, but better put keras.Input(shape) in "
        "front of the layers of the Sequential model."
    )
    if whole is not None:
        return tuple(whole)
    return (batch_size, *((shape,) if isinstance(shape, int) else shape))


def _shapes(value: Any) -> Any:
    """The shapes of a nested argument; None where it holds no tensors."""
    leaves = tree.flatten(value)
    if not leaves or not all(isinstance(leaf, (Tensor, np.ndarray)) for leaf in leaves):
        return None
    return tree.map_structure(lambda leaf: tuple(leaf.shape), value)


def _symbolic(shape: Any, dtype: str) -> Any:
    """Symbolic tensors for a shape or a nested structure of shapes."""
    if isinstance(shape, KerasTensor) or symbolic_leaves(shape):
        return shape
    if isinstance(shape, dict):
        return {k: _symbolic(v, dtype) for k, v in shape.items()}
    if isinstance(shape, (list, tuple)) and shape and isinstance(shape[0], (list, tuple)):
        return [_symbolic(s, dtype) for s in shape]
    return KerasTensor(shape, dtype)
