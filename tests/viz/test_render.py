from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graphkeras.viz import PictureError, explain, write_picture
from tests.viz.graphs import train_step

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs the dot program")

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@needs_dot
@pytest.mark.parametrize("kind", MAGIC)
def test_the_suffix_names_the_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"graph.{kind}"
    assert write_picture(train_step(), path) == [path]
    assert path.read_bytes().startswith(MAGIC[kind])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name], "no temporary file is left"
    assert explain(path, [path]) == f"wrote {path}"


def test_dot_and_html_need_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (dot,) = write_picture(train_step(), tmp_path / "graph.dot")
    (page,) = write_picture(train_step(), tmp_path / "graph.html")
    assert dot.read_text().startswith("digraph")
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_without_the_program_text_and_page_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    wanted = tmp_path / "graph.png"
    written = write_picture(train_step(), wanted)
    assert written == [tmp_path / "graph.dot", tmp_path / "graph.html"]
    assert not wanted.exists()
    message = explain(wanted, written)
    assert "'dot' of Graphviz is missing" in message
    assert "graph.html instead: open the .html in a browser" in message


def test_wrong_paths_are_explained(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"it has the suffix '\.bmp'\. Use one of \.png, \.svg"):
        write_picture(train_step(), tmp_path / "graph.bmp")
    with pytest.raises(PictureError, match="it has no suffix"):
        write_picture(train_step(), tmp_path / "graph")
    with pytest.raises(PictureError, match=r"does not exist\. Make it first"):
        write_picture(train_step(), tmp_path / "missing" / "graph.png")


def test_a_picture_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "graph.dot"
    path.write_text("before " * 100_000)
    write_picture(train_step(), path)
    assert path.read_text().startswith("digraph")
    assert "before " not in path.read_text()
