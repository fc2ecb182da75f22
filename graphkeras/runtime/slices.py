"""Which launches take turns on slices of their work, so that what one writes the next has in cache.

A kernel shares out its iterations by the number of its thread, so a team of four times as many
threads does the same in four times as many parts. Each thread of the real team plays some of them::

    launch by launch        dx[0:32]  dy[0:32]  sums[0:32]          2 MiB each: from memory
    slice by slice          dx[0:8] dy[0:8] sums[0:8]  dx[8:16] ... half a MiB: from the cache

Launches take turns if no part touches what another part writes: what `barriers` asks of threads is
asked of parts here. Every kernel does what it does with so large a team, so bits do not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphkeras.codegen.program import Launch
from graphkeras.passes.memory import Layout
from graphkeras.runtime.barriers import Intervals, Spans, collide, touched, written

SLICE_BYTES = 1 << 20
"""What the launches of a slice touch together: half of the second-level cache."""
LEAST_BYTES = 1 << 18
"""What a launch spreads over a thread's iterations, at least: less stays in the cache anyway."""
MOST_SLICES = 16


def find_slices(
    launches: Sequence[Launch],
    sizes: Mapping[str, int],
    layout: Layout,
    team: int,
    barriers: Sequence[bool],
) -> list[tuple[int, int]]:
    """For each launch, in how many slices it runs, and how many launches from it on take turns.

    Args:
        launches: The launches, in order.
        sizes: Values of the run-time sizes.
        layout: Where the arena buffers lie.
        team: Number of threads.
        barriers: Whether this team needs a barrier behind each launch.
    """
    found = [(1, 1)] * len(launches)
    search = _Search(launches, sizes, layout, team)
    row = 0
    while row < len(launches):
        stop = row
        while stop < len(launches) and search.is_large(stop):
            stop += 1
            if barriers[stop - 1]:
                break
        slices, together = search.turns(row, stop) if stop > row + 1 else (1, 1)
        found[row : row + together] = [(slices, together)] * together
        row += together
    return found


class _Search:
    def __init__(
        self, launches: Sequence[Launch], sizes: Mapping[str, int], layout: Layout, team: int
    ) -> None:
        self.launches = launches
        self.sizes, self.layout, self.team = sizes, layout, team
        self.written = written(launches)
        self.known: dict[tuple[int, int], Spans | None] = {}
        self.intervals = Intervals(sizes)

    def is_large(self, row: int) -> bool:
        """Whether the parts of a launch have much to read or write, most of it of their own."""
        footprint = self.launches[row].footprint
        if footprint is None or footprint.grains(self.sizes) < 2 * self.team:
            return False
        spread, shared = self._spread(row)
        return sum(spread.values()) >= max(LEAST_BYTES, 4 * shared)

    def turns(self, row: int, stop: int) -> tuple[int, int]:
        """Slices, and launches from `row` on that take turns; `(1, 1)` where there is no gain."""
        places = dict(self._spread(row)[0])
        for each in range(row + 1, stop):
            more, _ = self._spread(each)
            if not more.keys() & places.keys():
                stop = each
                break
            places |= more
        wanted = sum(places.values()) / SLICE_BYTES
        slices = 1
        while wanted > 2 and slices < min(wanted, MOST_SLICES):
            slices *= 2
        while slices > 1:
            together = self._apart(row, stop, self.team * slices)
            if together > 1:
                return slices, together
            slices //= 2
        return 1, 1

    def _apart(self, row: int, stop: int, parts: int) -> int:
        """How many launches from `row` on do not meet, with so many parts."""
        group: Spans = {}
        for each in range(row, stop):
            footprint, spans = self.launches[each].footprint, self._touched(each, parts)
            assert footprint is not None
            if spans is None or footprint.parts(parts, self.sizes) < parts:
                return each - row
            if collide(group, spans):
                return each - row
            for memory, more in spans.items():
                group.setdefault(memory, []).extend(more)
        return stop - row

    def _spread(self, row: int) -> tuple[dict[tuple[object, int], int], int]:
        """Bytes of each place that one thread and not the others touches; those of all others."""
        spans = self._touched(row, 2 * self.team) or {}
        found: dict[tuple[object, int], int] = {}
        shared: dict[tuple[object, int], int] = {}
        for memory, each in spans.items():
            for span in each:
                start, stop = int(span.starts[0]), int(span.stops[0])
                apart = start >= span.stops[1] or stop <= span.starts[1]
                own, times = (found, 2) if apart else (shared, 1)
                key = memory, start
                own[key] = max(own.get(key, 0), times * (stop - start))
        return found, sum(shared.values())

    def _touched(self, row: int, parts: int) -> Spans | None:
        key = row, parts
        if key not in self.known:
            self.known[key] = touched(
                self.launches[row], self.written, self.intervals, self.layout, parts
            )
        return self.known[key]
