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
_Spans = dict[_Memory, list[_Span]]

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
    written = _written(launches)
    group: _Spans = {}
    open_group = False
    for row, launch in enumerate(launches):
        spans = _touched(launch, written, sizes, layout, team)
        if row > 0:
            needed[row - 1] = spans is None or not open_group or _collide(group, spans)
            if needed[row - 1]:
                group = {}
        open_group = spans is not None
        for memory, more in (spans or {}).items():
            group.setdefault(memory, []).extend(more)
    if needed:
        needed[-1] = False
    return needed


def _memory(buffer: Buffer) -> _Memory:
    """Buffers of the arena may lie on each other; others never do."""
    return (buffer.place, 0 if buffer.place is Place.ARENA else buffer.index)


def _written(launches: Sequence[Launch]) -> set[_Memory]:
    """Memory that some launch writes: the rest needs no look."""
    found: set[_Memory] = set()
    for launch in launches:
        for access in launch.footprint.accesses if launch.footprint else ():
            buffer = launch.arguments[access.argument]
            if access.writes and isinstance(buffer, Buffer):
                found.add(_memory(buffer))
    return found


def _touched(
    launch: Launch,
    written: set[_Memory],
    sizes: Mapping[str, int],
    layout: Layout,
    team: int,
) -> _Spans | None:
    """What a launch touches of `written`; None where that is not known."""
    if launch.footprint is None:
        return None
    asked = {
        i
        for i, buffer in enumerate(launch.arguments)
        if isinstance(buffer, Buffer) and _memory(buffer) in written
    }
    by_access: dict[int, tuple[Access, list[tuple[int, int]]]] = {}
    for tid in range(team):
        for access, start, stop in launch.footprint.intervals(tid, team, sizes, asked):
            _, places = by_access.setdefault(id(access), (access, [_NOTHING] * team))
            places[tid] = (start, stop)
    spans: _Spans = {}
    for access, places in by_access.values():
        buffer = launch.arguments[access.argument]
        assert isinstance(buffer, Buffer)
        shift = layout.offsets[buffer.index] if buffer.place is Place.ARENA else 0
        used = [(a + shift, b + shift) for a, b in places if a < b]
        moved = tuple((a + shift, b + shift) if a < b else _NOTHING for a, b in places)
        span = _Span(min(a for a, _ in used), max(b for _, b in used), access.writes, moved)
        spans.setdefault(_memory(buffer), []).append(span)
    return spans


def _collide(group: _Spans, spans: _Spans) -> bool:
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
