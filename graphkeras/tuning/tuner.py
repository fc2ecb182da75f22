"""Contests for the contractions of a program, or what earlier ones have found.

    contraction ──▶ key ──▶ winner in the cache? ──▶ its choices
                                  └── no: contest ──▶ kept

A contraction's key is a digest of what decides how fast its kernels are: the text of its default
kernel, which says everything about operands, shapes, prologue and epilogue and nothing about
names; what compiles it (version, CPU); the run-time sizes; the number of threads. A convolution
that may be Winograd's has two keys: one of its forms, decided first, and one of its kernel.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.generate import generate, variants
from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node
from graphkeras.runtime import disk_cache, kernel_cache
from graphkeras.runtime.pool import get_num_threads
from graphkeras.tuning import winners
from graphkeras.tuning.contest import Contest
from graphkeras.tuning.forms import FormContest, Forms
from graphkeras.tuning.whole import whole_winner
from graphkeras.tuning.winners import Winner
from graphkeras.utils.messages import print_message

_log = logging.getLogger("graphkeras.tuning")

DEFAULT_SIZE = 32
"""A run-time size of which nothing is known: Keras's batch."""


@frozen
class Tuned:
    """What was found for one contraction of a program."""

    kernel: str
    """Name of its kernel."""
    layer: str
    """Path of the layer it computes, else file and line."""
    phase: str
    sizes: Mapping[str, int]
    """Run-time sizes it was timed for."""
    winner: Winner
    timed: bool
    """Whether it was timed now; False: found in the cache."""

    @property
    def gain(self) -> float:
        """How many times as fast as the cost model's kernel; 1 where that one is kept."""
        return self.winner.default / self.winner.seconds

    def __str__(self) -> str:
        at = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        return (
            f"{self.winner.default * 1e6:10.1f} {self.winner.seconds * 1e6:10.1f} "
            f"{self.gain:6.2f}  {self.layer} ({self.phase}): {self.kernel} {at}: "
            f"{self.winner.choices}"
        )


@frozen
class Tuning:
    """What was found for the contractions of a program, in order; print it for a table."""

    contractions: tuple[Tuned, ...] = ()
    choices: Mapping[Node, Choices] = field(default_factory=dict)
    """How kernels are written, where not as the cost model says."""
    whole: Winner | None = None
    """Seconds of the program with the cost model's kernels, and with the chosen ones; None where
    these are the same."""

    def __str__(self) -> str:
        head = f"{'default us':>10} {'chosen us':>10} {'gain':>6}  contraction: choices"
        lines = [head, *map(str, self.contractions)]
        if self.whole is not None:
            default, chosen = self.whole.default, self.whole.seconds
            verdict = "kept" if self.choices else "slower together: the cost model's are kept"
            figures = f"{default * 1e6:10.1f} {chosen * 1e6:10.1f} {default / chosen:6.2f}"
            lines.append(f"{figures}  the whole program: {verdict}")
        return "\n".join(lines)


def tune(graph: Graph, sizes: Mapping[str, int]) -> Tuning:
    """Chooses the kernels of a scheduled graph's contractions by timing.

    Args:
        graph: The graph.
        sizes: The run-time sizes to choose for; the kernels serve all others too.

    Returns:
        What was found. A contraction that could not be timed, because other programs keep the
        cores busy, is left to the cost model, with a warning; all are, where the chosen kernels
        make the whole program slower.
    """
    contests = [Contest(node, sizes) for node in graph.nodes if variants(node)]
    tuning = _find(contests)
    if not tuning.choices:
        return tuning
    programs = generate(graph), generate(graph, tuning.choices)
    whole = whole_winner(graph, *programs, sizes)
    choices = tuning.choices if whole.seconds < whole.default else {}
    return replace(tuning, choices=choices, whole=whole)


def tune_forms(
    forms: Sequence[Forms], sizes: Mapping[str, int]
) -> tuple[Mapping[str, bool], Tuning]:
    """Chooses between forms of convolutions by timing, before the kernels are known.

    Args:
        forms: The convolutions that have two.
        sizes: The run-time sizes to choose for.

    Returns:
        For `Forms.form`, where not as the cost model says, whether it is Winograd's that is
        faster; and what was found.
    """
    contests = [FormContest(each, sizes) for each in forms]
    tuning = _find(contests)
    chosen = {c.form: tuning.choices[c.node].winograd for c in contests if c.node in tuning.choices}
    return {form: bool(which) for form, which in chosen.items()}, replace(tuning, choices={})


def _find(contests: Sequence[Contest | FormContest]) -> Tuning:
    """The winners of contests: from the cache, or timed now."""
    keys = [_key(contest) for contest in contests]
    found = {key: winner for key in keys if (winner := winners.read(key)) is not None}
    missing = dict(zip(reversed(keys), reversed(contests), strict=True))
    missing = {key: contest for key, contest in missing.items() if key not in found}
    timed = _hold(missing) if missing else {}
    known = {**found, **timed}
    records = [
        Tuned(
            contest.name,
            contest.node.loc.layer or str(contest.node.loc),
            contest.node.loc.phase,
            contest.sizes,
            known[key],
            key in timed,
        )
        for key, contest in zip(keys, contests, strict=True)
        if key in known
    ]
    choices = {
        contest.node: known[key].choices
        for key, contest in zip(keys, contests, strict=True)
        if key in known and known[key].choices != BY_MODEL
    }
    return Tuning(tuple(records), choices)


def _hold(contests: Mapping[str, Contest | FormContest]) -> dict[str, Winner]:
    """Winners of contests, which are kept."""
    count = len(contests)
    print_message(f"Timing kernels of {count} contraction{'s' * (count > 1)} (autotune)...")
    timed: dict[str, Winner] = {}
    # All at once, so that they are shared out among processes: most of the time goes here.
    kernel_cache.load([kernel for contest in contests.values() for kernel in contest.kernels])
    for key, contest in contests.items():
        try:
            timed[key] = contest.hold()
        except RuntimeError as error:
            _log.warning("cannot time the kernels of %s: %s", contest.node.loc, error)
            continue
        winners.keep(key, timed[key])
    gains = [w.default / w.seconds for w in timed.values() if w.choices != BY_MODEL]
    best = f", up to {max(gains):.2f} times as fast" if gains else ""
    print_message(f"Timed: {len(gains)} of {count} get another kernel{best}.")
    return timed


def _key(contest: Contest | FormContest) -> str:
    timed_by = disk_cache.sources_digest("tuning")
    facts = (contest.identity, timed_by, sorted(contest.sizes.items()), get_num_threads())
    return hashlib.sha256(repr(facts).encode()).hexdigest()
