"""The report as a picture: an SVG file, so that no plotting package is needed.

One bar a row: how many times as fast as its fastest peer graphkeras is, on a logarithmic axis
with a line at 1. A second panel shows the share of the roofline of products and convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.judge import Judge
from benchmarks.rows import LIMITS, ONE_THREAD
from benchmarks.systems import OURS, SYSTEMS

BAR, GAP, LABEL, WIDTH, NUMBER = 13, 4, 390, 420, 190
"""Pixels: height of a bar, between bars, width of labels, of the axis, of what follows a bar."""
BLUE, ORANGE, GREY = "#3b6fb6", "#d9822b", "#888"


def write(file: Path, judges: Sequence[Judge]) -> None:
    """Draws the rows that graphkeras and at least one peer ran."""
    ratios = [(judge.row.title, *best) for judge in judges if (best := _fastest(judge))]
    shares = [(judge.row.title, s) for judge in judges if (s := judge.share()) is not None]
    parts: list[str] = []
    y = 30
    parts.append(_text(8, y, "times as fast as the fastest peer", bold=True))
    y = _ratio_bars(parts, y + 14, ratios)
    parts.append(_text(8, y + 24, "share of the roofline", bold=True))
    y = _share_bars(parts, y + 38, shares)
    size = f'width="{LABEL + WIDTH + NUMBER}" height="{y + 10}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    background = '<rect width="100%" height="100%" fill="white"/>'
    file.write_text("\n".join([head, background, *parts, "</svg>"]) + "\n", encoding="utf-8")


def _fastest(judge: Judge) -> tuple[float, str] | None:
    """The smallest ratio to a peer, and the peer."""
    peers = [n for n in judge.row.systems if n not in (OURS, ONE_THREAD, *LIMITS)]
    ratios = [(r, SYSTEMS[n].title) for n in peers if (r := judge.ratio(n)) is not None]
    return min(ratios) if ratios else None


def _ratio_bars(parts: list[str], y: int, bars: Sequence[tuple[str, float, str]]) -> int:
    if not bars:
        return y
    values = [ratio for _, ratio, _ in bars]
    low = min(0, math.floor(math.log2(min(values))))
    high = max(1, math.ceil(math.log2(max(values))))

    def place(ratio: float) -> float:
        return LABEL + WIDTH * (math.log2(ratio) - low) / (high - low)

    top = y
    for title, ratio, peer in bars:
        begin, end = sorted((place(1.0), place(ratio)))
        color = BLUE if ratio >= 1 else ORANGE
        parts.append(_bar(title, begin, end, y, color, f"{ratio:.2f}x  {peer}"))
        y += BAR + GAP
    for power in range(low, high + 1):
        parts.append(_rule(place(2.0**power), top, y, f"{2.0**power:g}", power == 0))
    return y + 16


def _share_bars(parts: list[str], y: int, bars: Sequence[tuple[str, float]]) -> int:
    top = y
    for title, share in bars:
        end = LABEL + WIDTH * min(share, 1.0)
        parts.append(_bar(title, LABEL, end, y, BLUE, f"{share:.0%}"))
        y += BAR + GAP
    for percent in range(0, 101, 25):
        place = LABEL + WIDTH * percent / 100
        parts.append(_rule(place, top, y, f"{percent} %", percent == 0))
    return y + 16


def _bar(title: str, begin: float, end: float, y: int, color: str, note: str) -> str:
    title = title.replace("`", "")
    box = f'<rect x="{begin:.1f}" y="{y}" width="{end - begin:.1f}" height="{BAR}" fill="{color}"/>'
    name = _text(LABEL - 8, y + BAR - 3, title, anchor="end")
    return name + box + _text(round(end) + 5, y + BAR - 3, note)


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
