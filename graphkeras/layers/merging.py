"""Layers that combine several inputs elementwise, or join them.

The elementwise layers broadcast: sizes must be equal or 1. Inputs of lower rank get dimensions
of size 1 after the batch dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from graphkeras import ops
from graphkeras.layers.arguments import Shape, TensorLike
from graphkeras.layers.layer import Layer


class Merge(Layer):
    """Base of the layers that combine a list of inputs elementwise into one output.

    Args:
        **kwargs: The arguments of every layer.

    Input: a list of at least one tensor. Output shape: the shapes broadcast together.

    Raises:
        ValueError: when called, if the input is no list, or the shapes do not fit.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """Combines inputs of equal rank."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Checks the shapes; there are no weights."""
        self.compute_output_shape(input_shape)
        self.built = True

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The combined inputs."""
        self.compute_output_shape(_shapes(self, inputs))
        rank = max(len(x.shape) for x in inputs)
        return self.merge([_with_rank(x, rank) for x in inputs])

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """The shapes broadcast together."""
        shapes = self.check_list(input_shape)
        batches = {shape[0] for shape in shapes if shape} - {None}
        if len(batches) > 1:
            raise ValueError(
                f"Layer '{self.name}': the inputs must have the same batch size. Received "
                f"shapes: {shapes}."
            )
        batch = next(iter(batches), None)
        rest = reduce(self._broadcast, (shape[1:] for shape in shapes))
        return (batch, *rest)

    def check_list(self, shapes: Any) -> list[Shape]:
        """The shapes of the inputs. Raises `ValueError` if there was no list of inputs."""
        listed = isinstance(shapes, (list, tuple)) and len(shapes) > 0
        if not listed or not all(isinstance(shape, (list, tuple)) for shape in shapes):
            raise ValueError(
                f"Layer '{self.name}': {type(self).__name__} must be called on a list of inputs, "
                f"such as layer([a, b]). Received: input_shape={shapes}."
            )
        return [tuple(shape) for shape in shapes]

    def _broadcast(self, a: Shape, b: Shape) -> Shape:
        rank = max(len(a), len(b))
        sizes: list[int | None] = []
        wide_a = (1,) * (rank - len(a)) + a
        wide_b = (1,) * (rank - len(b)) + b
        for i, j in zip(wide_a, wide_b, strict=True):
            if i is not None and j is not None and i != j and 1 not in (i, j):
                raise ValueError(
                    f"Layer '{self.name}': inputs have incompatible shapes. Received shapes "
                    f"{a} and {b} (without the batch dimension), where {i} does not fit {j}; "
                    f"sizes must be equal or 1."
                )
            if i == 1:
                sizes.append(j)
            elif j is not None:
                sizes.append(i)
            else:
                sizes.append(None)
        return tuple(sizes)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> TensorLike:
        """A position is kept if any input keeps it; `None` if an input has no mask."""
        masks = check_masks(self, inputs, previous_mask)
        if masks is None or any(mask is None for mask in masks):
            return None
        return reduce(ops.logical_or, masks)


class Add(Merge):
    """Sum of the inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`a + b + ...`."""
        return reduce(ops.add, inputs)


class Subtract(Merge):
    """Difference of exactly two inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`a - b`."""
        a, b = inputs
        return ops.subtract(a, b)

    def check_list(self, shapes: Any) -> list[Shape]:
        """The two shapes. Raises `ValueError` if there are not two."""
        return _exactly_two(self, super().check_list(shapes))


class Multiply(Merge):
    """Product of the inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`a * b * ...`."""
        return reduce(ops.multiply, inputs)


class Average(Merge):
    """Mean of the inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`(a + b + ...) / n`."""
        return ops.divide(reduce(ops.add, inputs), len(inputs))


class Maximum(Merge):
    """Elementwise maximum of the inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`max(a, b, ...)`."""
        return reduce(ops.maximum, inputs)


class Minimum(Merge):
    """Elementwise minimum of the inputs. See `Merge`."""

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """`min(a, b, ...)`."""
        return reduce(ops.minimum, inputs)


class Concatenate(Merge):
    """Joins the inputs along an axis.

    Args:
        axis: The axis. Default -1.
        **kwargs: The arguments of every layer.

    Raises:
        ValueError: when called, if the shapes differ on another axis.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def merge(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The joined inputs."""
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """The first shape with the sizes along `axis` added up."""
        shapes = self.check_list(input_shape)
        rank = len(shapes[0])
        if any(len(shape) != rank for shape in shapes) or not -rank <= self.axis < rank:
            raise self._mismatch(shapes)
        axis = self.axis % rank
        result: list[int | None] = []
        for position, sizes in enumerate(zip(*shapes, strict=True)):
            known = {size for size in sizes if size is not None}
            if position == axis:
                result.append(None if None in sizes else sum(size or 0 for size in sizes))
            elif len(known) > 1:
                raise self._mismatch(shapes)
            else:
                result.append(next(iter(known), None))
        return tuple(result)

    def _mismatch(self, shapes: list[Shape]) -> ValueError:
        return ValueError(
            f"Layer '{self.name}': a `Concatenate` layer requires inputs with matching shapes "
            f"except for the concatenation axis. Received: axis={self.axis}, shapes={shapes}."
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> TensorLike:
        """The joined masks; an input without a mask counts as kept everywhere."""
        masks = check_masks(self, inputs, previous_mask)
        if masks is None or all(mask is None for mask in masks):
            return None
        full = [_full_mask(x, mask) for x, mask in zip(inputs, masks, strict=True)]
        return ops.any(ops.concatenate(full, axis=self.axis), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """Sum of products of two inputs over one axis of each, sample by sample.

    Args:
        axes: The axis of both inputs, or a pair. Axis 0 is the batch and not allowed.
        normalize: Whether to scale both inputs to length one along their axis first, which
            gives the cosine similarity. Default `False`.
        **kwargs: The arguments of every layer.

    Output shape: `(batch, other sizes of the first, other sizes of the second)`, and
    `(batch, 1)` for two inputs `(batch, size)`.

    Raises:
        TypeError: `axes` is neither an int nor a pair.
        ValueError: a bad pair, or (when called) axes that do not fit the inputs.
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, (int, list, tuple)):
            raise TypeError(
                f"Dot: `axes` must be an int or a pair of ints. Received: axes={axes!r}."
            )
        if not isinstance(axes, int) and (
            len(axes) != 2 or not all(isinstance(axis, int) for axis in axes)
        ):
            raise ValueError(f"Dot: `axes` must hold two ints. Received: axes={axes!r}.")
        self.axes = axes
        self.normalize = normalize

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The products, summed."""
        shapes = _shapes(self, inputs)
        self.compute_output_shape(shapes)
        a, b = inputs
        first, second = self._axes(shapes)
        if self.normalize:
            a = ops.normalize(a, axis=first)
            b = ops.normalize(b, axis=second)
        letters = iter("abcdefghijklmnopqrstuvwxy")
        left = ["z" if axis == first else next(letters) for axis in range(len(a.shape))]
        right = ["z" if axis == second else next(letters) for axis in range(len(b.shape))]
        right[0] = left[0]
        kept = "".join(letter for letter in left + right[1:] if letter != "z")
        product = ops.einsum(f"{''.join(left)},{''.join(right)}->{kept}", a, b)
        return product if len(kept) > 1 else ops.expand_dims(product, -1)

    def check_list(self, shapes: Any) -> list[Shape]:
        """The two shapes. Raises `ValueError` if there are not two."""
        return _exactly_two(self, super().check_list(shapes))

    def _axes(self, shapes: list[Shape]) -> tuple[int, int]:
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        for axis, shape in zip(pair, shapes, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(
                    f"Layer '{self.name}': `Dot` cannot sum over axis {axis} of an input of "
                    f"shape {shape}; axis 0 is the batch. Received: axes={self.axes}, shapes="
                    f"{shapes}."
                )
        return pair[0] % len(shapes[0]), pair[1] % len(shapes[1])

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """The shapes of both inputs without the summed axes and the second batch."""
        shapes = self.check_list(input_shape)
        first, second = self._axes(shapes)
        a, b = shapes
        if a[first] != b[second] and None not in (a[first], b[second]):
            raise ValueError(
                f"Layer '{self.name}': incompatible input shapes: axis {first} of {a} has size "
                f"{a[first]}, but axis {second} of {b} has size {b[second]}. "
                f"Received: axes={self.axes}."
            )
        rest = (*(a[:first] + a[first + 1 :]), *(b[1:second] + b[second + 1 :]))
        return rest if len(rest) > 1 else (*rest, 1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """`None`."""

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _shapes(layer: Layer, inputs: Any) -> list[Shape]:
    if not isinstance(inputs, (list, tuple)):
        raise ValueError(
            f"Layer '{layer.name}': {type(layer).__name__} must be called on a list of inputs, "
            f"such as layer([a, b]). Received one tensor of shape {tuple(inputs.shape)}."
        )
    return [tuple(x.shape) for x in inputs]


def _exactly_two(layer: Layer, shapes: list[Shape]) -> list[Shape]:
    if len(shapes) != 2:
        raise ValueError(
            f"Layer '{layer.name}': a `{type(layer).__name__}` layer should be called on exactly "
            f"2 inputs. Received {len(shapes)} inputs: {shapes}."
        )
    return shapes


def _with_rank(x: TensorLike, rank: int) -> TensorLike:
    for _ in range(rank - len(x.shape)):
        x = ops.expand_dims(x, 1)
    return x


def check_masks(layer: Layer, inputs: Any, masks: Any) -> Sequence[Any] | None:
    """The masks of the inputs, `None` if there are none.

    Raises:
        ValueError: `inputs` and `masks` are not lists of the same length.
    """
    if masks is None:
        return None
    for name, value in (("mask", masks), ("inputs", inputs)):
        if not isinstance(value, (list, tuple)):
            raise ValueError(
                f"Layer '{layer.name}': `{name}` should be a list. Received: {name}={value}."
            )
    if len(masks) != len(inputs):
        raise ValueError(
            f"Layer '{layer.name}': the lists `inputs` and `mask` should have the same length. "
            f"Received: {len(inputs)} inputs and {len(masks)} masks."
        )
    return list(masks)


def _full_mask(x: TensorLike, mask: TensorLike) -> TensorLike:
    """`mask` with the shape of `x`; all true for `None`."""
    ones = ops.ones_like(x, dtype="bool")
    if mask is None:
        return ones
    if len(mask.shape) < len(x.shape):
        mask = ops.expand_dims(mask, -1)
    return ops.logical_and(ones, mask)


def add(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[TensorLike], **kwargs: Any) -> TensorLike:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[TensorLike], axis: int = -1, **kwargs: Any) -> TensorLike:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[TensorLike], axes: int | Sequence[int] = -1, **kwargs: Any) -> TensorLike:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
