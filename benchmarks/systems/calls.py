"""How often a call is repeated in one round."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks.work import Prepared

ROUND = 0.08
"""Seconds of one round: long beside the clock, short beside the drift of a shared machine."""


def repeated(call: Callable[[], Any], sample: list[float]) -> Prepared:
    """A call as a workload: as many of it as fill a round.

    Args:
        call: What to time. It has run before, so that nothing is compiled here.
        sample: Numbers it computed.
    """
    seconds, count = 0.0, 1
    while True:
        begin = perf_counter()
        for _ in range(count):
            call()
        seconds = perf_counter() - begin
        if seconds > ROUND / 4:
            break
        count *= 2
    units = max(1, round(ROUND * count / seconds))

    def run() -> None:
        for _ in range(units):
            call()

    return Prepared(run, units, sample)
