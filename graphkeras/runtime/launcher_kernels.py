"""The launcher: runs a table of kernels on a team of threads. Compiled as kernels are.

A table has a row of five int64 for each launch: address of the kernel, address of its argv,
the team that may go on to the next row at once, the slices that each thread runs (`slices.py`), and
how many rows from it on take turns, where the team is that one. Threads of any other team wait for
each other behind every row.

A profile has three int64 for each thread and row: nanoseconds at which the kernel begins, at
which it ends, and at which the thread goes on.

A pool is a block of int64 slots (below). A launch raises the generation in `STATE`; waiting
workers that see it join by raising the count. The leader (the launching thread, tid 0) waits a
bounded time, then *seals* the team; who comes later goes back to waiting. The last one that is
wanted seals it in joining. Barriers are among the members only, so a thread that the system
does not run for a while can make a launch slower, never hang it.

    STATE    generation (32 bits) | SEALED | count of members

The generation is the upper half on a little-endian machine: the word workers sleep on.

Kernels run with numbers below the normal range (1.2e-38 in float32) flushed to zero, as in
TensorFlow and XLA: the slots of an optimizer decay into that range for every unit that has
died, and there an operation takes a hundred times as long.
"""

from __future__ import annotations

from graphkeras.codegen.cpu.intrinsics import int64_at
from graphkeras.runtime.intrinsics import (
    atomic_add,
    atomic_exchange,
    atomic_load,
    atomic_or,
    atomic_store,
    call_kernel,
    compare_exchange,
    flush_denormals,
    futex_wait,
    futex_wake,
    nanoseconds,
    nap,
    relax,
    restore_float_mode,
    yield_cpu,
)

LINE = 64
"""Bytes of a cache line: words written by different threads lie on different lines."""

STATE = 0 * LINE
SLEEPERS = 1 * LINE
"""Workers asleep or about to be."""
STOP = 2 * LINE
BUSY = 3 * LINE
"""1 while a launch uses the pool."""
FINISHED = 4 * LINE
"""Workers of the team that are through with the table."""
TABLE = 5 * LINE
ROWS = TABLE + 8
PROFILE = TABLE + 16
"""Address of the times of a profile, or 0."""
WANTED = TABLE + 24
"""Largest team: workers of a higher rank stay out."""
STAMP = TABLE + 32
"""Stamp before the first barrier of the launch: the rows of all launches so far."""
SIGNALS = 6 * LINE
"""A line for each member of a team: what the rounds of a barrier signal."""
ROUND = 8
"""Bytes between the signals of two rounds: 8 rounds are enough for 256 threads."""

SEALED = 1 << 31
COUNT = SEALED - 1
ROW = 5 * 8
"""Bytes of a row of a table."""
PAUSES = 2000
"""Turns of a waiting loop before it offers the core to others."""


def wait_turn(turn: int) -> None:
    """One turn of a waiting loop; `turn` counts them."""
    if turn < PAUSES:
        relax()
    else:
        yield_cpu()


def barrier(pool: int, tid: int, team: int, stamp: int) -> None:
    """Returns when every member has called it with this stamp; stamps only grow.

    Dissemination (Hensgen, Finkel and Manber, 1988): in round r each thread signals the one
    2^r places on and waits for its own signal, so that after log2(team) rounds it has heard of
    all. No line is written by two threads at once, which a common counter would be.
    """
    distance = 1
    place = pool + SIGNALS
    while distance < team:
        partner = tid + distance
        if partner >= team:
            partner -= team
        atomic_store(place + partner * LINE, stamp)
        turn = 0
        # A partner may be ahead by a barrier of this launch.
        while atomic_load(place + tid * LINE) < stamp:
            wait_turn(turn)
            turn += 1
        distance *= 2
        place += ROUND


def run_rows(table: int, start: int, stop: int, tid: int, team: int) -> None:
    """Rows that take turns, slice by slice."""
    slices = int64_at(table + ROW * start)[3]
    for part in range(tid * slices, (tid + 1) * slices):
        for row in range(start, stop):
            launch_row = int64_at(table + ROW * row)
            call_kernel(launch_row[0], part, team * slices, launch_row[1])


def run_profiled(table: int, start: int, stop: int, profile: int, tid: int, team: int) -> None:
    """As `run_rows`, with times as if each row had run all its slices at once."""
    slices = int64_at(table + ROW * start)[3]
    begin = nanoseconds()
    for row in range(start, stop):
        int64_at(profile + 24 * row)[1] = 0
    for part in range(tid * slices, (tid + 1) * slices):
        for row in range(start, stop):
            launch_row = int64_at(table + ROW * row)
            times = int64_at(profile + 24 * row)
            now = nanoseconds()
            call_kernel(launch_row[0], part, team * slices, launch_row[1])
            times[1] = times[1] + nanoseconds() - now
    for row in range(start, stop):
        times = int64_at(profile + 24 * row)
        times[0] = begin
        begin += times[1]
        times[1] = begin
        times[2] = begin


def run_table(
    pool: int, table: int, rows: int, profile: int, tid: int, team: int, stamp: int
) -> None:
    """What one thread does: every row of the table, in order."""
    row = 0
    while row < rows:
        first = int64_at(table + ROW * row)
        stop = row + 1
        if team == first[2]:
            stop = row + first[4]
        if profile != 0:
            run_profiled(table, row, stop, profile + 24 * rows * tid, tid, team)
        else:
            run_rows(table, row, stop, tid, team)
        last = int64_at(table + ROW * (stop - 1))
        if team != last[2] and team > 1 and stop < rows:
            barrier(pool, tid, team, stamp + stop)
        if profile != 0:
            times = int64_at(profile + 24 * (rows * tid + stop - 1))
            times[2] = nanoseconds()
        row = stop


def sleep_until_launch(pool: int, last: int, awake: int, futex: int) -> int:
    """Waits for a generation other than `last`; returns the state that has it."""
    deadline = nanoseconds() + awake
    turn = 0
    state: int = atomic_load(pool + STATE)
    while state >> 32 == last:
        turn += 1
        if turn % 64 != 0 or nanoseconds() < deadline:
            wait_turn(turn)
        elif futex != 0:
            atomic_add(pool + SLEEPERS, 1)
            futex_wait(pool + STATE + 4, last)
            atomic_add(pool + SLEEPERS, -1)
        else:
            nap()
        state = atomic_load(pool + STATE)
    return state


def join(pool: int, state: int, wanted: int) -> int:
    """Joins the team of the generation in `state`.

    Returns:
        How many had joined before; 0 where the team is sealed or the launch already over.
    """
    generation = state >> 32
    while state >> 32 == generation and state & SEALED == 0:
        joined = state + 1
        if joined & COUNT == wanted:
            joined = joined | SEALED
        if compare_exchange(pool + STATE, state, joined) == state:
            return state & COUNT
        state = atomic_load(pool + STATE)
    return 0


def worker(pool: int, rank: int, first: int, awake: int, futex: int) -> int:
    """The life of worker `rank`: returns when the pool stops.

    `first` is the generation at which the pool was made, `awake` the nanoseconds a worker
    keeps looking for a launch before it sleeps.
    """
    flush_denormals()
    last = first
    while True:
        state = sleep_until_launch(pool, last, awake, futex)
        last = state >> 32
        if atomic_load(pool + STOP) != 0:
            return 0
        wanted = atomic_load(pool + WANTED)
        if rank >= wanted:
            continue
        tid = join(pool, state, wanted)
        if tid == 0:
            continue
        turn = 0
        state = atomic_load(pool + STATE)
        while state & SEALED == 0:
            wait_turn(turn)
            turn += 1
            state = atomic_load(pool + STATE)
        team = state & COUNT
        if team == wanted:
            # In a whole team a core sees the same part of the data in every launch.
            tid = rank
        table = atomic_load(pool + TABLE)
        rows = atomic_load(pool + ROWS)
        profile = atomic_load(pool + PROFILE)
        run_table(pool, table, rows, profile, tid, team, atomic_load(pool + STAMP))
        atomic_add(pool + FINISHED, 1)


def next_generation(pool: int, members: int) -> None:
    """Starts a launch with `members` in its team, and wakes who sleeps."""
    # Only the owner of BUSY gets here, and nobody joins a sealed team, so the state is still.
    state = atomic_load(pool + STATE)
    atomic_exchange(pool + STATE, (((state >> 32) + 1) << 32) | members)
    if atomic_load(pool + SLEEPERS) > 0:
        futex_wake(pool + STATE + 4, 1 << 30)


def run_on_pool(pool: int, table: int, rows: int, profile: int, wanted: int, patience: int) -> int:
    """Runs a table with at most `wanted` threads; returns how many took part."""
    if wanted <= 1 or compare_exchange(pool + BUSY, 0, 1) != 0:
        run_table(pool, table, rows, profile, 0, 1, 0)
        return 1
    atomic_store(pool + TABLE, table)
    atomic_store(pool + ROWS, rows)
    atomic_store(pool + PROFILE, profile)
    atomic_store(pool + WANTED, wanted)
    atomic_store(pool + FINISHED, 0)
    stamp = atomic_load(pool + STAMP)
    next_generation(pool, 1)
    turn = 0
    deadline = 0
    state = atomic_load(pool + STATE)
    while state & COUNT < wanted:
        if turn % 64 == 63:
            now = nanoseconds()
            if deadline == 0:
                deadline = now + patience
            elif now > deadline:
                state = atomic_or(pool + STATE, SEALED)
                break
        wait_turn(turn)
        turn += 1
        state = atomic_load(pool + STATE)
    team: int = state & COUNT
    run_table(pool, table, rows, profile, 0, team, stamp)
    turn = 0
    while atomic_load(pool + FINISHED) != team - 1:
        wait_turn(turn)
        turn += 1
    atomic_store(pool + STAMP, stamp + rows)
    atomic_store(pool + BUSY, 0)
    return team


def launch(job: int, times: int) -> int:
    """Runs a job `times` times; returns the sum of the numbers of threads that took part.

    A job is six int64: address of the pool, address of the table, its rows, address of the
    times of a profile (or 0), the largest team, and how many nanoseconds to wait for the team.
    The calling thread runs the table alone where the largest team is one thread, or where
    another launch has the pool.
    """
    fields = int64_at(job)
    total = 0
    mode = flush_denormals()
    for _ in range(times):
        total += run_on_pool(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5])
    restore_float_mode(mode)
    return total


def stop(pool: int) -> int:
    """Ends the workers, after the launch in progress. Later launches run alone."""
    turn = 0
    while compare_exchange(pool + BUSY, 0, 1) != 0:
        wait_turn(turn)
        turn += 1
    atomic_store(pool + STOP, 1)
    next_generation(pool, SEALED | 1)
    return 0
