"""`PyDataset`: batches computed by Python code, one at a time or by several workers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class PyDataset:
    """Base class of data sets that compute their batches.

    A subclass implements `__getitem__(index)`, which returns one whole batch as a tuple
    `(x,)`, `(x, y)` or `(x, y, sample_weight)`, and `__len__()` (or the property
    `num_batches`), the number of batches. `num_batches` may be `None` for an endless data set.

    Args:
        workers: Batches computed at once. With 1 a thread may compute the next two while a step
            runs; with 0 the training loop computes each when it needs it.
        use_multiprocessing: Whether the workers are processes instead of threads. The data set
            must then survive being copied into another process.
        max_queue_size: Batches computed ahead at most, with several workers or processes; 0 for
            the whole epoch at once, which must have an end.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __getitem__(self, index: int) -> Any:
        """The batch at position `index`."""
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__getitem__(index)`, returning one batch"
        )

    @property
    def num_batches(self) -> int | None:
        """Number of batches; `None` for an endless data set."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__len__` or the property `num_batches`"
        )

    def __iter__(self) -> Iterator[Any]:
        """The batches in order."""
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called before the first batch of every epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of every epoch, and once before the first, as in Keras."""
