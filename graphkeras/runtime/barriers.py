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
from itertools import permutations
from typing import NamedTuple

from graphkeras.codegen.program import Launch
from graphkeras.codegen.spans import Access
from graphkeras.passes.memory import Buffer, Layout, Place


class _Span(NamedTuple):
    """Bytes of one memory that the threads touch through one access."""

    start: int
    stop: int
    writes: bool
    by_thread: tuple[tuple[int, int], ...]
    """`[start, stop)` of each thread."""


_Memory = tuple[Place, int]
Spans = dict[_Memory, list[_Span]]

_NOTHING = (0, 0)


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
        self._known: dict[tuple[object, ...], list[tuple[Access, int, int]]] = {}

    def of(self, launch: Launch, tid: int, team: int) -> list[tuple[Access, int, int]]:
        """As `Footprint.intervals`."""
        assert launch.footprint is not None
        counts = (access.count for access in launch.footprint.accesses)
        key = (launch.kernel.text, tid, team, *counts)
        if key not in self._known:
            self._known[key] = launch.footprint.intervals(tid, team, self.sizes)
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
    asked = {
        i
        for i, buffer in enumerate(launch.arguments)
        if isinstance(buffer, Buffer) and _memory(buffer) in changed
    }
    by_access: dict[int, tuple[Access, list[tuple[int, int]]]] = {}
    for tid in range(team):
        for access, start, stop in intervals.of(launch, tid, team):
            if access.argument not in asked:
                continue
            _, places = by_access.setdefault(id(access), (access, [_NOTHING] * team))
            places[tid] = (start, stop)
    spans: Spans = {}
    for access, places in by_access.values():
        buffer = launch.arguments[access.argument]
        assert isinstance(buffer, Buffer)
        shift = layout.offsets[buffer.index] if buffer.place is Place.ARENA else 0
        used = [(a + shift, b + shift) for a, b in places if a < b]
        moved = tuple((a + shift, b + shift) if a < b else _NOTHING for a, b in places)
        span = _Span(min(a for a, _ in used), max(b for _, b in used), access.writes, moved)
        spans.setdefault(_memory(buffer), []).append(span)
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
    return any(
        a.by_thread[t][0] < b.by_thread[u][1] and b.by_thread[u][0] < a.by_thread[t][1]
        for t, u in permutations(range(len(a.by_thread)), 2)
    )
