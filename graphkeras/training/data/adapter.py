"""What `fit` needs of a source of batches."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import Protocol

from graphkeras.training.data.ahead import Ahead
from graphkeras.training.data.batch import Batch


class Group(Protocol):
    """Batches that follow each other, to be used up before more are taken."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches; each may overwrite the one before."""

    def __len__(self) -> int:
        """Their number; where it is not known beforehand, of those used so far."""


class Counted:
    """A group from an iterator.

    Args:
        batches: The batches.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._used = 0

    def __iter__(self) -> Iterator[Batch]:
        """The batches, counted."""
        for batch in self._batches:
            self._used += 1
            yield batch

    def __len__(self) -> int:
        """The number of batches used so far."""
        return self._used


class Pass:
    """One pass over the data, taken in groups of batches.

    Args:
        batches: The batches.
        ahead: Whether a thread may compute them while the steps before them run.
    """

    def __init__(self, batches: Iterator[Batch], ahead: bool = False) -> None:
        self._batches = batches
        self._computes_ahead = ahead
        self._ahead: Ahead | None = None

    def begin(self, limit: int | None) -> None:
        """An epoch begins that takes at most `limit` batches; None: all there are."""
        if self._computes_ahead:
            if self._ahead is not None:
                self._ahead.close()
            self._ahead = Ahead(self._batches, limit)

    def take(self, count: int) -> Group | None:
        """The next `count` batches, fewer at the end of the data, `None` behind it."""
        batches = self._batches if self._ahead is None else self._ahead
        first = next(batches, None)
        if first is None:
            return None
        return Counted(itertools.chain((first,), itertools.islice(batches, count - 1)))

    def close(self) -> None:
        """Ends the pass, so that workers stop."""
        if self._ahead is not None:
            self._ahead.close()
        if isinstance(self._batches, Generator):
            self._batches.close()


class DataAdapter:
    """A source of batches. Its arrays may be reused by the next batch."""

    @property
    def num_batches(self) -> int | None:
        """Batches in one pass over the data; `None` if unknown or endless."""
        return None

    @property
    def num_samples(self) -> int | None:
        """Samples in one pass over the data; `None` if unknown."""
        return None

    @property
    def repeats(self) -> bool:
        """Whether `batches` starts again from the beginning."""
        return True

    @property
    def ahead(self) -> bool:
        """Whether a thread may compute batches while the steps before them run."""
        return False

    def first(self) -> Batch:
        """The first batch, without using it up: its shapes and dtypes are those of all."""
        raise NotImplementedError

    def everything(self) -> Batch | None:
        """All data at once where they lie in memory, to be checked before training."""
        return None

    def batches(self) -> Iterator[Batch]:
        """One pass over the data."""
        raise NotImplementedError

    def new_pass(self) -> Pass:
        """One pass over the data, in groups."""
        return Pass(self.batches(), self.ahead)

    def on_epoch_begin(self) -> None:
        """Called before every epoch."""

    def on_epoch_end(self) -> None:
        """Called after every epoch."""
