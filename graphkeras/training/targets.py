"""Checks of the targets that would otherwise end in a wrong number or an obscure error.

Shapes are compared before a step is traced; class numbers before it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkeras import tree
from graphkeras.errors import LabelRangeError, ShapeError
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Size
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType
from graphkeras.trace import KerasTensor, Tensor, Trace
from graphkeras.training.data import Batch
from graphkeras.training.outputs import output_names, per_output_data


@frozen
class TargetCheck:
    """Class numbers of one output must be whole numbers from 0 to `units - 1`."""

    output: str
    position: int
    """Place of the target among the flat targets."""
    units: int
    ignored: int | None
    """A class number that is allowed besides (`ignore_class`)."""

    def run(self, y: Any) -> None:
        """Checks targets.

        Raises:
            LabelRangeError: A class number is out of range or no whole number.
        """
        labels = tree.flatten(y)[self.position]
        if labels is None or labels.size == 0:
            return
        if labels.dtype.kind != "f" and labels.min() >= 0 and labels.max() < self.units:
            return
        bad = self._bad(labels)
        if not bad.any():
            return
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        value = labels[where].item()
        raise LabelRangeError(
            f"the labels of {self.output} do not fit sparse_categorical_crossentropy\n"
            f"  expected: whole numbers from 0 to {self.units - 1} ({self.units} units)\n"
            f"  received: {value!r} at sample {where[0]} ({int(bad.sum())} of {labels.size} "
            f"labels are out of range)\n"
            f"  to fix it: {self._advice(labels, value)}"
        )

    def _bad(self, labels: Array) -> Array:
        bad: Array = (labels < 0) | (labels >= self.units)
        if labels.dtype.kind == "f":
            bad |= ~(labels == np.floor(labels))
        if self.ignored is not None:
            bad &= labels != self.ignored
        return bad

    def _advice(self, labels: Array, value: Any) -> str:
        if value != value or value != int(value):
            return "encode the classes as 0, 1, 2, ..., or use a loss for regression"
        if value == self.units and labels.min() >= 1:
            return "number the classes from 0: y - 1"
        if value < 0:
            return "number the classes from 0, or pass ignore_class to the loss"
        return f"give the output {int(labels.max()) + 1} units, or renumber the classes from 0"


def target_checks(model: Any, types: Batch) -> list[TargetCheck]:
    """Compares the shapes of targets and outputs.

    Args:
        model: A built, compiled model.
        types: Types of the inputs, targets and weights.

    Returns:
        The checks that need the numbers.

    Raises:
        ShapeError: Targets do not fit the output they belong to.
        StructureError: Their number does not fit.
    """
    compiled = model.training_state.compiled_loss
    if compiled is None or types.y is None:
        return []
    with Trace("outputs") as t:
        stand_ins = tree.map_structure(lambda type: t.input(type, "x"), types.x)
        y_pred = model(stand_ins, training=False)
    if compiled.losses is None:
        compiled.build(model, _symbolic(types.y), y_pred)
    names = output_names(model, y_pred)
    outputs = tree.flatten(y_pred)
    targets = per_output_data(types.y, names, compiled.wanted, "y")
    leaves = tree.flatten(types.y)
    checks = []
    for loss in compiled.losses:
        target, output = targets[loss.position], outputs[loss.position]
        if not isinstance(target, TensorType) or not isinstance(output, Tensor):
            continue
        label = f"output {names[loss.position]!r}" if names[loss.position] else "the output"
        if _is_sparse(loss.function):
            _check_sparse(label, target, output)
            units = output.dims[-1]
            position = next(i for i, leaf in enumerate(leaves) if leaf is target)
            ignored = getattr(loss.function, "ignore_class", None)
            if isinstance(units, int) and getattr(loss.function, "axis", -1) in (
                -1,
                output.ndim - 1,
            ):
                checks.append(TargetCheck(label, position, units, ignored))
        else:
            _check_shape(label, loss.function.name, target, output)
    return checks


def _symbolic(types: Any) -> Any:
    """Stand-ins with the shapes and dtypes of the targets."""
    return tree.map_structure(
        lambda type: None if type is None else KerasTensor(type.shape, type.dtype), types
    )


def _is_sparse(function: Any) -> bool:
    inner = getattr(function, "fn", getattr(function, "_fn", function))
    return "sparse_categorical_crossentropy" in (
        getattr(inner, "__name__", ""),
        getattr(function, "name", ""),
    )


def _shown(dims: tuple[Dim, ...]) -> tuple[int | None, ...]:
    return tuple(None if isinstance(dim, Size) else dim for dim in dims)


def _check_sparse(label: str, target: TensorType, output: Tensor) -> None:
    fits = _squeezed(target.shape, len(output.dims) - 1)
    if len(fits) == len(output.dims) - 1 and _meet(fits, output.dims[:-1], exactly=True):
        return
    raise ShapeError(
        f"the labels do not fit {label}\n"
        f"  expected shape: {_shown(output.dims[:-1])}, one class number for each row of scores "
        f"{_shown(output.dims)}\n"
        f"  received shape: {_shown(target.shape)}\n"
        "  to fix it: " + _sparse_advice(target, output)
    )


def _sparse_advice(target: TensorType, output: Tensor) -> str:
    if target.rank == len(output.dims) and target.shape[-1] == output.dims[-1]:
        return "the labels look one-hot: use loss='categorical_crossentropy', or y.argmax(-1)"
    if target.rank < len(output.dims) - 1:
        return "the output has too many axes: add a Flatten or pooling layer before the last layer"
    return "pass one whole number for each sample"


def _check_shape(label: str, loss: str, target: TensorType, output: Tensor) -> None:
    """Targets of all other losses must broadcast against the output."""
    fits = _squeezed(target.shape, len(output.dims))
    if len(fits) == len(output.dims) - 1 and output.dims[-1] == 1:
        fits = (*fits, 1)
    exactly = "categorical_crossentropy" in loss
    if len(fits) == len(output.dims) and _meet(fits, output.dims, exactly):
        return
    raise ShapeError(
        f"y does not fit {label} for the loss {loss!r}\n"
        f"  expected shape: {_shown(output.dims)}\n"
        f"  received shape: {_shown(target.shape)}\n"
        "  to fix it: " + _shape_advice(loss, target, output)
    )


def _shape_advice(loss: str, target: TensorType, output: Tensor) -> str:
    if _class_numbers(loss, target):
        return (
            "y holds class numbers: use loss='sparse_categorical_crossentropy', or "
            f"keras.utils.to_categorical(y, {_shown(output.dims)[-1]})"
        )
    if target.rank == 2 and len(output.dims) == 2:
        columns = output.dims[-1]
        return f"give the last layer {target.shape[-1]} units, or pass y with {columns} columns"
    return "change the last layer, or the shape of y, so that they agree"


def _class_numbers(loss: str, target: TensorType) -> bool:
    """Whether the targets of a categorical crossentropy look like class numbers."""
    return "categorical_crossentropy" in loss and (target.rank == 1 or target.shape[-1] == 1)


def _squeezed(shape: tuple[Dim, ...], rank: int) -> tuple[Dim, ...]:
    return shape[:-1] if len(shape) == rank + 1 and shape[-1] == 1 else shape


def _meet(a: tuple[Dim, ...], b: tuple[Dim, ...], exactly: bool) -> bool:
    """Whether two shapes agree, or broadcast; sizes known only at run time fit anything."""
    return all(
        x == y
        or (isinstance(x, Size) and isinstance(y, Size))
        or (not exactly and (x == 1 or y == 1))
        for x, y in zip(a, b, strict=True)
    )
