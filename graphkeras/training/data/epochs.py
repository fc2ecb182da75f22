"""Cuts a source of batches into epochs."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator

from graphkeras.errors import DataError
from graphkeras.places import warn
from graphkeras.training.data.adapter import DataAdapter
from graphkeras.training.data.batch import Batch


class Epochs:
    """The batches of one epoch after another.

    Args:
        adapter: The source.
        steps: Batches an epoch; by default one pass over the data.
        steps_per_execution: Batches between two calls of the callbacks.

    Raises:
        DataError: `steps` or `steps_per_execution` is less than 1.

    Attributes:
        exhausted: Whether a source that cannot start again has ended.
    """

    def __init__(
        self, adapter: DataAdapter, steps: int | None = None, steps_per_execution: int = 1
    ) -> None:
        if steps is not None and steps < 1:
            raise DataError(f"the number of steps must be 1 or more, received {steps}")
        if steps_per_execution < 1:
            raise DataError(f"steps_per_execution must be 1 or more, got {steps_per_execution}")
        self.adapter = adapter
        self.exhausted = False
        self._steps = steps
        self._group = steps_per_execution
        self._iterator: Iterator[Batch] | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches an epoch; `None` if unknown."""
        return self._steps or self.adapter.num_batches

    @property
    def whole(self) -> bool:
        """Whether an epoch is one pass over the data."""
        return self._steps is None

    def close(self) -> None:
        """Ends the current pass, so that workers stop."""
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, Generator):
            iterator.close()

    def epoch(self) -> Iterator[tuple[int, Iterator[Batch]]]:
        """Groups of batches, each with the number of its first one.

        A group must be used up before the next one is asked for.
        """
        self.adapter.on_epoch_begin()
        if self._iterator is None:
            self._iterator = self.adapter.batches()
        iterator, limit = self._iterator, self._steps
        step = 0
        while limit is None or step < limit:
            first = next(iterator, None)
            if first is None and step == 0 and self.adapter.repeats:
                iterator = self._iterator = self.adapter.batches()
                first = next(iterator, None)
            if first is None:
                self._end_of_data(step, limit)
                break
            if self._group == 1:
                yield step, iter((first,))
                step += 1
                continue
            count = self._group if limit is None else min(self._group, limit - step)
            yield step, itertools.chain((first,), itertools.islice(iterator, count - 1))
            step += count
        if self._steps is None:
            self._iterator = None
        self.adapter.on_epoch_end()

    def _end_of_data(self, step: int, limit: int | None) -> None:
        self._iterator = None
        self.exhausted = not self.adapter.repeats
        if limit is not None:
            warn(
                f"Your input ran out of data after {step} of {limit} steps; interrupting the "
                "epoch. A generator must yield at least `steps_per_epoch * epochs` batches: pass "
                "fewer steps or more data"
            )
