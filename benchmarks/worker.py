"""One system in a process of its own: prepares a row's work, then runs rounds of it on demand.

Reads one JSON command a line and answers with one:

    {"prepare": "train/mlp"}   {"seconds": 1.9, "sample": [...]}     building and warming it
    {"run": "train/mlp"}       {"seconds": 0.0005}                   a unit of one round
    an error                   {"error": "ValueError: ..."}
"""

from __future__ import annotations

import ctypes
import importlib
import json
import signal
import sys
from time import perf_counter
from typing import Any

from benchmarks.rows import ROWS
from benchmarks.systems import SYSTEMS, System
from benchmarks.work import Prepared

PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


class Worker:
    """Answers commands for one system; holds the work of one row at a time."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._held: Prepared | None = None

    def answer(self, command: dict[str, str]) -> dict[str, Any]:
        """Does what one command says."""
        ((verb, key),) = command.items()
        try:
            return self._prepare(key) if verb == "prepare" else self._run()
        except Exception as error:  # whatever a peer raises becomes a cell of the table
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return {"error": f"{type(error).__name__}: {' '.join(lines[:3])}"[:300]}

    def _prepare(self, key: str) -> dict[str, Any]:
        self._held = None
        begin = perf_counter()
        module = importlib.import_module(f"benchmarks.systems.{self._system.module}")
        self._held = module.prepare(ROWS[key].work, **self._system.options)
        return {"seconds": perf_counter() - begin, "sample": self._held.sample}

    def _run(self) -> dict[str, Any]:
        if self._held is None:
            raise RuntimeError("nothing is prepared")
        begin = perf_counter()
        told = self._held.run()
        seconds = float(told) if self._held.tells_seconds else perf_counter() - begin
        return {"seconds": seconds / self._held.units}


def _end_with_parent() -> None:
    """A stopped process does not see its input close, and would outlive a parent that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(name: str) -> None:
    """Serves commands until standard input closes."""
    _end_with_parent()
    answers = sys.stdout
    sys.stdout = sys.stderr  # some libraries print
    worker = Worker(SYSTEMS[name])
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
