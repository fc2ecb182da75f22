"""What happens around a layer's `call`: arguments, conversions, `training`, masks, errors."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphkeras import tree
from graphkeras.frozen import frozen
from graphkeras.places import warn
from graphkeras.trace import Tensor, as_tensor, cast_to, public_shape


class _Context(threading.local):
    """What an outer layer's call tells the layers inside it."""

    training: bool | None = None
    depth: int = 0


_context = _Context()


@contextmanager
def inner_call(training: bool | None) -> Iterator[bool]:
    """Layers called inside take over `training`. Yields whether this is the outermost call."""
    saved = _context.training
    _context.training = training
    _context.depth += 1
    try:
        yield _context.depth == 1
    finally:
        _context.training = saved
        _context.depth -= 1


@frozen
class CallSignature:
    """The parameters of a `call` method."""

    signature: inspect.Signature
    names: tuple[str, ...]
    takes_training: bool
    takes_mask: bool

    @staticmethod
    def of(function: Callable[..., Any]) -> CallSignature:
        """The signature of a bound `call`."""
        signature = inspect.signature(function)
        names = tuple(signature.parameters)
        return CallSignature(signature, names, "training" in names, "mask" in names)

    @property
    def first(self) -> str:
        """Name of the parameter that takes the inputs; empty where there is none."""
        return self.names[0] if self.names else ""


def bind(owner: Any, signature: CallSignature, args: Any, kwargs: Any) -> inspect.BoundArguments:
    """The arguments by name. Raises `TypeError` naming the layer where they do not fit."""
    try:
        return signature.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{type(owner).__name__}.call() of layer {owner.name!r}: {error}. "
            f"It is defined as call{signature.signature}."
        ) from None


def converted(value: Any, dtype: str | None) -> Any:
    """Arrays of a nested argument as tensors; floating-point ones in the layer's dtype."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, (np.ndarray, np.generic)):
            leaf = as_tensor(leaf)
        elif not isinstance(leaf, Tensor):
            return leaf
        if dtype is None or not leaf.dtype.startswith("float") or leaf.dtype == dtype:
            return leaf
        mask = leaf._keras_mask
        result = cast_to(leaf, dtype)
        result._keras_mask = mask
        return result

    if isinstance(value, (np.ndarray, Tensor)) or tree.is_nested(value):
        return tree.map_structure(convert, value)
    return value


def resolve_training(
    signature: CallSignature, bound: inspect.BoundArguments, given: Any
) -> bool | None:
    """Training mode of a call: the argument, else the outer call's, else the default."""
    training = given if given is not None else _context.training
    if training is None:
        parameter = signature.signature.parameters.get("training")
        if parameter is not None and parameter.default is not inspect.Parameter.empty:
            training = parameter.default
    if signature.takes_training and training is not None:
        bound.arguments["training"] = training
    return training


def masks_of(inputs: Any) -> Any:
    """The masks of nested inputs; None where no tensor has one."""
    masks = [getattr(leaf, "_keras_mask", None) for leaf in tree.leaves(inputs)]
    if all(mask is None for mask in masks):
        return None
    return tree.pack(inputs, masks)


def set_masks(owner: Any, inputs: Any, outputs: Any, previous: Any) -> None:
    """Attaches the mask of the outputs, or warns that a mask ends here."""
    if not owner.supports_masking:
        if previous is not None:
            warn(
                f"The mask of the inputs ends at layer {owner.name!r} ({type(owner).__name__}), "
                "which has no supports_masking = True: the layers after it see no mask."
            )
        return
    masks = owner.compute_mask(inputs, previous)
    if masks is None:
        return
    tensors = tree.flatten(outputs)
    if len(tensors) == 1 and not tree.is_nested(masks):
        masks = [masks]
    for tensor, mask in zip(tensors, tree.flatten(masks), strict=True):
        if isinstance(tensor, Tensor) and tensor._keras_mask is None:
            tensor._keras_mask = mask


def explain(owner: Any, error: BaseException, arguments: Any) -> None:
    """Adds the layer and what it received to an error on its way to the user."""
    received = ", ".join(f"{name}={sketch(value)}" for name, value in arguments.items())
    error.add_note(
        f"In {type(owner).__name__}.call() of layer {owner.name!r}, received: {received or '-'}"
    )


def sketch(value: Any) -> str:
    """Shape and dtype in the place of tensors, for messages."""
    if isinstance(value, Tensor):
        return f"Tensor(shape={public_shape(value.dims)}, dtype={value.dtype})"
    if isinstance(value, np.ndarray):
        return f"ndarray(shape={value.shape}, dtype={value.dtype})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {sketch(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(sketch(v) for v in value) + "]"
    return repr(value)
