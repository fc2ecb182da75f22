"""Command line: measures rows, merges them into the results, writes the report."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, plot, report, results
from benchmarks.judge import Judge
from benchmarks.measure import chosen_rows, measure
from benchmarks.rows import ROWS, SECTIONS, Row
from benchmarks.systems import SYSTEMS
from benchmarks.team import ROOT, Team, installed

SLOW = ("graphkeras-1", "keras-tensorflow-jit", "keras-torch", "openvino")
"""Systems that `--quick` leaves out: those that start slowly and are not the fastest."""

PICTURE = ROOT / "docs" / "images" / "speed.svg"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--peers", default=sys.executable, help="Python that has the peers; default: this one")
    add("--rows", nargs="*", default=[], help="rows by the beginning of their keys; default: all")
    add("--systems", nargs="*", default=[], help="systems that take part; default: all")
    add("--quick", action="store_true", help="a few rows and systems, three rounds: about a minute")
    add("--rounds", type=int, default=0, help="turns of each system; default: 7, quick 3")
    add("--results", type=Path, help="file the figures are merged into and the report reads")
    add("--markdown", type=Path, help="also write the report to this file")
    add("--publish", action="store_true", help="measure nothing; write README.md and its picture")
    add("--list", action="store_true", help="print the keys of the rows")
    return parser.parse_args()


def main() -> int:
    """Runs it; returns the exit code."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(f"{key:44} {row.title}" for key, row in ROWS.items()))
        return 0
    if arguments.publish:
        return _publish(results.load(arguments.results or results.DEFAULT))
    systems = arguments.systems or [n for n in SYSTEMS if not arguments.quick or n not in SLOW]
    unknown = set(systems) - set(SYSTEMS)
    try:
        if unknown:
            raise ValueError(f"no system {sorted(unknown)}; there are {list(SYSTEMS)}")
        rows = chosen_rows(arguments.rows, arguments.quick)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = _measured(rows, systems, arguments)
    text = report.markdown(found)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, encoding="utf-8")
    return 0


def _measured(rows: list[Row], systems: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures the rows; the results file is written after each of them."""
    file = arguments.results
    found = results.load(file) if file else {"machine": {}, "rows": {}}
    found["machine"] = machine.describe(sys.executable, arguments.peers)
    present = {name for name in systems if installed(name, arguments.peers)}
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    log = Path(tempfile.gettempdir()) / "graphkeras-benchmarks.log"
    with Team(arguments.peers, log) as team:
        for row in rows:
            taking_part = [name for name in row.systems if name in present]
            result = results.rounded(measure(row, taking_part, team, rounds))
            found["rows"].setdefault(row.key, {}).update(result)
            _show(row, result)
            if file:
                results.save(file, found)
    return found


def _show(row: Row, result: dict[str, Any]) -> None:
    """One line on standard error as soon as a row is done."""
    judge = Judge(row, result, SECTIONS[row.section][1])
    verdicts = [f"{'ok' if v.met else 'SHORT'} {v.received} of {v.goal}" for v in judge.verdicts()]
    print(f"{row.key}: {'; '.join(verdicts)}", file=sys.stderr, flush=True)


def _publish(found: dict[str, Any]) -> int:
    plot.write(PICTURE, report.judges(found))
    text = report.markdown(found, PICTURE.relative_to(ROOT).as_posix())
    report.merge_into(ROOT / "README.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
