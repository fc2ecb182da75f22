"""What a layer expects of its inputs, and the check before each call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkeras import tree
from graphkeras.errors import ShapeError
from graphkeras.trace import standardize_dtype

Shape = Sequence[int | None]


class InputSpec:
    """Expected rank, dtype and sizes of one input.

    Args:
        dtype: expected dtype.
        shape: expected shape; None fits any size.
        ndim: expected rank.
        max_ndim: largest rank.
        min_ndim: smallest rank.
        axes: expected size by axis, such as `{-1: 784}`; None fits any size.
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing or extra.
        name: name of the input.
        optional: whether None is accepted.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Shape | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        shown = [f"{n}={getattr(self, n)}" for n in names if getattr(self, n)]
        return f"InputSpec({', '.join(shown)})"


def check_inputs(specs: Any, inputs: Any, layer_name: str) -> None:
    """Raises `ShapeError` (a ValueError) where inputs do not fit the layer's `input_spec`.

    Args:
        specs: an `InputSpec` or a nested structure of them, or None.
        inputs: the first argument of the call.
        layer_name: for the message.
    """
    wanted = [s for s in tree.flatten(specs) if s is not None]
    if not wanted:
        return
    wanted = tree.flatten(specs)
    given = tree.flatten(inputs)
    if len(given) != len(wanted):
        raise ShapeError(
            f'Layer "{layer_name}" expects {len(wanted)} input(s), but it received {len(given)} '
            f"input tensors. Inputs received: {inputs}"
        )
    for position, (x, spec) in enumerate(zip(given, wanted, strict=True)):
        if spec is None or (x is None and spec.optional):
            continue
        if not hasattr(x, "shape"):
            raise ShapeError(
                f"The inputs of layer {layer_name!r} must be tensors or arrays, received {x!r} of "
                f"type {type(x).__name__}."
            )
        _check_one(
            x, spec, f'Input {position} of layer "{layer_name}" is incompatible with the layer: '
        )


def _check_one(x: Any, spec: InputSpec, start: str) -> None:
    shape = tuple(x.shape)
    rank = len(shape)
    full = f"Full shape received: {shape}"
    if spec.ndim is not None and rank != spec.ndim and not _squeezes(spec, shape):
        raise ShapeError(
            f"{start}expected ndim={spec.ndim}, found ndim={rank}. {full}."
            f"{_rank_hint(rank, spec.ndim)}"
        )
    if spec.max_ndim is not None and rank > spec.max_ndim:
        raise ShapeError(f"{start}expected max_ndim={spec.max_ndim}, found ndim={rank}. {full}")
    if spec.min_ndim is not None and rank < spec.min_ndim:
        raise ShapeError(
            f"{start}expected min_ndim={spec.min_ndim}, found ndim={rank}. {full}."
            f"{_rank_hint(rank, spec.min_ndim)}"
        )
    if spec.dtype is not None and str(x.dtype) != spec.dtype:
        raise ShapeError(f"{start}expected dtype={spec.dtype}, found dtype={x.dtype}")
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] not in (size, None):
            raise ShapeError(
                f"{start}expected axis {axis} of input shape to have value {size}, but received "
                f"input with shape {shape}.{_axis_hint(axis, shape, size)}"
            )
    if spec.shape is not None and not _squeezes(spec, shape):
        for expected, size in zip(spec.shape, shape, strict=True):
            if expected is not None and size is not None and expected != size:
                raise ShapeError(f"{start}expected shape={spec.shape}, found shape={shape}")


def _squeezes(spec: InputSpec, shape: tuple[int | None, ...]) -> bool:
    """Whether the shapes agree up to a last axis of size 1."""
    if not spec.allow_last_axis_squeeze or spec.shape is None:
        return False
    if len(shape) == len(spec.shape) + 1:
        return shape[-1] == 1
    return len(shape) == len(spec.shape) - 1 and spec.shape[-1] == 1


def _rank_hint(rank: int, wanted: int) -> str:
    if rank == wanted - 1:
        return (
            " What to do: if an axis is missing (one channel of an image, or the batch of a "
            "single sample), add it with x[..., None] or x[None]."
        )
    if rank > wanted == 2:
        return " What to do: put a Flatten layer before it."
    return ""


def _axis_hint(axis: int, shape: tuple[int | None, ...], size: int) -> str:
    features = 1
    for dim in shape[1:]:
        features *= dim or 0
    if axis == -1 and features == size:
        return " What to do: put a Flatten layer before it."
    if axis == -1:
        return (
            f" What to do: give data whose last axis is {size}, or make a new layer: this one's "
            "weights were made for that size."
        )
    return ""
