"""Which convolutions are Winograd's, by timing: decided before fusion, for the whole graph.

    graph ─► simplify ─► .. ─┬─► winograd{faster, slower} ─► .. ─► fuse ─► kernels
                             ╰─► contests ──╯

A contest compiles a convolution in both forms and by itself, since what follows it in its kernel is
the same for both, and times them in turns. The transform of the kernel counts where a step does it
in every call, and not where it is prepared. Gradients behind a maximum over windows are left out:
their contest is that of winners and product, kernel against kernel (`variants.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.program import KernelSource, Pair, Program
from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node
from graphkeras.ir.op import Array
from graphkeras.runtime import kernel_cache
from graphkeras.runtime.examples import example_arrays
from graphkeras.runtime.executable import Executable
from graphkeras.runtime.prepared import PreparedExecutable
from graphkeras.tuning.contest import LEAST_ROUNDS, MARGIN, MOST_ROUNDS, gives_the_same
from graphkeras.tuning.winners import Winner

SECONDS = 0.3
"""Time for the rounds of a contest."""
TURN = 2
"""Launches that are timed of one form before the other's turn."""


@frozen
class Forms:
    """A convolution, or the gradient of one, that may be Winograd's as well as a plain one."""

    node: Node
    form: str
    """What decides how fast they are, the machine apart: see `passes.winograd`."""
    graph: Graph
    """The node alone: input 0 is the image."""
    by_model: bool
    """Whether the cost model takes Winograd's."""
    pairs: Mapping[bool, Pair]
    """The programs of the graph as Winograd's, and as a plain one."""


class FormContest:
    """Both forms of a convolution.

    Args:
        forms: The forms.
        sizes: The run-time sizes to time it for.
    """

    def __init__(self, forms: Forms, sizes: Mapping[str, int]) -> None:
        self.node = forms.node
        self.form = forms.form
        self.graph = forms.graph
        self.pairs = forms.pairs
        self.sizes = {name: sizes[name] for name in forms.graph.symbols}
        self._by_model = forms.by_model

    @property
    def name(self) -> str:
        """Name of the main kernel of the form that the cost model chooses."""
        return self.pairs[self._by_model].main.launches[-1].kernel.name

    @property
    def identity(self) -> str:
        """What decides how fast the forms are, sizes and threads apart."""
        return "\n".join([str(self._by_model), *map(kernel_cache.identity, self.kernels)])

    @property
    def kernels(self) -> list[KernelSource]:
        """Those of both forms."""
        return [launch.kernel for pair in self.pairs.values() for launch in _launches(pair)]

    def hold(self) -> Winner:
        """Times both forms and tells which is the faster one.

        Raises:
            RuntimeError: Other programs keep the cores busy.
        """
        arrays = example_arrays(self.graph, self.sizes)
        pairs = (self.pairs[self._by_model], self.pairs[not self._by_model])
        turns = [_Turn(pair, arrays) for pair in pairs]
        default, other = self._times(turns)
        choices = Choices(winograd=not self._by_model)
        is_faster = other < default * (1 - MARGIN)
        if not is_faster or not gives_the_same(self.node, choices, *(t.results() for t in turns)):
            choices, other = BY_MODEL, default
        kernel_cache.discard(self.kernels)
        return Winner(choices, default, other)

    def _times(self, turns: Sequence[_Turn]) -> list[float]:
        """The least time of a call of each main program, in interleaved rounds."""
        runs: list[list[Any]] = [[] for _ in turns]
        begin = time.perf_counter()
        for count in range(MOST_ROUNDS):
            if count >= LEAST_ROUNDS and time.perf_counter() - begin > SECONDS:
                break
            for turn, found in zip(turns, runs, strict=True):
                found.append(turn.seconds())
        return [float(np.concatenate(found).min(axis=0).sum()) for found in runs]


def _launches(pair: Pair) -> Sequence[Any]:
    programs: list[Program] = [pair.main] if pair.prepare is None else [pair.main, pair.prepare]
    return [launch for program in programs for launch in program.launches]


class _Turn:
    """The programs of a form, and what they are run on."""

    def __init__(self, pair: Pair, arrays: Sequence[Array]) -> None:
        main = Executable(pair.main)
        self.run: Executable | PreparedExecutable = main
        if pair.prepare is not None:
            prepare = Executable(pair.prepare)
            self.run = PreparedExecutable(prepare, main, pair.constant, pair.sources)
        data = pair.constant[0] if pair.prepare is not None else len(arrays)
        self.given, self.state = arrays[:data], arrays[data:]

    def results(self) -> Sequence[Array]:
        """What comes out."""
        return self.run(self.given, self.state)

    def seconds(self) -> Array:
        """Runs the main program some times: seconds `[run, launch]`."""
        if isinstance(self.run, Executable):
            return self.run.launch_seconds(self.given, TURN)
        return self.run.launch_seconds(self.given, self.state, TURN)
