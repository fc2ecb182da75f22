"""Views as one HTML file that lays the graph out and draws it in the browser.

The file holds everything it needs: the views as JSON, the script that draws them, no reference
to anything outside. It opens from disk, offline, without Graphviz.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from graphkeras.ir.graph import Graph
from graphkeras.viz.build import make_view
from graphkeras.viz.palette import OTHER, PHASE_INKS, ROLE_INKS, ROLE_NAMES
from graphkeras.viz.view import DETAILS, View

MANY_BOXES = 3000
"""Boxes above which a view that was not asked for is left out of the page."""


def to_html(graph: Graph, detail: str | None = None, title: str | None = None) -> str:
    """A graph as a self-contained page; the reader can switch between the levels of detail.

    Args:
        graph: Any graph, at any point of the pipeline.
        detail: The level shown first: `"ops"`, `"kernels"` or `"layers"`; None: the finest one
            that is readable.
        title: Heading of the page; None: the name of the graph.

    Raises:
        ValueError: There is no such level of detail.
    """
    first = make_view(graph, detail)
    views = {first.detail: first}
    for other in DETAILS:
        view = make_view(graph, other)
        if len(view.boxes) <= MANY_BOXES:
            views.setdefault(other, view)
    ordered = [views[name] for name in reversed(DETAILS) if name in views]
    return views_to_html(ordered, first.detail, graph.name if title is None else title)


def views_to_html(views: Sequence[View], start: str, title: str) -> str:
    """Views as a page that shows the one with detail `start` first."""
    inks = {**PHASE_INKS, **ROLE_INKS, "other": OTHER}
    data = {
        "title": title,
        "start": start,
        "inks": {name: asdict(ink) for name, ink in inks.items()},
        "names": ROLE_NAMES,
        "views": [_plain(view) for view in views],
    }
    return _template("page.html").substitute(
        title=escape(title), data=_json(data), script=_resource("page.js")
    )


def _plain(view: View) -> dict[str, Any]:
    return {**asdict(view), "legend": view.legend}


def _json(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _resource(name: str) -> str:
    return files("graphkeras.viz").joinpath(name).read_text(encoding="utf-8")


def _template(name: str) -> Template:
    return Template(_resource(name))
