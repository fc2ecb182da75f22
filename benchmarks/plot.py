"""The report as a picture: an SVG file, so that no plotting package is needed.

One bar a row: how many times as fast as its fastest peer graphkeras is, on a logarithmic axis
with a line at 1. A second panel shows the share of the roofline of products and convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.judge import Judge
from benchmarks.rows import SECTIONS
from benchmarks.systems import SYSTEMS
from benchmarks.work import Convolution

BAR, GAP, HEADING, LABEL, WIDTH, NUMBER = 11, 3, 20, 350, 420, 190
"""Pixels: height of a bar, between bars, of a heading; width of labels, axis, notes."""
BLUE, ORANGE, GREY = "#3b6fb6", "#d9822b", "#888"


@dataclass(frozen=True)
class Bar:
    """One bar: its section and label, how far it goes, and what is written behind it."""

    section: str
    title: str
    value: float
    note: str


def write(file: Path, judges: Sequence[Judge]) -> None:
    """Draws the rows that graphkeras and at least one peer ran.

    Of the three directions of a convolution the slowest is drawn. Cold starts are left out:
    they are held against the clock.
    """
    ratios, shares = [], []
    for judge in judges:
        section, title = SECTIONS[judge.row.section][0], _title(judge)
        best, share = _fastest(judge), judge.share()
        if best and judge.row.section != "start":
            ratios.append(Bar(section, title, best[0], f"{best[0]:.2f}x  {best[1]}"))
        if share is not None:
            shares.append(Bar(section, title, share, f"{share:.0%}"))
    parts: list[str] = [_text(8, 24, "Times as fast as the fastest peer", bold=True)]
    y = _ratio_bars(parts, 34, _slowest(ratios))
    parts.append(_text(8, y + 24, "Share of the roofline", bold=True))
    y = _share_bars(parts, y + 34, _slowest(shares))
    size = f'width="{LABEL + WIDTH + NUMBER}" height="{y + 10}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    background = '<rect width="100%" height="100%" fill="white"/>'
    file.write_text("\n".join([head, background, *parts, "</svg>"]) + "\n", encoding="utf-8")


def _title(judge: Judge) -> str:
    title = judge.row.title.replace("`", "")
    work = judge.row.work
    return title.removesuffix(f", {work.direction}") if isinstance(work, Convolution) else title


def _slowest(bars: Sequence[Bar]) -> list[Bar]:
    """Of the bars with the same title the shortest, where the first of them was."""
    found: dict[tuple[str, str], Bar] = {}
    for bar in bars:
        key = (bar.section, bar.title)
        if key not in found or bar.value < found[key].value:
            found[key] = bar
    return list(found.values())


def _fastest(judge: Judge) -> tuple[float, str] | None:
    """The smallest ratio to a peer, and the peer."""
    peers = [n for n in judge.row.systems if SYSTEMS[n].peer]
    ratios = [(r, SYSTEMS[n].title) for n in peers if (r := judge.ratio(n)) is not None]
    return min(ratios) if ratios else None


def _ratio_bars(parts: list[str], y: int, bars: Sequence[Bar]) -> int:
    """Bars from 1 to the ratio, on a logarithmic axis; returns where they end."""
    logs = [math.log2(bar.value) for bar in bars]
    low, high = math.floor(min([0.0, *logs])), math.ceil(max([1.0, *logs]))

    def place(ratio: float) -> float:
        return LABEL + WIDTH * (math.log2(ratio) - low) / (high - low)

    rules = [(place(2.0**n), f"{2.0**n:g}", n == 0) for n in range(low, high + 1)]
    return _panel(parts, y, bars, lambda v: (place(1.0), place(v)), rules)


def _share_bars(parts: list[str], y: int, bars: Sequence[Bar]) -> int:
    """Bars from 0 to the share; returns where they end."""
    rules = [(LABEL + WIDTH * p / 100, f"{p} %", p == 0) for p in range(0, 101, 25)]
    return _panel(parts, y, bars, lambda v: (LABEL, LABEL + WIDTH * min(v, 1.0)), rules)


def _panel(
    parts: list[str],
    y: int,
    bars: Sequence[Bar],
    ends: Callable[[float], tuple[float, float]],
    rules: Sequence[tuple[float, str, bool]],
) -> int:
    top, section = y, ""
    for bar in bars:
        if bar.section != section:
            section = bar.section
            y += HEADING
            parts.append(_text(8, y - 5, section.replace("`", ""), color=GREY))
        begin, end = sorted(ends(bar.value))
        color = BLUE if bar.value >= 1 or begin == LABEL else ORANGE
        parts.append(_bar(bar.title, begin, end, y, color, bar.note))
        y += BAR + GAP
    parts += [_rule(x, top, y, label, strong) for x, label, strong in rules]
    return y + 16


def _bar(title: str, begin: float, end: float, y: int, color: str, note: str) -> str:
    box = f'<rect x="{begin:.1f}" y="{y}" width="{end - begin:.1f}" height="{BAR}" fill="{color}"/>'
    name = _text(LABEL - 8, y + BAR - 2, title, anchor="end")
    return name + box + _text(round(end) + 5, y + BAR - 2, note)


def _rule(x: float, top: int, bottom: int, label: str, strong: bool) -> str:
    stroke = f'stroke="{GREY}" stroke-opacity="{0.9 if strong else 0.3}"'
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3}" y2="{bottom}" {stroke}/>'
    return line + _text(round(x), bottom + 11, label, anchor="middle", color=GREY)


def _text(
    x: float, y: float, text: str, anchor: str = "start", bold: bool = False, color: str = "#222"
) -> str:
    style = f'font-size="{13 if bold else 11}" text-anchor="{anchor}" fill="{color}"'
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" {style}{weight}>{escape(text)}</text>'
