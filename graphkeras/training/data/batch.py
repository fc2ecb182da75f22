"""What a batch is, and how anything a user passes becomes NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from graphkeras import tree
from graphkeras.config import floatx
from graphkeras.errors import DataError, DataTypeError
from graphkeras.ir.op import Array


class Batch(NamedTuple):
    """Inputs, targets and sample weights; each a nested structure of arrays, or `None`."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def is_plain(data: Any) -> bool:
    """Whether `data` is one array that can be used as it is: what most calls are given."""
    return (
        type(data) is np.ndarray
        and data.dtype.char in "bBhHiIlLqQfd?"
        and data.ndim > 0
        and len(data) > 0
    )


def unpack(data: Any) -> Batch:
    """Reads what a generator yields: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        DataError: A tuple of another length was given.
    """
    if not isinstance(data, tuple | list):
        return Batch(data)
    if 1 <= len(data) <= 3:
        return Batch(*data)
    raise DataError(
        "a batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`, received a "
        f"{type(data).__name__} of {len(data)} items"
    )


def is_array_like(value: Any) -> bool:
    """Whether `value` holds numbers that NumPy can read: arrays, pandas objects, lists of numbers.

    `None` counts, since targets and weights are optional.
    """
    if value is None or hasattr(value, "__array__"):
        return True
    return isinstance(value, tuple | list) and _is_numbers(value)


def _is_numbers(value: Any) -> bool:
    """Whether a nested list holds numbers only, at least one, so that it means one array."""
    found = list(tree.leaves(value))
    return bool(found) and all(isinstance(leaf, int | float | np.number) for leaf in found)


def is_array_structure(data: Any) -> bool:
    """Whether every leaf of a nested structure is array-like."""
    if is_array_like(data):
        return True
    if isinstance(data, dict):
        return bool(data) and all(is_array_structure(item) for item in data.values())
    return isinstance(data, tuple | list) and len(data) > 0 and all(map(is_array_structure, data))


def to_arrays(data: Any, role: str) -> Any:
    """The structure with arrays for leaves; 64-bit floats become floatx only when batched.

    Args:
        data: Arrays, pandas objects or lists of numbers, in lists, tuples and dicts.
        role: What they are, for messages: `"x"`, `"y"` or `"sample_weight"`.

    Raises:
        DataTypeError: A leaf holds strings or objects.
        DataError: A leaf is a single number where one value a sample is needed, or a list whose
            items differ in length.
    """
    if isinstance(data, dict):
        return {key: to_arrays(item, f"{role}[{key!r}]") for key, item in data.items()}
    if isinstance(data, tuple | list) and not _is_numbers(data):
        items = [to_arrays(item, f"{role}[{index}]") for index, item in enumerate(data)]
        return tuple(items) if isinstance(data, tuple) else items
    return None if data is None else _to_array(data, role)


def _to_array(value: Any, role: str) -> Array:
    if hasattr(value, "to_numpy"):
        _check_columns(value, role)
        array = value.to_numpy()
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise DataError(
                f"{role} is a list whose items differ in length, so it is no array. Make them "
                "equally long, for example with keras.utils.pad_sequences"
            ) from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DataTypeError(
            f"{role} has dtype {array.dtype}, expected numbers (a float, integer or bool dtype)."
            + _example(array)
            + " Encode text and categories as numbers first"
        )
    if array.dtype == np.float16:
        array = array.astype(floatx())
    if array.ndim == 0:
        raise DataError(f"{role} is a single number, expected one value or array for each sample")
    known: Array = array
    return known


def _example(array: Array) -> str:
    return f" Its first value is {array.flat[0]!r}." if array.size else ""


def _check_columns(frame: Any, role: str) -> None:
    """Names the columns of a pandas DataFrame that hold no numbers."""
    if not hasattr(frame, "columns"):
        return
    bad = [
        f"{name!r} ({dtype})"
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "biuf"
    ]
    if bad:
        raise DataTypeError(
            f"{role}: columns {', '.join(bad)} of the DataFrame hold no numbers. "
            "Encode or drop them first"
        )


def check_lengths(batch: Batch) -> int:
    """The number of samples all arrays of a batch share.

    Raises:
        DataError: They differ, or there are none.
    """
    lengths = {
        role: [len(array) for array in tree.leaves(part) if array is not None]
        for role, part in batch._asdict().items()
    }
    distinct = {length for part in lengths.values() for length in part}
    if not lengths["x"]:
        raise DataError("no data: `x` is None. Pass an array, a generator or a PyDataset")
    if len(distinct) > 1:
        sizes = "\n".join(
            f"  {role}: {', '.join(map(str, part))}" for role, part in lengths.items() if part
        )
        raise DataError(
            "x, y and sample_weight must have the same number of samples "
            f"(the length of their first axis), received\n{sizes}"
        )
    count = distinct.pop()
    if count == 0:
        raise DataError("the data are empty: x has 0 samples")
    return count


def weights_for(y: Any, sample_weight: Any) -> Any:
    """Sample weights in the structure of `y`: one array serves every output.

    Raises:
        DataError: The structures differ, or one array with a weight a time step is to serve
            several outputs.
    """
    if sample_weight is None or not tree.is_nested(y):
        return sample_weight
    if tree.is_nested(sample_weight):
        if len(tree.flatten(sample_weight)) != len(tree.flatten(y)):
            raise DataError(
                "sample_weight must be one array, or one array for each output as in `y`: "
                f"expected {len(tree.flatten(y))}, received {len(tree.flatten(sample_weight))}"
            )
        return sample_weight
    if sample_weight.ndim > 1 and sample_weight.shape[1:] != (1,):
        raise DataError(
            "one sample_weight array for several outputs must hold one weight a sample, expected "
            f"shape (samples,), received {sample_weight.shape}. Pass one array for each output"
        )
    return tree.map_structure(lambda _: sample_weight, y)


def class_weights(y: Any, class_weight: Mapping[int, float]) -> Array:
    """The sample weights that class weights mean.

    Args:
        y: Class numbers of shape `(samples,)` or `(samples, 1)`, or one-hot rows.
        class_weight: Weight of each class; classes that are missing weigh 1.

    Raises:
        DataError: There are several outputs, or no targets, or the weights are no mapping.
    """
    if not isinstance(class_weight, Mapping):
        raise DataError(
            "class_weight must be a dict from class number to weight, such as {0: 1.0, 1: 5.0}, "
            f"received {class_weight!r}"
        )
    if tree.is_nested(y) or y is None:
        raise DataError(
            "class_weight works for models with one output only; pass sample_weight instead"
        )
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    classes, positions = np.unique(np.round(labels).astype(np.int64), return_inverse=True)
    weights = np.array([class_weight.get(int(c), 1.0) for c in classes], dtype=floatx())
    found: Array = weights[positions.reshape(labels.shape)]
    return found
