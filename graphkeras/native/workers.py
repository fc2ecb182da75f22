"""Compiles many functions at once, in processes: LLVM's Python binding runs one call at a time.

    this process      takes the next function, compiles it ─┐
    worker process    takes the next function, compiles it ─┼─▶ object code, in the order asked
    ...                                                     ┘

The functions lie in a queue, longest first; this process works on it from the first moment, and
every worker as soon as it has started. A worker is a Python process that imports this package's
compiler and nothing else. Where none can be started, or one ends early, this process does the
work that is left.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import graphkeras
from graphkeras.native.compiler import Unit, compile_object
from graphkeras.native.target import Cpu

_log = logging.getLogger("graphkeras.kernels")

SHARE = 6
"""Functions for each process at least: a worker takes a quarter of a second to start, in which
this process compiles about three."""


def compile_objects(
    units: Sequence[Unit], compiler: str, target: Cpu, processes: int
) -> list[bytes]:
    """Object code of functions.

    Args:
        units: What to compile.
        compiler: `"llvm"` or `"numba"`.
        target: The CPU.
        processes: Most processes to use, this one included; few functions use fewer.

    Returns:
        An object file for each unit, in order.

    Raises:
        KernelCompileError: A text does not compile.
    """
    helpers = min(processes, len(units) // SHARE) - 1
    order = sorted(range(len(units)), key=lambda i: -units[i].path.stat().st_size)
    queue = deque(order)
    results: dict[int, bytes] = {}

    def compile_rest() -> None:
        with suppress(IndexError):
            while True:
                index = queue.popleft()
                results[index] = compile_object(units[index], compiler, target)

    workers = [_Worker(units, compiler, target, queue, results) for _ in range(helpers)]
    try:
        compile_rest()
    finally:
        for worker in workers:
            worker.close()
    compile_rest()  # what a worker took and could not do
    return [results[i] for i in range(len(units))]


class _Worker:
    """A process, and the thread that feeds it."""

    def __init__(
        self,
        units: Sequence[Unit],
        compiler: str,
        target: Cpu,
        queue: deque[int],
        results: dict[int, bytes],
    ) -> None:
        self.units = units
        self.settings = (compiler, target)
        self.queue = queue
        self.results = results
        self.process: subprocess.Popen[bytes] | None = None
        self.is_busy = False
        self.is_closed = False
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        try:
            self.process = _start()
            with self.process as process:
                assert process.stdin is not None
                assert process.stdout is not None
                # Says that it has started; until then others may take all the work.
                pickle.load(process.stdout)
                while self._next(process.stdin, process.stdout):
                    pass
                process.stdin.close()
        except (OSError, EOFError, pickle.PickleError) as error:
            if not self.is_closed:
                _log.warning("kernels compile with a process less: %s", error or "it ended")

    def _next(self, requests: Any, answers: Any) -> bool:
        """Compiles one function; False where there is none, or this one has a mistake."""
        try:
            index = self.queue.popleft()
        except IndexError:
            return False
        code = None
        self.is_busy = True
        try:
            pickle.dump((self.units[index], *self.settings), requests)
            requests.flush()
            code = pickle.load(answers)
        finally:
            self.is_busy = False
            if code is None:
                self.queue.append(index)  # for this process, which reports mistakes
            else:
                self.results[index] = code
        return code is not None

    def close(self) -> None:
        """Waits for what the worker is doing, and ends it."""
        self.is_closed = True
        if self.process is not None and not self.is_busy:
            self.process.kill()
        self.thread.join()


def _start() -> subprocess.Popen[bytes]:
    root = str(Path(graphkeras.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "graphkeras.native.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
