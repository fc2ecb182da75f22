"""A contest of kernels for one contraction: timed on this machine, with its real sizes.

All kernels become launches of one program, which runs them one after the other on the same
arrays and with all threads, so a slow moment of the machine meets all of them alike::

    round 1   - | default | vectors 1 | rows 8 | ... | rows 8 | vectors 1 | default |
    round 2   - | default | vectors 1 | rows 8 | ... | rows 8 | vectors 1 | default |
                barrier behind each; the least time of each counts

    heat      the default, and every single step away from it
    final     the default, the fastest of these, and the fastest ones taken together

The default stays unless another one is faster by more than the noise, and gives the same numbers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property

import numpy as np

from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.generate import generate, variants
from graphkeras.codegen.program import KernelSource, Program
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Array, Kind, get_op
from graphkeras.ir.types import TensorType
from graphkeras.runtime import kernel_cache
from graphkeras.runtime.examples import example_arrays
from graphkeras.runtime.executable import Executable
from graphkeras.tuning.winners import Winner

_log = logging.getLogger("graphkeras.tuning")

HEAT_SECONDS = 0.15
FINAL_SECONDS = 0.2
"""Time for the rounds of a contraction; at least `LEAST_ROUNDS` are run."""
LEAST_ROUNDS = 3
MOST_ROUNDS = 200
FINALISTS = 3
"""Single steps that come to the final, and that are taken together with the fastest one."""
MARGIN = 0.03
"""By which share a kernel must be faster than the default to take its place."""
SAME = 1e-3
"""Largest difference of a result from the default's, by Euclidean norms. Sums in another order
differ by a hundredth of it; one wrong column of a tile by ten times as much."""


class Contest:
    """The kernels of one node of a scheduled graph.

    Args:
        node: A contraction.
        sizes: The run-time sizes to time it for.
    """

    def __init__(self, node: Node, sizes: Mapping[str, int]) -> None:
        self.node = node
        self.graph = _alone(node, sizes)
        self.sizes = {name: sizes[name] for name in self.graph.symbols}
        self._programs: dict[Choices, Program] = {}

    @property
    def name(self) -> str:
        """Name of the kernel that the cost model chooses."""
        return self._program(BY_MODEL).launches[0].kernel.name

    @property
    def identity(self) -> str:
        """What decides how fast the kernels are, sizes and threads apart."""
        return kernel_cache.identity(self._program(BY_MODEL).launches[0].kernel)

    @property
    def kernels(self) -> list[KernelSource]:
        """Those that are timed first."""
        return [self._program(choices).launches[0].kernel for choices in self._singles]

    @cached_property
    def _singles(self) -> list[Choices]:
        return self._distinct(variants(self.node))

    def hold(self) -> Winner:
        """Times the kernels and tells which is the fastest.

        Raises:
            RuntimeError: Other programs keep the cores busy.
        """
        arrays = example_arrays(self.graph, self.sizes)
        heat = self._times(self._singles, arrays, HEAT_SECONDS)
        order = sorted(self._singles, key=heat.__getitem__)
        faster = [c for c in order if heat[c] < heat[BY_MODEL]]
        pairs = [_together(faster[0], c) for c in faster[1 : FINALISTS + 1]]
        # What two steps make slower together, one of them alone may still make faster.
        final = self._distinct([*faster[:FINALISTS], *(p for p in pairs if p is not None)])
        times = self._times(final, arrays, FINAL_SECONDS)
        best = min(times, key=times.__getitem__)
        if times[best] >= times[BY_MODEL] * (1 - MARGIN):
            best = BY_MODEL
        if best != BY_MODEL:
            results = (self._results(choices, arrays) for choices in (BY_MODEL, best))
            if not gives_the_same(self.node, best, *results):
                best = BY_MODEL
        self._forget_losers(best)
        return Winner(best, times[BY_MODEL], times[best])

    def _results(self, choices: Choices, arrays: Sequence[Array]) -> Sequence[Array]:
        return Executable(self._program(choices))([array.copy() for array in arrays])

    def _program(self, choices: Choices) -> Program:
        if choices not in self._programs:
            self._programs[choices] = generate(self.graph, {self.node: choices})
        return self._programs[choices]

    def _distinct(self, choices: Sequence[Choices]) -> list[Choices]:
        """The default, and those whose kernels have texts of their own."""
        texts: dict[str, Choices] = {}
        for choice in (BY_MODEL, *choices):
            texts.setdefault(_text(self._program(choice)), choice)
        return list(texts.values())

    def _times(
        self, choices: Sequence[Choices], arrays: Sequence[np.ndarray], seconds: float
    ) -> dict[Choices, float]:
        """The least time of each in interleaved rounds."""
        programs = [self._program(choice) for choice in choices]
        # The first launch of a round finds threads that still wake up; it is not counted.
        turns = [programs[-1], *programs, *reversed(programs)]
        launches = [replace(p.launches[0], footprint=None) for p in turns]
        scratch = max(p.scratch_bytes for p in programs)
        rounds = replace(programs[0], launches=tuple(launches), scratch_bytes=scratch)
        executable = Executable(rounds)
        begin = time.perf_counter()
        runs = [executable.launch_seconds(arrays, LEAST_ROUNDS)]
        one = (time.perf_counter() - begin) / LEAST_ROUNDS
        more = min(MOST_ROUNDS, int(seconds / one) - LEAST_ROUNDS)
        if more > 0:
            runs.append(executable.launch_seconds(arrays, more))
        least = np.concatenate(runs)[:, 1:].min(axis=0)
        both = np.minimum(least[: len(programs)], least[: len(programs) - 1 : -1])
        return dict(zip(choices, map(float, both), strict=True))

    def _forget_losers(self, best: Choices) -> None:
        """Removes kernels from the cache that nothing will ask for."""
        kept = {_text(self._program(choice)) for choice in (BY_MODEL, best)}
        kernels = [program.launches[0].kernel for program in self._programs.values()]
        kernel_cache.discard([kernel for kernel in kernels if kernel.text not in kept])


def gives_the_same(
    node: Node, choices: Choices, expected: Sequence[Array], received: Sequence[Array]
) -> bool:
    """Whether other choices give the default's numbers; where not, the log says so.

    Positions of maxima may differ where two tie.
    """
    pairs = zip(expected, received, strict=True)
    if all(_is_close(a, b) for a, b in pairs if a.dtype.kind == "f"):
        return True
    _log.error(
        "%s: the kernel with %s gives other numbers than the default one, which is kept. "
        "This is a fault of graphkeras: please report it.",
        node.loc,
        choices,
    )
    return False


def _is_close(expected: Array, received: Array) -> bool:
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(received)):
        return False
    apart = np.linalg.norm(expected[finite] - received[finite])
    return bool(apart <= SAME * np.linalg.norm(expected[finite]))


def _text(program: Program) -> str:
    (launch,) = program.launches
    return launch.kernel.text


def _together(first: Choices, second: Choices) -> Choices | None:
    """Both steps at once; None where they are about the same choice."""
    one = {name: value for name, value in asdict(first).items() if value is not None}
    two = {name: value for name, value in asdict(second).items() if value is not None}
    return None if one.keys() & two.keys() else Choices(**one, **two)


def _alone(node: Node, sizes: Mapping[str, int]) -> Graph:
    """A graph of the node, its constants, and an input for every run-time size."""
    constants = [
        value.producer
        for value in dict.fromkeys(node.inputs)
        if value.producer is not None and get_op(value.producer.op).kind is Kind.CONSTANT
    ]
    made = {value for constant in constants for value in constant.results}
    inputs = [value for value in dict.fromkeys(node.inputs) if value not in made]
    # A size may come from another input of the whole graph than this node's.
    inputs += [Value(TensorType((Size.symbol(name),)), None, 0, name) for name in sorted(sizes)]
    return Graph(node.name, tuple(inputs), (*constants, node), node.results)
