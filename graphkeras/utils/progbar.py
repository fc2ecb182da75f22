"""The progress bar of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from graphkeras.errors import DataError
from graphkeras.utils.messages import print_message

_BOLD, _GREEN, _WHITE, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def _redraws() -> bool:
    """Whether the place that shows the text understands going back to the start of the line."""
    return (
        (hasattr(sys.stdout, "isatty") and sys.stdout.isatty())
        or "ipykernel" in sys.modules
        or os.name == "posix"
        or "PYCHARM_HOSTED" in os.environ
    )


def _eta(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    if seconds > 3600:
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    if seconds > 60:
        return f"{minutes}:{rest:02d}"
    return f"{int(seconds)}s"


def _per_unit(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


class Progbar:
    """Shows progress and metric values of a loop.

    Metrics are averaged over the steps before they are shown, except those that are stateful
    (already averages). Without `stateful_metrics` and `stateless_metrics` all are averaged.

    Args:
        target: Number of steps expected; `None` if unknown.
        width: Characters of the bar.
        verbose: 0 shows nothing, 1 a bar, 2 one line at the end.
        interval: Least time between two updates on the screen, in seconds.
        stateful_metrics: Names shown as they are; excludes `stateless_metrics`.
        stateless_metrics: Names averaged over the steps; all others are shown as they are.
        unit_name: What is counted.

    Raises:
        DataError: Both lists of metrics were given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise DataError(
                "Progbar: pass `stateful_metrics` (everything else is averaged) or "
                "`stateless_metrics` (everything else is shown as it is), not both"
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._redraws = _redraws()
        self._totals: dict[str, tuple[Any, int]] = {}
        self._seen = 0
        self._start = time.time()
        self._last_update = 0.0
        self._after_first: float | None = None
        self._shown_width = 0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Moves the bar.

        Args:
            current: Number of the current step, counted from 1.
            values: Pairs of a metric's name and its value at this step.
            finalize: Whether this is the last update; `current >= target` by default.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._record(name, value, current, finalize)
        self._seen = current
        now = time.time()
        per_unit = self._seconds_per_unit(current, now)
        if self.verbose == 1:
            if now - self._last_update < self.interval and not finalize:
                return
            self._draw(current, now, per_unit, finalize)
        elif self.verbose == 2 and finalize and self.target:
            text = f"{self._count(current)} - {now - self._start:.0f}s"
            text += f" - {_per_unit(per_unit, self.unit_name)}{self._values(absolute=False)}\n"
            print_message(text, line_break=False)
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Moves the bar by `n` steps."""
        self.update(self._seen + n, values)

    def _record(self, name: str, value: Any, current: int, finalize: bool) -> None:
        if self.stateless_metrics is not None:
            averaged = name in self.stateless_metrics
        else:
            averaged = name not in (self.stateful_metrics or ())
        if not averaged or finalize:
            self._totals[name] = (value, 1)
            return
        steps = max(current - self._seen, 1)
        total, count = self._totals.get(name, (0, 0))
        self._totals[name] = (total + value * steps, count + steps)

    def _seconds_per_unit(self, current: int, now: float) -> float:
        """Mean time of a step, without the first one (it compiles) once there are more."""
        if not current:
            return 0.0
        if self._after_first is not None and current > 1:
            seconds = (now - self._after_first) / (current - 1)
        else:
            seconds = (now - self._start) / current
        if current == 1:
            self._after_first = now
        return seconds

    def _count(self, current: int) -> str:
        return f"{current:>{len(str(self.target))}d}/{self.target}"

    def _draw(self, current: int, now: float, per_unit: float, finalize: bool) -> None:
        head = "\b" * self._shown_width + "\r" if self._redraws else "\n"
        seconds = f"{now - self._start:.0f}s"
        if self.target is not None and self.target > 0:
            filled = int(self.width * float(current) / self.target)
            green = f"{_GREEN}{'━' * filled}{_PLAIN}" if filled > 0 else ""
            white = f"{_WHITE}{'━' * (self.width - filled)}{_PLAIN}"
            bar = f"{_BOLD}{self._count(current)}{_PLAIN} {green}{white}"
            plain = f"{self._count(current)} {'━' * max(filled, 0)}{'━' * (self.width - filled)}"
            if not finalize:
                seconds = _eta(per_unit * (self.target - current))
        else:
            bar = plain = f"{current:7d}/Unknown"
        rest = f" {_per_unit(per_unit, self.unit_name)}{self._values(absolute=True)}"
        width = len(plain) + len(f" {seconds}") + len(rest)
        padding = " " * max(0, self._shown_width - width)
        end = "\n" if finalize else ""
        text = f"{head}{bar} {_BOLD}{seconds}{_PLAIN}{rest}{padding}{end}"
        print_message(text, line_break=False)
        self._shown_width = width

    def _values(self, absolute: bool) -> str:
        text = ""
        for name, (total, count) in self._totals.items():
            mean = float(np.mean(total)) / max(1, count)
            size = abs(mean) if absolute else mean
            text += f" - {name}: {mean:.4f}" if size > 1e-3 else f" - {name}: {mean:.4e}"
        return text
