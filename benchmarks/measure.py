"""Measures rows: rounds of the systems in turn. A system that fails leaves the others going."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.rows import ROWS, Row
from benchmarks.systems import OURS, SYSTEMS
from benchmarks.team import PATIENCE, ROOT, SystemFailed, Team, environment, interpreter
from benchmarks.work import Fresh

TOLERANCE = 2e-3
"""Largest difference of two systems' answers, relative to the largest answer."""

Result = dict[str, dict[str, Any]]
"""For each system `{"rounds": [seconds of a unit], "first": seconds}` or `{"error": text}`."""


def measure(row: Row, systems: Sequence[str], team: Team, rounds: int) -> Result:
    """Times one row.

    Args:
        row: What to time.
        systems: Those of its systems that take part.
        team: Their processes.
        rounds: How often each has its turn.
    """
    if isinstance(row.work, Fresh):
        return _measure_fresh(row.work, systems, team.peers)
    result: Result = {}
    samples: dict[str, list[float]] = {}
    for name in systems:
        try:
            answer = team.ask(name, "prepare", row.key)
        except SystemFailed as error:
            result[name] = {"error": str(error)}
            continue
        samples[name] = answer["sample"]
        result[name] = {"first": answer["seconds"], "rounds": []}
    for _ in range(rounds):
        for name, cell in result.items():
            if "error" in cell:
                continue
            try:
                cell["rounds"].append(team.ask(name, "run", row.key)["seconds"])
            except SystemFailed as error:
                cell["error"] = str(error)
    _compare(samples, result)
    return result


def _compare(samples: dict[str, list[float]], result: Result) -> None:
    """A system whose answer is another than graphkeras's has not timed the same thing."""
    own = samples.get(OURS)
    if own is None:
        return
    for name, other in samples.items():
        if SYSTEMS[name].module == "limits":
            continue
        size = max(map(abs, own))
        apart = [abs(a - b) / size for a, b in zip(own, other, strict=False)]
        # A comparison with NaN is false, so NaN does not pass.
        if len(own) != len(other) or not all(d <= TOLERANCE for d in apart):
            text = ", ".join(f"{d:.1e}" for d in apart[:4])
            result[name]["error"] = f"its answer differs from that of {OURS}, relatively by {text}"


def _measure_fresh(work: Fresh, systems: Sequence[str], peers: str) -> Result:
    result: Result = {name: {"rounds": []} for name in systems}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if work.cache == "filled" and OURS in result:
            # What is wrong here is wrong in the rounds too, and is reported there.
            with suppress(SystemFailed):
                _fresh(work, OURS, peers, home)
        for _ in range(work.rounds):
            for name, cell in result.items():
                if "error" in cell:
                    continue
                if work.cache == "empty":
                    shutil.rmtree(home)
                    home.mkdir()
                try:
                    cell["rounds"].append(_fresh(work, name, peers, home))
                except SystemFailed as error:
                    cell["error"] = str(error)
    return result


def _fresh(work: Fresh, name: str, peers: str, home: Path) -> float:
    """The number that a process of its own prints."""
    command = [interpreter(name, peers), "-m", "benchmarks.fresh", work.measure, name]
    command += [work.row] if work.row else []
    variables = {**environment(name), "GRAPHKERAS_HOME": str(home)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise SystemFailed(f"no answer in {PATIENCE:g} s") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise SystemFailed(last[0][:300])
    return float(done.stdout.split()[-1])


def chosen_rows(patterns: Sequence[str], quick: bool) -> list[Row]:
    """The rows with one of the keys, or whose keys begin so; all if nothing is asked for.

    Raises:
        ValueError: A pattern fits no row.
    """
    keys: set[str] = set()
    for pattern in patterns:
        fitting = {pattern} & set(ROWS) or {key for key in ROWS if key.startswith(pattern)}
        if not fitting:
            raise ValueError(f"no row begins with {pattern!r}; `--list` prints them")
        keys |= fitting
    found = [row for key, row in ROWS.items() if not patterns or key in keys]
    return [row for row in found if row.quick or not quick]
