"""How many batches run before Python looks again.

A callback that listens to every batch is called behind every group of `steps_per_execution`, as
in Keras. Where nobody listens but the progress bar, a group takes about a twentieth of a second:
that is how often the bar redraws, how soon Ctrl-C is heard, and long enough for what Python does
between two groups (some 0.1 ms) not to count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

_SECONDS = 0.05
_MOST_GROWTH = 16
"""A group may be this many times as long as the one before: the first ones warm up."""


class Pace:
    """Chooses the number of batches of each group.

    Args:
        unit: Batches a group must be a multiple of: `steps_per_execution`.
        listeners: Who is called for batches.
    """

    def __init__(self, unit: int, listeners: Sequence[Callable[..., None]]) -> None:
        self._unit = unit
        self._listened = bool(listeners)
        self.strict = not all(getattr(listener, "patient", False) for listener in listeners)
        self._units = 1
        self._begin: float | None = None

    def start(self) -> None:
        """Called at the beginning of an epoch: a progress bar appears with its first batch."""
        self._begin = None
        if self._listened:
            self._units = 1

    def __call__(self) -> int:
        """Batches of the next group; the last one has just ended."""
        if self.strict:
            return self._unit
        now = perf_counter()
        if self._begin is not None:
            seconds = max(now - self._begin, 1e-9)
            self._units = max(1, int(self._units * min(_SECONDS / seconds, _MOST_GROWTH)))
        self._begin = now
        return self._units * self._unit
