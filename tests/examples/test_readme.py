"""The README tells the truth: its program runs, its settings are the table's, its links exist."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graphkeras as keras
from graphkeras import config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "examples/README.md"]


def settings_table() -> str:
    rows = [
        f"| `{row.name}` | `{row.variable}` | {_shown(row.default)} | {row.meaning} |"
        for row in config.SETTINGS
    ]
    return "\n".join(
        ["| name | environment variable | default | meaning |", "|---|---|---|---|", *rows]
    )


def _shown(default: object) -> str:
    return "" if default in (None, "") else f"`{default}`"


def test_settings_table():
    begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
    written = README.partition(begin)[2].partition(end)[0].strip()
    assert written == settings_table(), f"README.md should have:\n\n{settings_table()}"


def test_the_fifteen_lines_run(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert program.count("\n") == 15
    printed = capsys.readouterr().out
    assert "Epoch 10/10" in printed
    model, x, y = names["model"], names["x_test"], names["y_test"]
    assert (model.predict(x, verbose=0).argmax(-1) == y).mean() > 0.9


def test_the_error_is_the_one_shown():
    model = keras.Sequential(
        [keras.Input((8, 8, 1), name="image"), keras.layers.Flatten(), keras.layers.Dense(10)],
        name="digits_convnet",
    )
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="does not fit") as caught:
        model.fit(np.zeros((64, 8, 8, 3), "float32"), np.zeros((64, 10), "float32"))
    assert str(caught.value) in README


@pytest.mark.parametrize("page", PAGES)
def test_links_exist(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    """Files written as code, such as `passes/fuse.py`, are where the page says."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.]+/)+(?:[\w.]+\.\w+)?)`", text))
    package = ROOT / "graphkeras"
    roots = (ROOT, package, package / "codegen", ROOT / "examples")
    # `NAME` stands for a name; `build/` is made by the demo.
    real = [name for name in named if "NAME" not in name and name != "build/"]
    assert [n for n in real if not any((root / n).exists() for root in roots)] == []
