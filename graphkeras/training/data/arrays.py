"""Batches of arrays in memory.

A pass over arrays is taken in *spans*: many batches at once, as the arrays, the order of their
rows, and where the span begins and ends. A compiled step runs a span natively (`stream.py`).

Whoever wants the batches one by one gets views of the arrays without shuffling. With it, rows are
gathered into buffers that every batch uses again, so an epoch allocates nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphkeras import tree
from graphkeras.errors import DataError
from graphkeras.frozen import frozen
from graphkeras.ir.op import Array
from graphkeras.training.data.adapter import DataAdapter, Pass
from graphkeras.training.data.batch import (
    Batch,
    check_lengths,
    class_weights,
    is_array_structure,
    is_plain,
    to_arrays,
    weights_for,
)
from graphkeras.utils.py_dataset import PyDataset

DEFAULT_BATCH_SIZE = 32


class ArrayAdapter(DataAdapter):
    """Cuts arrays into batches.

    Args:
        data: Structures of arrays, pandas objects or lists of numbers.
        batch_size: Samples a batch; by default 32, or what `steps` batches need.
        steps: Batches an epoch, used only where there is no `batch_size`.
        shuffle: Whether samples are drawn in a new order every epoch, by NumPy's global
            generator; `"batch"` shuffles inside each batch only.
        class_weight: Weight of each class.

    Raises:
        DataError: The arrays differ in length, are empty, or both kinds of weights were given.
    """

    def __init__(
        self,
        data: Batch,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self._structure, self._samples = _checked(data, class_weight)
        self._arrays: list[Array | None] = tree.flatten(self._structure)
        self._flat = not any(map(tree.is_nested, self._structure))
        self.batch_size = _batch_size(batch_size, steps, self._samples)
        self._shuffle = shuffle
        self._buffers: list[Array | None] = []

    @property
    def num_batches(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return math.ceil(self._samples / self.batch_size)

    @property
    def num_samples(self) -> int:
        """Samples an epoch."""
        return self._samples

    @property
    def shuffles(self) -> bool:
        """Whether batches are made of samples in another order."""
        return bool(self._shuffle)

    def first(self) -> Batch:
        """The first batch in the order of the arrays."""
        return self._slice(0, min(self.batch_size, self._samples))

    def everything(self) -> Batch:
        """All samples."""
        return self._structure

    def batches(self) -> Iterator[Batch]:
        """One epoch."""
        whole = self.new_pass().take(self.num_batches)
        assert whole is not None
        yield from whole

    def new_pass(self) -> ArrayPass:
        """One epoch, in spans."""
        return ArrayPass(self, self._samples, self._shuffle)

    def batch(self, start: int, stop: int, order: Array | None) -> Batch:
        """One batch.

        Args:
            start: First sample.
            stop: Sample behind the last one.
            order: The samples are those at these positions of it.
        """
        return self._slice(start, stop) if order is None else self._gather(order[start:stop])

    def _slice(self, start: int, stop: int) -> Batch:
        parts = [None if array is None else array[start:stop] for array in self._arrays]
        return self._pack(parts)

    def _gather(self, rows: Array) -> Batch:
        if not self._buffers:
            self._buffers = [
                None if a is None else np.empty((self.batch_size, *a.shape[1:]), a.dtype)
                for a in self._arrays
            ]
        parts: list[Array | None] = []
        for array, buffer in zip(self._arrays, self._buffers, strict=True):
            if array is None or buffer is None:
                parts.append(None)
                continue
            part = buffer[: len(rows)]
            # "clip" writes straight into the buffer; the default mode goes through a copy.
            array.take(rows, axis=0, out=part, mode="clip")
            parts.append(part)
        return self._pack(parts)

    def _pack(self, parts: list[Array | None]) -> Batch:
        if self._flat:
            return Batch(*parts)
        packed: Batch = tree.pack(self._structure, parts)
        return packed


@frozen
class Span:
    """Batches of arrays that follow each other; only the last batch of the data is smaller."""

    adapter: ArrayAdapter
    order: Array | None
    """int64 numbers of samples, where these are shuffled."""
    start: int
    stop: int
    """Samples of the span, by their position in the order."""

    @property
    def size(self) -> int:
        """Samples a batch."""
        return self.adapter.batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil((self.stop - self.start) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches; each may overwrite the one before."""
        return (self.batch(i) for i in range(len(self)))

    def batch(self, index: int) -> Batch:
        """The batch at a position."""
        start = self.start + index * self.size
        return self.adapter.batch(start, min(start + self.size, self.stop), self.order)


class ArrayPass(Pass):
    """One pass over arrays, in spans.

    Args:
        adapter: Has the arrays.
        samples: Number of samples.
        shuffle: As for `ArrayAdapter`.
    """

    def __init__(self, adapter: ArrayAdapter, samples: int, shuffle: bool | str) -> None:
        super().__init__(iter(()))
        self._adapter = adapter
        self._samples = samples
        self._inside = shuffle == "batch"
        shuffled = shuffle and not self._inside
        self._order = _int64(np.random.permutation(samples)) if shuffled else None
        self._position = 0

    def take(self, count: int) -> Span | None:
        """The next span."""
        size, start = self._adapter.batch_size, self._position
        if start >= self._samples:
            return None
        stop = self._position = min(start + count * size, self._samples)
        span = Span(self._adapter, self._order, start, stop)
        if self._inside:
            cuts = [*range(start, stop, size), stop]
            rows = [np.random.permutation(b - a) + a for a, b in itertools.pairwise(cuts)]
            span = Span(self._adapter, _int64(np.concatenate(rows)), 0, stop - start)
        return span


def _checked(data: Batch, class_weight: Mapping[int, float] | None) -> tuple[Batch, int]:
    """The data as arrays, and the number of samples."""
    if is_plain(data.x) and data.y is data.sample_weight is class_weight is None:
        return data, len(data.x)
    x, y = to_arrays(data.x, "x"), to_arrays(data.y, "y")
    weight = weights_for(y, to_arrays(data.sample_weight, "sample_weight"))
    samples = check_lengths(Batch(x, y, weight))
    if class_weight is not None:
        if weight is not None:
            raise DataError("pass class_weight or sample_weight, not both")
        weight = class_weights(y, class_weight)
    return Batch(x, y, weight), samples


def _int64(order: Array) -> Array:
    """What kernels read; NumPy's permutations have the machine's own int type."""
    return order.astype(np.int64, copy=False)


def _batch_size(batch_size: int | None, steps: int | None, samples: int) -> int:
    if not batch_size:
        return math.ceil(samples / steps) if steps else DEFAULT_BATCH_SIZE
    if isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
        raise DataError(f"batch_size must be a whole number, 1 or more, received {batch_size!r}")
    return int(batch_size)


def split_validation(data: Batch, fraction: float) -> tuple[Batch, Batch]:
    """Takes the last samples for validation, before any shuffling.

    Args:
        data: All samples, as arrays.
        fraction: Part of the samples that becomes validation data, between 0 and 1.

    Raises:
        DataError: The data are no arrays, or the fraction leaves one of the two parts empty.
    """
    if isinstance(data.x, PyDataset) or not is_array_structure(data.x):
        raise DataError(
            f"validation_split takes samples from the end of arrays, but x is a "
            f"{type(data.x).__name__}. Pass validation_data instead"
        )
    arrays = Batch(*(to_arrays(part, role) for role, part in data._asdict().items()))
    samples = check_lengths(arrays)
    if not 0 < fraction < 1:
        raise DataError(f"validation_split must be between 0 and 1, received {fraction}")
    cut = math.floor(samples * (1.0 - fraction))
    if cut in (0, samples):
        raise DataError(
            f"validation_split={fraction} of {samples} samples leaves "
            f"{'no training' if cut == 0 else 'no validation'} data. Pass more data or another "
            "fraction"
        )

    def part(start: int, stop: int) -> Batch:
        def cut_leaf(leaf: Any) -> Any:
            return None if leaf is None else leaf[start:stop]

        taken: Batch = tree.map_structure(cut_leaf, arrays)
        return taken

    return part(0, cut), part(cut, samples)
