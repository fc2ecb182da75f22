"""Batches from a `PyDataset`, computed ahead of the training loop by workers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graphkeras.errors import DataError
from graphkeras.training.data.adapter import DataAdapter
from graphkeras.training.data.batch import Batch, class_weights
from graphkeras.training.data.iterables import read_batch
from graphkeras.utils.py_dataset import PyDataset

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

_worker_dataset: PyDataset
"""The data set of a worker process; set when the process starts."""


def _start_worker(dataset: PyDataset) -> None:
    global _worker_dataset
    _worker_dataset = dataset


def _worker_batch(index: int) -> Any:
    return _worker_dataset[index]


class PyDatasetAdapter(DataAdapter):
    """Reads a `PyDataset`.

    Args:
        dataset: The data set.
        shuffle: Whether the batches come in a new order every epoch, by Python's `random`.
        class_weight: Weight of each class.

    Raises:
        DataError: The data set has no batches.
    """

    def __init__(
        self,
        dataset: PyDataset,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self._dataset = dataset
        self._shuffle = bool(shuffle)
        self._class_weight = class_weight
        self._pending: deque[Future[Any]] = deque()
        """Batches that workers compute, or have computed, in order."""
        if dataset.num_batches == 0:
            raise DataError(f"{type(dataset).__name__} is empty: its length is 0")

    @property
    def num_batches(self) -> int | None:
        """What the data set says."""
        return self._dataset.num_batches

    @property
    def ahead(self) -> bool:
        """With one worker; several have a queue of their own."""
        return self._dataset.workers == 1 and not self._dataset.use_multiprocessing

    def first(self) -> Batch:
        """The batch at position 0."""
        return self._read(self._dataset[0])

    def on_epoch_begin(self) -> None:
        """Passed on to the data set."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Passed on to the data set, which no worker reads meanwhile."""
        if self._pending:
            from concurrent.futures import wait

            wait(self._pending)
        self._dataset.on_epoch_end()

    def batches(self) -> Iterator[Batch]:
        """One epoch."""
        count = self._dataset.num_batches
        indices: Iterator[int] = itertools.count() if count is None else iter(range(count))
        if self._shuffle and count is not None:
            import random

            order = list(range(count))
            random.shuffle(order)
            indices = iter(order)
        for item in self._items(indices):
            yield self._read(item)

    def _items(self, indices: Iterator[int]) -> Iterator[Any]:
        workers = self._dataset.workers
        if workers > 1 or (workers == 1 and self._dataset.use_multiprocessing):
            return self._items_of_workers(indices)
        return (self._dataset[index] for index in indices)

    def _items_of_workers(self, indices: Iterator[int]) -> Iterator[Any]:
        """Keeps up to `max_queue_size` batches under way; they come out in order."""
        # Imported here: it takes longer to import than most of this package.
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        dataset = self._dataset
        executor: Executor
        if dataset.use_multiprocessing:
            executor = ProcessPoolExecutor(
                dataset.workers, initializer=_start_worker, initargs=(dataset,)
            )
            task: Any = _worker_batch
        else:
            executor = ThreadPoolExecutor(dataset.workers)
            task = dataset.__getitem__
        ahead = dataset.max_queue_size if dataset.max_queue_size > 0 else dataset.num_batches or 1
        pending = self._pending = deque()
        try:
            for index in itertools.islice(indices, ahead):
                pending.append(executor.submit(task, index))
            while pending:
                item = pending.popleft().result()
                for index in itertools.islice(indices, 1):
                    pending.append(executor.submit(task, index))
                yield item
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _read(self, item: Any) -> Batch:
        batch = read_batch(item, type(self._dataset).__name__)
        if self._class_weight is None:
            return batch
        if batch.sample_weight is not None:
            raise DataError("pass class_weight or sample_weight, not both")
        return batch._replace(sample_weight=class_weights(batch.y, self._class_weight))
