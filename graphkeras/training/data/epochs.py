"""Cuts a source of batches into epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphkeras.errors import DataError
from graphkeras.places import warn
from graphkeras.training.data.adapter import DataAdapter, Group, Pass


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
        self.steps_per_execution = steps_per_execution
        self._pass: Pass | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches an epoch; `None` if unknown."""
        return self._steps or self.adapter.num_batches

    @property
    def whole(self) -> bool:
        """Whether an epoch is one pass over the data."""
        return self._steps is None

    def reset(self) -> None:
        """Tells the source that no epoch runs. As in Keras, `fit` and `evaluate` begin with this.

        A `PyDataset` that puts its samples in another order at the end of each epoch so has the
        order of Keras in the first one, too.
        """
        self.adapter.on_epoch_end()

    def close(self) -> None:
        """Ends the current pass, so that workers stop."""
        current, self._pass = self._pass, None
        if current is not None:
            current.close()

    def epoch(self, wanted: Callable[[], int] | None = None) -> Iterator[tuple[int, Group]]:
        """Groups of batches, each with the number of its first one.

        A group must be used up before the next one is asked for.

        Args:
            wanted: Says before each group how many batches it should have; by default
                `steps_per_execution`.
        """
        self.adapter.on_epoch_begin()
        if self._pass is None:
            self._pass = self.adapter.new_pass()
        limit = self._steps
        self._pass.begin(limit)
        step = 0
        while limit is None or step < limit:
            count = wanted() if wanted is not None else self.steps_per_execution
            if limit is not None:
                count = min(count, limit - step)
            group = self._pass.take(count)
            if group is None and step == 0 and self.adapter.repeats:
                self._pass = self.adapter.new_pass()
                self._pass.begin(limit)
                group = self._pass.take(count)
            if group is None:
                self._end_of_data(step, limit)
                break
            yield step, group
            step += len(group)
        if self._steps is None:
            self._pass = None
        self.adapter.on_epoch_end()

    def _end_of_data(self, step: int, limit: int | None) -> None:
        self._pass = None
        self.exhausted = not self.adapter.repeats
        # An epoch without any data is for the loop to tell about.
        if limit is not None and step:
            warn(
                f"Your input ran out of data; interrupting training: this epoch has {step} "
                f"of {limit} steps. A generator must yield at least `steps_per_epoch * epochs` "
                "batches: pass fewer steps or more data"
            )
