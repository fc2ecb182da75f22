"""Batches from a Python generator, or from any object that can be iterated over."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from graphkeras.errors import DataError
from graphkeras.training.data.adapter import DataAdapter
from graphkeras.training.data.batch import (
    Batch,
    check_lengths,
    is_plain,
    to_arrays,
    unpack,
    weights_for,
)


class IterableAdapter(DataAdapter):
    """Takes batches from an iterable; each item is `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    A generator is used up as it goes: an epoch continues where the last one stopped. Any other
    iterable starts again every epoch.

    Args:
        source: The iterable.

    Raises:
        DataError: It yields nothing.
    """

    def __init__(self, source: Iterable[Any]) -> None:
        self._source = source
        self._once = iter(source) is source
        self._iterator = iter(source)
        try:
            self._first = read_batch(next(self._iterator), _name(source))
        except StopIteration:
            raise DataError(f"the {_name(source)} is empty: it yielded no batch") from None
        if self._once:
            self._iterator = itertools.chain([self._first], self._iterator)

    @property
    def num_batches(self) -> int | None:
        """Batches an epoch, where the iterable has a length."""
        return len(self._source) if isinstance(self._source, Sized) else None

    @property
    def repeats(self) -> bool:
        """Whether a new epoch can start after the last batch."""
        return not self._once

    @property
    def ahead(self) -> bool:
        """Always."""
        return True

    def first(self) -> Batch:
        """The first batch, which training sees too."""
        return self._first

    def batches(self) -> Iterator[Batch]:
        """The remaining batches of a generator, all batches of another iterable."""
        source = self._iterator if self._once else iter(self._source)
        for item in source:
            yield item if isinstance(item, Batch) else read_batch(item, _name(self._source))


def _name(source: Any) -> str:
    return type(source).__name__


def read_batch(item: Any, origin: str) -> Batch:
    """A batch from what an iterable or a `PyDataset` returned, as arrays of equal length."""
    if type(item) is tuple and len(item) == 1 and is_plain(item[0]):
        return Batch(item[0])
    try:
        raw = unpack(item)
        y = to_arrays(raw.y, "y")
        weight = weights_for(y, to_arrays(raw.sample_weight, "sample_weight"))
        batch = Batch(to_arrays(raw.x, "x"), y, weight)
        check_lengths(batch)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from error
    return batch
