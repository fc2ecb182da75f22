"""The common part of callbacks that watch one metric."""

from __future__ import annotations

from typing import Any

from graphkeras.callbacks.callback import Callback
from graphkeras.errors import DataError
from graphkeras.places import warn


class MonitorCallback(Callback):
    """Knows whether a monitored value is better than another.

    Args:
        monitor: Name of the value in the logs.
        mode: `"min"`: smaller is better, `"max"`: larger is better, `"auto"`: found out from
            the metric of that name.
        baseline: Value that counts as the best so far at the start.
        min_delta: Least change that counts as an improvement.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warn(
                f"{type(self).__name__}: mode {mode!r} is unknown, expected 'auto', 'min' or "
                "'max'; using 'auto'"
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best: Any = baseline
        self.min_delta = abs(min_delta)
        self._larger_is_better: bool | None = None

    def _direction(self) -> bool:
        """Whether larger values are better; settled once the model's metrics exist."""
        if self._larger_is_better is None:
            self._larger_is_better = self._find_direction()
        return self._larger_is_better

    def _find_direction(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        for metric in self.model.flat_metrics:
            direction = getattr(metric, "_direction", None)
            if metric.name == name and direction is not None:
                return bool(direction == "up")
        raise DataError(
            f"{type(self).__name__}: cannot tell whether {self.monitor!r} should grow or shrink. "
            "Pass mode='max' if larger values are better, mode='min' if smaller ones are"
        )

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self._direction():
            return bool(value - self.min_delta > reference)
        return bool(value + self.min_delta < reference)

    def _warn_missing(self, logs: dict[str, Any]) -> None:
        warn(
            f"{type(self).__name__}: metric `{self.monitor}` is not available. "
            f"Available metrics are: {','.join(logs)}"
        )
