"""One system under test in a process of its own: prepares a program, then runs rounds on demand.

Reads one JSON command a line: `{"prepare": i}` or `{"run": i}`; answers with seconds.
"""

from __future__ import annotations

import importlib
import json
import sys
from time import perf_counter
from typing import Any

from benchmarks.programs import PROGRAMS, Run


def _module(system: str) -> Any:
    return importlib.import_module("graphkeras" if system == "graphkeras" else "keras")


def main(system: str) -> None:
    """Serves commands until standard input closes."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    keras = _module(system)
    runs: dict[int, Run] = {}
    for line in sys.stdin:
        ((command, index),) = json.loads(line).items()
        start = perf_counter()
        if command == "prepare":
            runs[index] = PROGRAMS[index].prepare(keras)
        else:
            runs[index]()
        print(json.dumps(perf_counter() - start), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
