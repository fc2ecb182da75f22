"""Where batches come from: arrays, pandas objects, generators, `PyDataset`s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphkeras.errors import DataError
from graphkeras.training.data.adapter import DataAdapter, Group
from graphkeras.training.data.arrays import DEFAULT_BATCH_SIZE, ArrayAdapter, Span, split_validation
from graphkeras.training.data.batch import (
    Batch,
    class_weights,
    is_array_structure,
    is_plain,
    unpack,
)
from graphkeras.training.data.epochs import Epochs
from graphkeras.training.data.iterables import IterableAdapter, read_batch
from graphkeras.training.data.py_dataset import PyDatasetAdapter
from graphkeras.utils.py_dataset import PyDataset

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "ArrayAdapter",
    "Batch",
    "DataAdapter",
    "Epochs",
    "Group",
    "Span",
    "adapter_for",
    "class_weights",
    "is_plain",
    "read_batch",
    "split_validation",
    "unpack",
]


def adapter_for(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
) -> DataAdapter:
    """The adapter for what the user passed to `fit`, `evaluate` or `predict`.

    Raises:
        DataError: The data are of no known kind, or an argument does not go with them.
    """
    if isinstance(x, DataAdapter):
        return x
    data = Batch(x, y, sample_weight)
    if not isinstance(x, PyDataset) and all(map(is_array_structure, data)):
        return ArrayAdapter(data, batch_size, steps, shuffle, class_weight)
    kind = type(x).__name__
    if not isinstance(x, PyDataset) and (
        not hasattr(x, "__iter__") or isinstance(x, str | bytes | list | tuple | dict)
    ):
        raise DataError(
            f"x of type {kind} is no data: {str(x)[:60]!r}. Expected NumPy arrays, pandas "
            "objects, lists or dicts of these, a generator or a PyDataset"
        )
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise DataError(
                f"with x given as a {kind}, `{name}` must not be passed: the {kind} itself "
                "yields it, as (x, y) or (x, y, sample_weight)"
            )
    if isinstance(x, PyDataset):
        return PyDatasetAdapter(x, shuffle, class_weight)
    if class_weight is not None:
        raise DataError(
            f"class_weight does not work with a {kind}: yield (x, y, sample_weight) instead"
        )
    return IterableAdapter(x)
