"""The threads that run kernels.

Workers are Python daemon threads that spend their life in one native loop without the
interpreter lock: spinning for a moment after a launch, then asleep. A launch costs well under
a microsecond while they spin. The pool is made at the first launch that wants more than one
thread; a forked child makes its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from graphkeras.config import changes, setting
from graphkeras.ir.op import Array
from graphkeras.locks import fork_safe
from graphkeras.runtime import kernel_cache
from graphkeras.runtime.cores import available_cores

_LINE = 64
_HEAD_LINES = 6
"""Cache lines of a pool before those of its members; see `launcher_kernels`."""
_SEALED = 1 << 31

AWAKE = 1_000_000
"""Nanoseconds a worker looks for the next launch before it sleeps."""
PATIENCE = 100_000
"""Nanoseconds a launch waits at most for its team before it starts with those who came."""
MOST_THREADS = 256
"""Largest team: a barrier has 8 rounds."""
ATTEMPTS = 20
"""Runs for each one that a profile wants with a whole team."""
PROFILE_PATIENCE = 20_000_000
"""Nanoseconds a run of a profile waits for its team."""

_ENTRIES = {"worker": 5, "launch": 2, "stop": 1}
"""Functions of `launcher_kernels` and the number of their int64 arguments."""


@cache
def _addresses() -> dict[str, int]:
    text = Path(__file__).with_name("launcher_kernels.py").read_text(encoding="utf-8")
    functions = [
        kernel_cache.Function("launcher", text, entry, ("int64",) * count, "int64")
        for entry, count in _ENTRIES.items()
    ]
    return dict(zip(_ENTRIES, kernel_cache.load_functions(functions), strict=True))


@cache
def _native() -> dict[str, Callable[..., int]]:
    # A CFUNCTYPE call releases the interpreter lock.
    return {
        entry: ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)(_addresses()[entry])
        for entry, count in _ENTRIES.items()
    }


def launch_address() -> int:
    """Address of `launcher_kernels.launch`, for native code that launches jobs."""
    return _addresses()["launch"]


class Pool:
    """A team of threads: the launching one and `threads - 1` workers.

    Args:
        threads: Size of the team, at least 1.
        futex: Whether idle workers sleep on a futex; they nap and look where this is off.
    """

    def __init__(self, threads: int, futex: bool = sys.platform == "linux") -> None:
        self.threads = threads
        words = (_HEAD_LINES + threads + 1) * _LINE // 8
        self._block = np.zeros(words, np.int64)
        begin = self._block.ctypes.data
        self.address = -(-begin // _LINE) * _LINE
        self._block[(self.address - begin) // 8] = _SEALED | 1
        self._futex = int(futex)
        self._work = _native()["worker"]
        self._workers = [
            threading.Thread(
                target=self._live, args=(rank,), name=f"graphkeras-{rank}", daemon=True
            )
            for rank in range(1, threads)
        ]
        for thread in self._workers:
            thread.start()

    def _live(self, rank: int) -> None:
        # A method: its frame keeps the block alive as long as the worker reads it.
        self._work(self.address, rank, 0, AWAKE, self._futex)

    def close(self) -> None:
        """Ends the workers, after the launch in progress. Launches still work, on one thread."""
        workers, self._workers = self._workers, []
        if workers:
            _native()["stop"](self.address)
        for thread in workers:
            thread.join(1.0)


Row = tuple[int, int, int, int, int]
"""A row of a launch table; see `launcher_kernels`."""


def row_of(kernel: int, argv: int) -> Row:
    """The row of a kernel, by its address and that of its arguments; all teams wait behind it."""
    return kernel, argv, 0, 1, 1


class Job:
    """A launch table, and how it is to be run.

    Args:
        rows: One for each launch, made by `row_of`.
        threads: Largest team; None for all threads of the pool.
    """

    def __init__(self, rows: Sequence[Sequence[int]], threads: int | None = None) -> None:
        self.table = np.array(rows, np.int64).reshape(-1, len(row_of(0, 0)))
        self.threads = threads
        self._fields = np.array([0, self.table.ctypes.data, len(rows), 0, 1, PATIENCE], np.int64)
        self.address = self._fields.ctypes.data
        """Where the native side finds the job."""
        self._launch = _native()["launch"]
        self._pool: Pool | None = None

    def with_row(self, position: int, kernel: int, argv: int, pool: Pool | None) -> Job:
        """A job with one more launch, behind which nobody waits.

        Args:
            position: The row before which it comes.
            kernel: Address of the kernel.
            argv: Address of its arguments.
            pool: The pool to run on.
        """
        rows = self.table.tolist()
        rows.insert(position, [kernel, argv, self.team, 1, 1])
        job = Job(rows, self.threads)
        job.attach(pool)
        job.wait_at_most(int(self._fields[5]))
        return job

    def attach(self, pool: Pool | None) -> None:
        """Makes `pool` the one this job runs on; None for the calling thread alone."""
        self._pool = pool
        self._fields[0] = pool.address if pool else 0
        self._fields[4] = min(self.threads or pool.threads, pool.threads) if pool else 1

    def wait_at_most(self, nanoseconds: int) -> None:
        """Chooses how long a launch waits for its team; `PATIENCE` at most."""
        self._fields[5] = min(nanoseconds, PATIENCE)

    @property
    def team(self) -> int:
        """The largest team, in this pool."""
        return int(self._fields[4])

    def limit(self, threads: int | None) -> None:
        """Changes the largest team; None for all threads of the pool."""
        self.threads = threads
        self.attach(self._pool)

    def run(self, times: int = 1) -> int:
        """Runs all launches in order `times` times, without the interpreter lock.

        Returns:
            Number of threads that took part, summed over `times`.
        """
        return self._launch(self.address, times)

    def profile(self, times: int) -> Array:
        """Runs until `times` runs had the largest team, and tells when each thread did what.

        Returns:
            Nanoseconds, int64 of shape `(times, threads, launches, 3)`: begin and end of a
            kernel, and when the thread went on to the next.

        Raises:
            RuntimeError: The system does not run so many threads at once.
        """
        record = np.zeros((self.team, len(self.table), 3), np.int64)
        runs: list[Array] = []
        patience = int(self._fields[5])
        self._fields[3], self._fields[5] = record.ctypes.data, PROFILE_PATIENCE
        try:
            for _ in range(ATTEMPTS * times):
                if self.run() == self.team:
                    runs.append(record.copy())
                if len(runs) == times:
                    return np.array(runs)
        finally:
            self._fields[3], self._fields[5] = 0, patience
        raise RuntimeError(
            f"{len(runs)} of {ATTEMPTS * times} runs had all {self.team} threads at once, "
            f"expected {times}: other programs keep the cores busy. End them, or choose fewer "
            "threads with set_num_threads"
        )


_pool: Pool | None = None
_chosen: int | None = None
_settings = -1
"""`config.changes` when the number of threads was last looked up."""
_lock = fork_safe(threading.Lock())


def get_num_threads() -> int:
    """Threads that run kernels.

    What `set_num_threads` chose, else the setting `num_threads`, else the cores this process
    may use, by affinity and by the quotas of its control groups; at most 256.
    """
    wanted = _chosen or int(setting("num_threads")) or available_cores()
    return min(wanted, MOST_THREADS)


def set_num_threads(threads: int | None) -> None:
    """Chooses the number of threads that run kernels from the next call on.

    Results do not depend on it.

    Args:
        threads: The number; None for the setting `num_threads` again. More than 256 count as 256.

    Raises:
        ValueError: `threads` is less than 1.
    """
    global _chosen, _pool
    if threads is not None and threads < 1:
        raise ValueError(f"the number of threads must be at least 1, received {threads}")
    with _lock:
        _chosen = threads
        old, _pool = _pool, None
        if old is not None:
            old.close()


def current() -> Pool:
    """The pool of this process, of `get_num_threads()` threads."""
    pool = _pool
    return pool if pool is not None and _settings == changes() else _make()


def _make() -> Pool:
    global _pool, _settings
    with _lock:
        _settings, threads = changes(), get_num_threads()
        if _pool is not None and _pool.threads != threads:
            _pool.close()
            _pool = None
        if _pool is None:
            _pool = Pool(threads)
        return _pool


def _close() -> None:
    if _pool is not None:
        _pool.close()


def _forget() -> None:
    # The parent's workers do not exist in a forked child.
    global _pool
    _pool = None


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
