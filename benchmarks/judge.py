"""What a row's rounds say: the fastest round of each system, shares, ratios, goals met or not."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.measure import Result
from benchmarks.rows import Below, Faster, Goal, Row, Share, Threads
from benchmarks.systems import ONE_THREAD, ONE_THREAD_ROOFLINE, OURS, ROOFLINE, SYSTEMS

SCALE = {"ms": 1e3, "s": 1.0, "MB": 1.0, "times": 1.0}
"""From what rounds are kept in to the unit of a section."""

PARALLEL_FROM = 1e-3
"""Seconds; two threads need only help where one call takes longer."""


@dataclass(frozen=True)
class Verdict:
    """A goal and what came out."""

    goal: str
    received: str
    met: bool


class Judge:
    """Reads one row's result.

    Args:
        row: The row.
        result: What `measure` returned.
        unit: Unit of its section.
    """

    def __init__(self, row: Row, result: Result, unit: str) -> None:
        self.row, self.unit, self._result = row, unit, result

    def best(self, system: str) -> float | None:
        """The fastest round in seconds (megabytes: the smallest); None if it did not run."""
        rounds = self._rounds(system)
        return min(rounds) if rounds else None

    def median(self, system: str) -> float | None:
        """The median round."""
        rounds = self._rounds(system)
        return statistics.median(rounds) if rounds else None

    def _rounds(self, system: str) -> list[float]:
        cell = self._result.get(system, {})
        return [] if "error" in cell else list(cell.get("rounds", []))

    def error(self, system: str) -> str | None:
        """Why a system has no figure; None if it has one or did not take part."""
        error = self._result.get(system, {}).get("error")
        return None if error is None else str(error)

    def ratio(self, system: str) -> float | None:
        """How many times as long as graphkeras a system takes."""
        ours, theirs = self.best(OURS), self.best(system)
        return None if ours is None or theirs is None else theirs / ours

    def share(self) -> float | None:
        """Share of the roofline: the time the limits allow, by the time it takes."""
        ours, least = self.best(OURS), self.best(ROOFLINE)
        return None if ours is None or least is None else least / ours

    def machine_threads(self) -> float | None:
        """How many times what one thread may do all threads may, by the measured limits."""
        one, all_threads = self.best(ONE_THREAD_ROOFLINE), self.best(ROOFLINE)
        return None if one is None or all_threads is None else one / all_threads

    def verdicts(self) -> list[Verdict]:
        """Each goal of the row; those that do not apply are left out."""
        found = [self._verdict(goal) for goal in self.row.goals]
        return [verdict for verdict in found if verdict is not None]

    def _verdict(self, goal: Goal) -> Verdict | None:
        if isinstance(goal, Share):
            share = self.share()
            text = f"{goal.least:.0%} of the roofline"
            return _verdict(text, share, share is not None and share >= goal.least, "{:.0%}")
        if isinstance(goal, Below):
            ours = self.best(OURS)
            value = None if ours is None else ours * SCALE[self.unit]
            met = value is not None and value <= goal.most
            return _verdict(f"at most {goal.most:g} {self.unit}", value, met, "{:.3g}")
        if isinstance(goal, Threads):
            ours, ratio = self.best(OURS), self.ratio(ONE_THREAD)
            if ours is not None and (ours < PARALLEL_FROM or ONE_THREAD not in self._result):
                return None
            met = ratio is not None and ratio >= goal.times
            return _verdict(f"{goal.times:g}x one thread", ratio, met, "{:.2f}x")
        return self._faster(goal)

    def _faster(self, goal: Faster) -> Verdict | None:
        ratios = {p: r for p in goal.peers if (r := self.ratio(p)) is not None}
        if self.best(OURS) is not None and not ratios:
            return None  # no such peer here
        best = min(ratios, key=ratios.__getitem__) if ratios else goal.peers[0]
        name = SYSTEMS[best].title if len(goal.peers) == 1 or ratios else "the best peer"
        ratio = ratios.get(best)
        return _verdict(
            f"{goal.times:g}x {name}", ratio, bool(ratio and ratio >= goal.times), "{:.2f}x"
        )


def _verdict(goal: str, value: float | None, met: bool, form: str) -> Verdict:
    return Verdict(goal, "failed" if value is None else form.format(value), met)
