"""Brings data to what a model takes: structure, rank, dtype, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras import tree
from graphkeras.config import floatx
from graphkeras.errors import ShapeError, StructureError, did_you_mean
from graphkeras.ir.dims import Dim, Size, is_static, product
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType
from graphkeras.trace import BATCH
from graphkeras.training.data import Batch


def data_type(array: Array) -> TensorType:
    """The type of a batch as a graph input: any number of samples; floats become floatx."""
    dtype = floatx() if array.dtype.kind == "f" else str(array.dtype)
    return TensorType((Size.symbol(BATCH), *array.shape[1:]), dtype)


def weight_type(array: Array) -> TensorType:
    """The type of a batch of sample weights: always floatx."""
    return data_type(array).with_dtype(floatx())


def order_inputs(model: Any, x: Any) -> Any:
    """`x` in the structure the model's `call` takes.

    A functional model takes its inputs in a list, a dict by input name, or alone.

    Raises:
        StructureError: The number or names of the inputs do not fit.
    """
    references = model_inputs(model)
    if references is None:
        return x
    names = [tensor.name for tensor in references]
    if isinstance(x, dict):
        if isinstance(model.input, dict):
            names = tree.flatten({key: key for key in model.input})
        for key in x:
            if key not in names and len(x) <= len(names):
                hint = did_you_mean(key, names)
                raise StructureError(
                    f"model {model.name!r} has no input {key!r}."
                    f"{' ' + hint if hint else ''} Inputs: {', '.join(map(repr, names))}"
                )
        missing = [name for name in names if name not in x]
        if missing:
            raise StructureError(
                f"model {model.name!r}: x has no array for the input {missing[0]!r}"
            )
        flat = [x[name] for name in names]
    else:
        flat = tree.flatten(x)
    if len(flat) != len(references):
        raise StructureError(
            f"model {model.name!r} has {len(references)} input{'s' * (len(references) > 1)} "
            f"({', '.join(names)}), but x holds {len(flat)} array{'s' * (len(flat) > 1)}"
        )
    return flat[0] if len(flat) == 1 else flat


def model_inputs(model: Any) -> list[Any] | None:
    """The symbolic inputs of a functional or built sequential model, else `None`."""
    inputs = getattr(model, "inputs", None)
    return list(inputs) if inputs else None


def input_types(model: Any, x: Any, sized: bool = False) -> list[TensorType]:
    """The graph inputs for the arrays of `x`, in the order of `order_inputs`.

    Args:
        model: The model.
        x: Arrays.
        sized: Whether sizes the model leaves open (but for the batch's) become those of `x`.

    Raises:
        ShapeError: An array does not fit the input of the model.
    """
    flat = tree.flatten(x)
    references = model_inputs(model)
    if references is None:
        return [data_type(array) for array in flat]
    types = []
    for array, tensor in zip(flat, references, strict=True):
        check_input(model, tensor, array)
        dims: tuple[Dim, ...] = tuple(tensor.dims)
        if sized:
            dims = (*dims[:1], *fit_rank(array.shape, len(dims), dims[-1] if dims else 0)[1:])
        types.append(TensorType(dims, tensor.dtype))
    return types


def check_input(model: Any, tensor: Any, array: Array) -> None:
    """Compares an array with a symbolic input.

    Raises:
        ShapeError: Rank or a size differ, beyond a last axis of length 1.
    """
    expected: tuple[Dim, ...] = tuple(tensor.dims)
    actual = fit_rank(array.shape, len(expected), expected[-1] if expected else 0)
    if len(actual) == len(expected) and all(
        isinstance(want, Size) or want == got for want, got in zip(expected, actual, strict=True)
    ):
        return
    shown = tuple(None if isinstance(dim, Size) else dim for dim in expected)
    raise ShapeError(
        f"x does not fit input {tensor.name!r} of model {model.name!r}\n"
        f"  expected shape: {shown}\n"
        f"  received shape: {(None, *array.shape[1:])} (batches of {array.shape[0]})\n"
        f"  to fix it: {_advice(expected, array.shape, shown)}"
    )


def _advice(expected: tuple[Dim, ...], actual: tuple[int, ...], shown: tuple[Any, ...]) -> str:
    rest = expected[1:]
    if is_static(rest) and product(rest) == product(actual[1:]):
        sizes = ", ".join(map(str, (-1, *rest)))
        return f"reshape the data with x.reshape({sizes}), or declare Input(shape={actual[1:]})"
    if len(actual) == len(expected) - 1 and expected[-1] == 1:
        return "add the axis of the channels with x[..., None]"
    return f"pass data of shape {shown}, or declare Input(shape={actual[1:]}) in the model"


def fit_rank(shape: tuple[int, ...], rank: int, last: Dim) -> tuple[int, ...]:
    """The shape with a last axis of length 1 added or dropped where only that is amiss."""
    if len(shape) == rank + 1 and shape[-1] == 1:
        return shape[:-1]
    if len(shape) == rank - 1 and last == 1:
        return (*shape, 1)
    return shape


def fit(array: Array, type: TensorType) -> Array:
    """An array as a contiguous graph input of the given type, copied only where it must be."""
    shape = fit_rank(array.shape, type.rank, type.shape[-1] if type.shape else 0)
    if shape != array.shape:
        array = array.reshape(shape)
    return np.ascontiguousarray(array, dtype=type.dtype)


def batch_types(model: Any, batch: Batch, sized: bool = False) -> Batch:
    """The graph inputs of a step, in the structure of the batch (`x` already ordered)."""
    x = tree.pack(batch.x, input_types(model, batch.x, sized))

    def types(part: Any, of: Any) -> Any:
        return tree.map_structure(lambda leaf: None if leaf is None else of(leaf), part)

    return Batch(x, types(batch.y, data_type), types(batch.sample_weight, weight_type))
