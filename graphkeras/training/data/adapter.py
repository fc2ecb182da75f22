"""What `fit` needs of a source of batches."""

from __future__ import annotations

from collections.abc import Iterator

from graphkeras.training.data.batch import Batch


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

    def first(self) -> Batch:
        """The first batch, without using it up: its shapes and dtypes are those of all."""
        raise NotImplementedError

    def everything(self) -> Batch | None:
        """All data at once where they lie in memory, to be checked before training."""
        return None

    def batches(self) -> Iterator[Batch]:
        """One pass over the data."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Called before every epoch."""

    def on_epoch_end(self) -> None:
        """Called after every epoch."""
