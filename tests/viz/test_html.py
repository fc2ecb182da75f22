from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Loc
from graphkeras.ir.types import TensorType
from graphkeras.viz import to_html
from tests.viz.graphs import fused, train_step

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Checker(HTMLParser):
    """Collects tags and attributes, and what is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evil() -> Graph:
    b = Builder("</script><script>alert(1)</script>")
    x = b.input(TensorType((Size.symbol("N"),)), "<img src=x onerror=alert(2)>")
    with b.at(Loc("a&b.py", 3, "net/</script>")):
        return b.build([b.emit("neg", x)])


def data_of(page: str) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("make", [evil, train_step, lambda: fused(train_step(2))])
def test_pages_are_self_contained_and_well_formed(make: Any) -> None:
    page = to_html(make())
    assert not re.search(r"https?:|//cdn|@import|url\(", page.replace("url(#arrow)", ""))
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert not {"src", "href"} & {name for name, _ in checker.attributes}


def test_text_cannot_leave_its_place() -> None:
    page = to_html(evil())
    assert "<img" not in page
    assert page.count("<script") == 2
    assert "&lt;/script&gt;" in page
    assert data_of(page)["title"] == "</script><script>alert(1)</script>"


def test_the_page_holds_all_levels_and_details() -> None:
    data = data_of(to_html(fused(train_step(2)), "kernels"))
    assert data["start"] == "kernels"
    assert [view["detail"] for view in data["views"]] == ["layers", "kernels", "ops"]
    kernels = data["views"][1]["boxes"]
    labels = {label for box in kernels for label, _ in box["details"]}
    assert {"op", "result", "phase", "kernel", "body", "source", "origins", "layer"} <= labels
    sources = [text for box in kernels for label, text in box["details"] if label == "source"]
    assert all(re.search(r"graphs\.py:\d+$", text) for text in sources)


CHROMIUM = shutil.which("chromium")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs the chromium browser")
def test_a_browser_draws_every_box(tmp_path: Path) -> None:
    page = to_html(fused(train_step(2)))
    (tmp_path / "page.html").write_text(page)
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    data = data_of(page)
    (view,) = [view for view in data["views"] if view["detail"] == data["start"]]
    assert done.stdout.count('class="box"') == len(view["boxes"])
    assert "NaN" not in done.stdout.partition('<g id="scene"')[2].partition("</svg>")[0]
