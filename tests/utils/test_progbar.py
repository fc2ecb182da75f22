"""The progress bar, compared with the one of the real Keras."""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from typing import Any

import keras as real_keras
import pytest

from graphkeras import config
from graphkeras.utils import Progbar

UPDATES: list[tuple[int, list[tuple[str, float]], bool]] = [
    (1, [("accuracy", 0.5), ("loss", 0.9)], False),
    (2, [("accuracy", 0.25), ("loss", 1e-5)], False),
    (9, [("accuracy", -0.75), ("loss", 123.456)], False),
    (10, [("accuracy", 1.0), ("loss", 0.0), ("val_loss", 2.0)], True),
]


def record(cls: Any, monkeypatch: pytest.MonkeyPatch, scale: float, **options: Any) -> str:
    clock = iter(range(100))
    monkeypatch.setattr(time, "time", lambda: 1000.0 + scale * next(clock))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    bar = cls(**options)
    for current, values, finalize in UPDATES:
        bar.update(current, values, finalize=finalize)
    monkeypatch.undo()
    return out.getvalue()


@pytest.mark.parametrize("scale", [1e-5, 0.004, 0.5, 40.0, 4000.0])
@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("target", [10, 200, None])
@pytest.mark.parametrize("names", [{}, {"stateful_metrics": ["loss"]}, {"stateless_metrics": []}])
def test_text_is_that_of_keras(
    monkeypatch: pytest.MonkeyPatch,
    scale: float,
    verbose: int,
    target: int | None,
    names: dict[str, Any],
) -> None:
    options = {"target": target, "verbose": verbose, "interval": 0, **names}
    expected = record(real_keras.utils.Progbar, monkeypatch, scale, **options)
    assert record(Progbar, monkeypatch, scale, **options) == expected


def test_without_a_terminal_that_redraws_each_update_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("graphkeras.utils.progbar._redraws", lambda: False)
    bar = Progbar(3, interval=0)
    for _ in range(3):
        bar.add(1, [("loss", 0.5)])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3
    plain = re.sub(r"\x1b\[\d+m", "", lines[-1])
    assert re.fullmatch(r"3/3 ━{20} \d+s \d+[mu]?s/step - loss: 0.5000", plain)


def test_updates_come_at_most_every_interval(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progbar(1000, interval=60)
    for step in range(1, 1000):
        bar.update(step)
    shown = capsys.readouterr().out
    assert shown.count("/1000") == 1


def test_both_metric_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])


def test_interactive_logging_off_goes_to_the_logger(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with config.override(interactive_logging=False), caplog.at_level(logging.INFO, "graphkeras"):
        Progbar(1, verbose=2).update(1, [("loss", 0.5)])
    assert capsys.readouterr().out == ""
    assert "loss: 0.5000" in caplog.text


def test_terminals_without_the_line_character(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    Progbar(1).update(1)
    monkeypatch.undo()
    assert b"====" in raw.getvalue()
