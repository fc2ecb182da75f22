"""Which launches need no barrier before the next one, for given sizes and threads.

Two launches may run side by side if no thread touches what another thread writes::

    launch   thread 0            thread 1
    dense 1  writes h[0:6400]    writes h[6400:12800]
    dense 2  reads  h[0:6400]    reads  h[6400:12800]      same rows: no barrier
    loss     reads  y[0:1280]    -                         alone, but y is of both: barrier

Launches are taken in order into a group as long as that holds for every two of them; the first
that does not fit gets a barrier and opens the next group, which gives the fewest barriers.
Intervals come from the footprints that code generation left, placed where the memory plan has
put the buffers, so buffers that share arena memory one after the other are seen too. They hold
for one size of team; a team that came together smaller keeps every barrier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graphkeras.codegen.program import Launch
from graphkeras.codegen.spans import Access
from graphkeras.ir.op import Array
from graphkeras.passes.memory import Buffer, Layout, Place


class _Span(NamedTuple):
    """Bytes of one memory that the threads touch through one access."""

    start: int
    stop: int
    writes: bool
    starts: Array
    """Of each thread; not less than its stop where it touches nothing."""
    stops: Array

    def moved(self, by: int) -> _Span:
        """The same bytes where the buffer begins elsewhere."""
        if by == 0:
            return self
        return _Span(
            self.start + by, self.stop + by, self.writes, self.starts + by, self.stops + by
        )


_Memory = tuple[Place, int]
Spans = dict[_Memory, list[_Span]]


def find_barriers(
    launches: Sequence[Launch], sizes: Mapping[str, int], layout: Layout, team: int
) -> list[bool]:
    """Whether a team needs a barrier behind each launch; the last one never does.

    Args:
        launches: The launches, in order.
        sizes: Values of the run-time sizes.
        layout: Where the arena buffers lie; a plan for larger sizes will do.
        team: Number of threads.
    """
    needed = [True] * len(launches)
    changed = written(launches)
    intervals, group = Intervals(sizes), Spans()
    open_group = False
    for row, launch in enumerate(launches):
        spans = touched(launch, changed, intervals, layout, team)
        if row > 0:
            needed[row - 1] = spans is None or not open_group or collide(group, spans)
            if needed[row - 1]:
                group = {}
        open_group = spans is not None
        for memory, more in (spans or {}).items():
            group.setdefault(memory, []).extend(more)
    if needed:
        needed[-1] = False
    return needed


class Intervals:
    """What threads touch, for some sizes; launches of one kernel share what was found out.

    Args:
        sizes: Values of the run-time sizes.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self._known: dict[tuple[object, ...], list[tuple[Access, _Span]]] = {}

    def of(self, launch: Launch, team: int) -> list[tuple[Access, _Span]]:
        """The bytes of its buffer that each access of a launch touches, if it touches any."""
        assert launch.footprint is not None
        counts = (access.count for access in launch.footprint.accesses)
        key = (launch.kernel.text, team, *counts)
        if key not in self._known:
            found = self._known[key] = []
            for access, starts, stops in launch.footprint.intervals(team, self.sizes):
                used = starts < stops
                if used.any():
                    first, last = int(starts[used].min()), int(stops[used].max())
                    found.append((access, _Span(first, last, access.writes, starts, stops)))
        return self._known[key]


def _memory(buffer: Buffer) -> _Memory:
    """Buffers of the arena may lie on each other; others never do."""
    return (buffer.place, 0 if buffer.place is Place.ARENA else buffer.index)


def written(launches: Sequence[Launch]) -> set[_Memory]:
    """Memory that some launch writes: the rest needs no look."""
    found: set[_Memory] = set()
    for launch in launches:
        for access in launch.footprint.accesses if launch.footprint else ():
            buffer = launch.arguments[access.argument]
            if access.writes and isinstance(buffer, Buffer):
                found.add(_memory(buffer))
    return found


def touched(
    launch: Launch,
    changed: set[_Memory],
    intervals: Intervals,
    layout: Layout,
    team: int,
) -> Spans | None:
    """What a launch touches of `changed`; None where that is not known."""
    if launch.footprint is None:
        return None
    spans: Spans = {}
    for access, span in intervals.of(launch, team):
        buffer = launch.arguments[access.argument]
        if isinstance(buffer, Buffer) and _memory(buffer) in changed:
            shift = layout.offsets[buffer.index] if buffer.place is Place.ARENA else 0
            spans.setdefault(_memory(buffer), []).append(span.moved(shift))
    return spans


def collide(group: Spans, spans: Spans) -> bool:
    """Whether two threads touch the same memory and one of them writes it."""
    return any(
        (a.writes or b.writes) and a.start < b.stop and b.start < a.stop and _cross(a, b)
        for memory, more in spans.items()
        for b in more
        for a in group.get(memory, ())
    )


def _cross(a: _Span, b: _Span) -> bool:
    """Whether the bytes of two different threads overlap."""
    starts = np.maximum(a.starts[:, None], b.starts)
    stops = np.minimum(a.stops[:, None], b.stops)
    both = starts < stops
    np.fill_diagonal(both, False)
    return bool(both.any())
