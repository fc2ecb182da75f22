"""Results as Markdown: one table a section, the goals that are not met with their reasons.

The README holds the text between two marks; the reasons are in `reasons.toml`, by row.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.judge import SCALE, Judge
from benchmarks.rows import DIRECTIONS, ROWS, SECTIONS, TENSORFLOW
from benchmarks.systems import ONE_THREAD, OURS, SYSTEMS
from benchmarks.work import Convolution, Product

BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
REASONS = Path(__file__).with_name("reasons.toml")
SHORT = {"keras-tensorflow": "Keras + TensorFlow", "keras-tensorflow-jit": "Keras + TensorFlow"}


def judges(results: Mapping[str, Any]) -> list[Judge]:
    """A judge for each row that was measured, in the order of the table."""
    measured = results["rows"]
    return [
        Judge(row, measured[key], SECTIONS[row.section][1])
        for key, row in ROWS.items()
        if key in measured
    ]


def markdown(results: Mapping[str, Any], picture: str = "") -> str:
    """The whole report.

    Args:
        results: What `results.py` keeps.
        picture: Link to the plot; empty for none.
    """
    parts = [_machine(results["machine"])]
    if picture:
        parts.append(f"![Speed beside the peers]({picture})")
    every = judges(results)
    for section, (title, unit) in SECTIONS.items():
        rows = [judge for judge in every if judge.row.section == section]
        if rows:
            table = _directions if section == "conv" else _table
            parts += [f"### {title}", table(rows, unit)]
    parts.append(_short(every))
    return "\n\n".join(parts) + "\n"


def _machine(machine: Mapping[str, str]) -> str:
    known = ("processor", "cores", "system", "python")
    versions = ", ".join(f"{k} {v}" for k, v in machine.items() if k not in known)
    return (
        f"{machine['cores']} cores of {machine['processor']}; {machine['system']}, "
        f"Python {machine['python']}; {versions}. float32 everywhere. The systems took turns, one "
        "round each, in processes of their own; given are the median round and, in brackets, the "
        "fastest. For the peers: how many times as long as graphkeras, fastest round by fastest. "
        "Beside `all threads : one`, in brackets, is what the machine's own limits give there."
    )


def _columns(rows: list[Judge]) -> dict[str, tuple[str, ...]]:
    """Heads of the peers' columns, and the systems each shows the fastest of."""
    columns: dict[str, tuple[str, ...]] = {}
    for name in SYSTEMS:
        if not SYSTEMS[name].peer or not any(name in j.row.systems for j in rows):
            continue
        head = SHORT.get(name, SYSTEMS[name].title)
        columns[head] = (*columns.get(head, ()), name)
    return columns


def _table(rows: list[Judge], unit: str) -> str:
    columns = _columns(rows)
    threads = any(ONE_THREAD in judge.row.systems for judge in rows)
    kernels = isinstance(rows[0].row.work, Product | Convolution)
    head = ["", f"graphkeras, {unit}"]
    head += ["of the roofline"] if kernels else []
    head += ["all threads : one"] if threads else []
    head += list(columns)
    lines = [head, ["---"] * len(head)]
    for judge in rows:
        line = [judge.row.title, _figure(judge, unit)]
        line += [_percent(judge.share())] if kernels else []
        line += [_threads(judge)] if threads else []
        line += [_times(judge, names) for names in columns.values()]
        lines.append(line)
    return _lines(lines)


def _directions(rows: list[Judge], unit: str) -> str:
    """Convolutions: a line for the three directions of each."""
    lines: dict[str, dict[str, str]] = {}
    for judge in rows:
        work = judge.row.work
        assert isinstance(work, Convolution)
        title = judge.row.title.removesuffix(f", {work.direction}")
        figures = [_figure(judge, unit), _percent(judge.share())]
        figures += [_threads(judge), _times(judge, ("torch",))]
        lines.setdefault(title, {})[work.direction] = " / ".join(f for f in figures if f)
    head = [f"{unit} / of the roofline / all threads : one / torch", *DIRECTIONS]
    table = [head, ["---"] * len(head)]
    table += [[title, *(cells.get(d, "") for d in DIRECTIONS)] for title, cells in lines.items()]
    return _lines(table)


def _figure(judge: Judge, unit: str) -> str:
    median, best = judge.median(OURS), judge.best(OURS)
    if median is None or best is None:
        return "failed"
    median, best = median * SCALE[unit], best * SCALE[unit]
    digits = 3 if best < 1 else 2 if best < 10 else 1 if best < 100 else 0
    return f"{median:.{digits}f} ({best:.{digits}f})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _threads(judge: Judge) -> str:
    """All threads to one; in brackets what the machine's limits would give."""
    limits = judge.machine_threads()
    return _times(judge, (ONE_THREAD,)) + (f" ({limits:.2f})" if limits else "")


def _times(judge: Judge, names: tuple[str, ...]) -> str:
    """The fastest of the systems, or that it failed."""
    ratios = [r for name in names if (r := judge.ratio(name)) is not None]
    if ratios:
        mark = ""
        jit = judge.ratio(TENSORFLOW[1])
        if names == TENSORFLOW and min(ratios) == jit:
            mark = " jit"
        return f"{min(ratios):.2f}{mark}"
    return "failed" if any(judge.error(name) for name in names) else ""


def _lines(table: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def _short(every: list[Judge]) -> str:
    """The goals that are not met, and the systems that failed."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    table = [["", "goal: received", "reason"], ["---"] * 3]
    met = total = 0
    for judge in every:
        verdicts = judge.verdicts()
        missed = [f"{v.goal}: {v.received}" for v in verdicts if not v.met]
        total += len(verdicts)
        met += len(verdicts) - len(missed)
        if missed:
            reason = judge.error(OURS) or reasons.get(judge.row.key, "")
            table.append([judge.row.title, "; ".join(missed), reason])
    failed = [
        f"* {judge.row.title}: {SYSTEMS[name].title}: {error}"
        for judge in every
        for name in judge.row.systems
        if name != OURS and (error := judge.error(name))
    ]
    parts = [f"### What falls short\n\n{met} of {total} goals are met."]
    parts += [_lines(table)] if met < total else []
    parts += ["Systems that failed:\n\n" + "\n".join(failed)] if failed else []
    return "\n\n".join(parts)


def merge_into(page: Path, text: str) -> None:
    """Replaces what is between the marks of a page.

    Raises:
        ValueError: The page has no marks.
    """
    old = page.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END} to write between")
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
