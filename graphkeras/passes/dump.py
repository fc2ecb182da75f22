"""Graphs on disk: a numbered text file after each pass, and reproducers of failures.

    <dump>/<graph name>/00_start.ir          <dump>/<graph name>.2/...   a second compile
    <dump>/<graph name>/01_simplify.ir       written only where the pass changed the graph

A reproducer is the text of the graph before the failing pass, with the pass and the error in
comments; `graphkeras reproduce FILE` runs that pass again. Files appear whole or not at all.
"""

from __future__ import annotations

import os
import re
import tempfile
from itertools import count
from pathlib import Path

from graphkeras.ir.graph import Graph
from graphkeras.ir.text import parse_graph, print_graph

_PASS_LINE = "# pass: "


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that readers see all of it or nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "graph"


class Dump:
    """The folder of one compile."""

    def __init__(self, root: Path, graph: Graph) -> None:
        """Makes a new folder below `root` and writes the graph before the first pass."""
        root.mkdir(parents=True, exist_ok=True)
        base = _safe(graph.name)
        for number in count(1):
            self.folder = root / (base if number == 1 else f"{base}.{number}")
            try:
                self.folder.mkdir()
                break
            except FileExistsError:
                continue
        self.add(0, "start", graph)

    def add(self, number: int, name: str, graph: Graph) -> None:
        """Writes a graph as the `number`th file."""
        path = self.folder / f"{number:02d}_{_safe(name)}.ir"
        write_atomically(path, print_graph(graph) + "\n")


def write_reproducer(folder: Path | None, graph: Graph, spec: str, error: BaseException) -> Path:
    """Writes what is needed to run a failing pass again.

    Args:
        folder: Where to; None for a new folder for temporary files.
        graph: The graph before the pass.
        spec: The pass as text.
        error: What the pass raised.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="graphkeras-"))
    name = _safe(spec.partition("{")[0])
    paths = (folder / f"reproduce_{name}{n or ''}.ir" for n in count())
    path = next(path for path in paths if not path.exists())
    message = "".join(f"#   {line}\n" for line in f"{type(error).__name__}: {error}".splitlines())
    write_atomically(
        path,
        f"# run: graphkeras reproduce {path}\n{_PASS_LINE}{spec}\n# error:\n{message}"
        f"{print_graph(graph)}\n",
    )
    return path


def read_reproducer(path: Path) -> tuple[str, Graph]:
    """The pass as text, and the graph, of a reproducer.

    Raises:
        ValueError: The file is no reproducer.
    """
    text = path.read_text(encoding="utf-8")
    specs = [line for line in text.splitlines() if line.startswith(_PASS_LINE)]
    if not specs:
        raise ValueError(f"{path} is no reproducer: it has no line {_PASS_LINE!r}")
    return specs[0].removeprefix(_PASS_LINE), parse_graph(text)
