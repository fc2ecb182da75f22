"""Training steps and predictions: graphkeras beside Keras on each of its installed backends.

    python -m benchmarks.steps [--rounds 7] [--markdown FILE]

Every system runs in a process of its own; the processes take turns, one round each, so that a
slow moment of the machine hits all of them alike. What counts is the ratio within this run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.programs import PROGRAMS

BACKENDS = ("tensorflow", "jax", "torch")
OURS = "graphkeras"


class System:
    """A worker process for one system."""

    def __init__(self, name: str) -> None:
        self.name = name
        backend = name.removeprefix("keras+")
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, command: str, program: int) -> float:
        """Sends one command and returns the seconds it took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({command: program}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended while it was asked to {command}")
        return float(json.loads(answer))

    def close(self) -> None:
        """Ends the worker."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def installed_systems() -> list[str]:
    """graphkeras, and Keras with every backend that is installed."""
    if importlib.util.find_spec("keras") is None:
        return [OURS]
    backends = [b for b in BACKENDS if importlib.util.find_spec(b) is not None]
    return [OURS, *(f"keras+{b}" for b in backends)]


def measure(names: list[str], rounds: int) -> tuple[dict[str, list[float]], list[list[str]]]:
    """First-call seconds of each system, and the table rows."""
    systems = [System(name) for name in names]
    first: dict[str, list[float]] = {name: [] for name in names}
    rows = []
    for index, program in enumerate(PROGRAMS):
        for system in systems:
            first[system.name].append(system.ask("prepare", index))
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for system in systems:
                seconds[system.name].append(system.ask("run", index) / program.units)
        rows.append(_row(program.name, names, seconds))
    for system in systems:
        system.close()
    return first, rows


def _row(title: str, names: list[str], seconds: dict[str, list[float]]) -> list[str]:
    ours = statistics.median(seconds[OURS])
    row = [title]
    for name in names:
        median, best = statistics.median(seconds[name]), min(seconds[name])
        ratio = "" if name == OURS else f", {median / ours:.2f}x"
        row.append(f"{median * 1e3:.3f} ({best * 1e3:.3f}){ratio}")
    return row


def markdown(names: list[str], first: dict[str, list[float]], rows: list[list[str]]) -> str:
    """The result as a Markdown table."""
    header = ["ms a step: median (minimum), ratio to graphkeras", *names]
    table = [header, ["---"] * len(header), *rows]
    for index, program in enumerate(PROGRAMS):
        times = [f"{first[name][index]:.1f} s" for name in names]
        table.append([f"first round of: {program.name}", *times])
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    names = installed_systems()
    text = markdown(names, *measure(names, arguments.rounds))
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
