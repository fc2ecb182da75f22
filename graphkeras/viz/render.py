"""Pictures as files: the suffix says which kind. Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from graphkeras.errors import GraphKerasError
from graphkeras.ir.graph import Graph
from graphkeras.viz.dot import to_dot, view_to_dot
from graphkeras.viz.html import to_html, views_to_html
from graphkeras.viz.view import View

if TYPE_CHECKING:
    from graphviz import Digraph

RENDERED = ("png", "svg", "pdf", "jpg", "gif")
"""Formats that need the `dot` program of Graphviz."""
FORMATS = (*RENDERED, "dot", "html")


class PictureError(GraphKerasError, ValueError):
    """A picture that cannot be written: unknown suffix, or a missing folder."""


def has_dot() -> bool:
    """Whether the `dot` program of Graphviz is on the PATH."""
    return shutil.which("dot") is not None


def write_picture(
    picture: Graph | View,
    path: str | os.PathLike[str],
    detail: str | None = None,
    direction: str = "TB",
    title: str | None = None,
    dpi: int | None = None,
) -> list[Path]:
    """Writes a graph or a view as a picture, in the format that the suffix of `path` names.

    Where a format needs the `dot` program and it is missing, the Graphviz text
    (`<name>.dot`) and a page that draws the graph in the browser (`<name>.html`) are written
    instead; the caller tells the user, see `explain`.

    Args:
        picture: The graph, or a view of it.
        path: Where to; `.png`, `.svg`, `.pdf`, `.jpg`, `.gif`, `.dot` or `.html`.
        detail: Level of detail of a graph; see `to_dot`.
        direction: `"TB"`, `"LR"`, `"BT"` or `"RL"`.
        title: Heading; None: the name of the graph.
        dpi: Dots an inch of a `.png`, `.jpg` or `.gif`; None: 96.

    Returns:
        The files written.

    Raises:
        PictureError: The suffix is unknown, or the folder does not exist.
        ValueError: `detail` or `direction` is unknown.
    """
    target = Path(path)
    kind = _format(target)
    if isinstance(picture, View):
        name = picture.name if title is None else title
        dot = view_to_dot(picture, direction, name)
        page = views_to_html([picture], picture.detail, name) if _wants_page(kind) else ""
    else:
        dot = to_dot(picture, detail, direction, title)
        page = to_html(picture, detail, title) if _wants_page(kind) else ""
    if dpi is not None:
        dot.attr("graph", dpi=str(dpi))
    if kind == "html":
        return [write_whole(target, page.encode())]
    if kind == "dot":
        return [write_whole(target, dot.source.encode())]
    if not has_dot():
        return [
            write_whole(target.with_suffix(".dot"), dot.source.encode()),
            write_whole(target.with_suffix(".html"), page.encode()),
        ]
    return [write_whole(target, render(dot, kind))]


def _wants_page(kind: str) -> bool:
    return kind == "html" or (kind in RENDERED and not has_dot())


def _format(target: Path) -> str:
    kind = target.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        given = f"the suffix {target.suffix!r}" if target.suffix else "no suffix"
        raise PictureError(
            f"cannot tell the format of the picture {str(target)!r}: it has {given}. Use one of "
            + ", ".join(f".{name}" for name in FORMATS)
        )
    if not target.parent.is_dir():
        raise PictureError(
            f"cannot write the picture {str(target)!r}: the folder {str(target.parent)!r} does "
            "not exist. Make it first"
        )
    return kind


def render(dot: Digraph, kind: str) -> bytes:
    """The picture of a `graphviz.Digraph` as bytes, made by the `dot` program.

    Raises:
        PictureError: `dot` failed; the message holds what it said.
    """
    import graphviz

    try:
        data: bytes = dot.pipe(format=kind, engine="dot", quiet=True)
    except graphviz.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        raise PictureError(f"the dot program failed: {said or error}") from error
    return data


def write_whole(target: Path, data: bytes) -> Path:
    """Writes a file that readers see complete or not at all; returns its path."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def explain(wanted: str | os.PathLike[str], written: list[Path]) -> str:
    """What to tell the user about the files that `write_picture` wrote."""
    names = " and ".join(map(str, written))
    if [Path(wanted)] == written:
        return f"wrote {names}"
    return (
        f"the program 'dot' of Graphviz is missing, so {os.fspath(wanted)} could not be drawn. "
        f"Wrote {names} instead: open the .html in a browser to see the picture. To get "
        f"{Path(wanted).suffix} files, install Graphviz (for example: apt install graphviz)"
    )
