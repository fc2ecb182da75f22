"""Two programs that act as one: what depends on variables alone is run when one has changed.

    variables ──► prepare ──► prepared arrays ─╮      when a variable has changed
    data ──────────────────────────────────────┴─► main ──► outputs      every call

A call compares one stamp (`changes.latest`) where nothing has changed at all, and one for each
variable where something has. The prepared arrays of a change are fresh memory: calls in other
threads that still read the old ones go on undisturbed, and the old ones are freed behind the last
of them. No lock is needed: threads that meet a change at the same time each prepare, with the
stamps of what they read, and the last one's arrays stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.changes import Change, is_current, latest, stamps
from graphkeras.codegen.program import Pair
from graphkeras.frozen import frozen
from graphkeras.ir.op import Array
from graphkeras.runtime.batches import Feeder, Rows
from graphkeras.runtime.context import aligned_arrays
from graphkeras.runtime.executable import Executable


@frozen
class _Prepared:
    """The last inputs of the main program, and what they were made from."""

    latest: object
    """Stamp of the last change of any variable, at a time when they were right."""
    stamps: Sequence[object]
    given: Sequence[Array]
    arrays: list[Array]


class PreparedExecutable:
    """Native code for a graph of which some inputs rarely change.

    May be called from several threads at once, like the executables it is made of.

    Args:
        prepare: Computes what depends on these inputs alone.
        main: Computes the rest.
        constant: Positions of these inputs in the whole graph; they are what `prepare` takes.
        sources: For each input of `main`: whether `prepare` makes it, and which of its outputs, or
            which input of the whole graph it is. Those of the whole graph come in order.
    """

    def __init__(
        self,
        prepare: Executable,
        main: Executable,
        constant: Sequence[int],
        sources: Sequence[tuple[bool, int]],
    ) -> None:
        self.prepare = prepare
        self.main = main
        self.constant = tuple(constant)
        self.sources = tuple(sources)
        given = [position for prepared, position in sources if not prepared]
        self._inputs = 1 + max((*given, *constant))
        self._watched: Sequence[Change] = ()
        self._prepared: _Prepared | None = None

    @property
    def pair(self) -> Pair:
        """Both programs."""
        return Pair(self.main.program, self.prepare.program, self.constant, self.sources)

    def watch(self, changes: Sequence[Change]) -> None:
        """Says what changes behind the constant inputs; the first call must come later."""
        self._watched = changes
        self._prepared = None

    def __call__(self, inputs: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
        """Runs both programs, or the main one.

        Args:
            inputs: An array for each of the first inputs of the whole graph.
            state: The arrays of the others, in memory that does not move: what is in it is looked
                at where `watch` was told of a change, or this is another object.

        Returns:
            As `Executable`.

        Raises:
            DataTypeError: As `Executable`, as all that follow.
            ShapeError: A shape does not fit.
            StructureError: Not as many arrays as inputs.
            ValueError: An array to be updated is read-only or not contiguous.
        """
        known = self._prepared
        if known is None or known.latest is not latest.stamp or known.given is not state:
            known = self._renewed(known, state)
        return self.main(inputs, known.arrays)

    def run_batches(
        self,
        feeder: Feeder,
        rows: Rows,
        state: Sequence[Array],
        outputs: Sequence[Array] | None = None,
        watch: bool = False,
    ) -> tuple[Sequence[Array], int]:
        """As `Executable.run_batches`, with the variables of the whole graph for `state`."""
        known = self._renewed(self._prepared, state)
        return self.main.run_batches(feeder, rows, known.arrays, outputs, watch)

    def launch_seconds(
        self, inputs: Sequence[Array], state: Sequence[Array], repeats: int
    ) -> Array:
        """As `Executable.launch_seconds`, of the main program, with the arguments of a call."""
        known = self._renewed(self._prepared, state)
        return self.main.launch_seconds([*inputs, *known.arrays], repeats)

    def _renewed(self, known: _Prepared | None, state: Sequence[Array]) -> _Prepared:
        # All stamps before any number: a change that comes meanwhile is found by the next call.
        now, own = latest.stamp, stamps(self._watched)
        if known is not None and known.given is state and is_current(known.stamps, self._watched):
            renewed = _Prepared(now, known.stamps, state, known.arrays)
        else:
            data = self._inputs - len(state)
            made = self._run([state[i - data] for i in self.constant])
            arrays = [
                made[position] if prepared else state[position - data]
                for prepared, position in self.sources
                if prepared or position >= data
            ]
            renewed = _Prepared(now, own, state, arrays)
            self.main.forget_state()
        self._prepared = renewed
        return renewed

    def _run(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """What the prepare program computes, in one block of fresh memory."""
        types = [value.type for value in self.prepare.program.signature.outputs]
        outputs = aligned_arrays([(t.concrete({}), np.dtype(t.dtype)) for t in types])
        self.prepare.write(arrays, outputs)
        return outputs
