"""Runs the batches of a group: those of arrays in one native call, others one by one.

What a native call does is what single calls would do, in the same order with the same numbers:
state is updated in place by every batch, the outputs of the last one are the epoch's metrics so
far, and a loss that is not finite ends it behind the batch it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphkeras.ir.dims import Size
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType
from graphkeras.trace import BATCH
from graphkeras.training.data import ArrayAdapter, DataAdapter, Group, Span
from graphkeras.training.inputs import fit_rank
from graphkeras.training.steps import Runner, Step

if TYPE_CHECKING:
    from graphkeras.runtime.batches import Feeder

Outputs = tuple[Array, ...]


class Stream:
    """Runs group after group.

    Args:
        run: Runs one batch.
    """

    def __init__(self, run: Runner) -> None:
        self._run = run
        self._adapter: ArrayAdapter | None = None
        self._step: Step | None = None
        self._feeder: Feeder | None = None

    def __call__(self, group: Group) -> Outputs | None:
        """Runs all batches.

        Returns:
            The outputs of the last one; `None` where there is none.

        Raises:
            NonFiniteLossError: As a call of the runner.
        """
        outputs: Outputs | None = None
        if isinstance(group, Span) and self._connect(group.adapter):
            for start, size, batches in _parts(group):
                outputs = self._native(group, start, size, batches)
            return outputs
        for batch in group:
            outputs = self._run(batch)
        return outputs

    def compile(self, adapter: DataAdapter, step: Step) -> None:
        """Compiles the step of these data in the form in which their batches will be run."""
        if isinstance(adapter, ArrayAdapter) and self._connect(adapter):
            assert self._feeder is not None
            step.prepare(self._feeder.types if self._feeder.gathers(adapter.shuffles) else ())
        else:
            step.prepare(())

    def collects(self, adapter: ArrayAdapter) -> bool:
        """Whether `collect` can run these data.

        It cannot where native code cannot read them, or where the shapes of a batch's outputs
        do not say what those of all samples are.
        """
        if not self._connect(adapter):
            return False
        return all(_per_sample(type.shape) for type in self._output_types())

    def collect(
        self, span: Span, results: Sequence[Array] | None, done: int, total: int
    ) -> list[Array]:
        """Runs all batches and keeps the outputs of each.

        Args:
            span: The batches.
            results: For each output an array for all samples; made where there is none.
            done: Samples in it so far.
            total: Number of all samples.

        Returns:
            The arrays.
        """
        if results is None:
            types = self._output_types()
            results = [np.empty(type.concrete({BATCH: total}), type.dtype) for type in types]
        for start, size, batches in _parts(span):
            heads = [whole[done : done + size] for whole in results]
            self._native(span, start, size, batches, heads)
            done += size * batches
        return list(results)

    def _output_types(self) -> list[TensorType]:
        assert self._step is not None
        graph = self._step.traced.graph
        return [v.type for i, v in enumerate(graph.outputs) if i not in graph.aliases]

    def _connect(self, adapter: ArrayAdapter) -> bool:
        """Whether native code can read the arrays of the adapter."""
        if adapter is not self._adapter:
            data, self._step = self._run.read(adapter.everything())
            self._adapter, self._feeder = adapter, _feeder(self._step, data)
        return self._feeder is not None

    def _native(
        self,
        span: Span,
        start: int,
        size: int,
        batches: int,
        heads: Sequence[Array] | None = None,
    ) -> Outputs:
        from graphkeras.runtime.batches import Rows

        run, step = self._run, self._step
        assert step is not None
        assert self._feeder is not None
        rows = Rows(start, size, batches, span.order)
        watch = run.stops_at_nan
        outputs, done = step.run_batches(self._feeder, rows, heads, watch)
        if watch and not math.isfinite(outputs[0]):
            last = start + (done - 1) * size
            data, _ = run.read(span.adapter.batch(last, last + size, span.order))
            raise run.non_finite(data, outputs)
        return outputs


def _parts(span: Span) -> list[tuple[int, int, int]]:
    """First sample, samples a batch, and batches: of the whole batches, then of the smaller one."""
    batches, rest = divmod(span.stop - span.start, span.size)
    parts = [(span.start, span.size, batches), (span.stop - rest, rest, 1)]
    return [part for part in parts if part[1] * part[2]]


def _feeder(step: Step, data: Sequence[Array]) -> Feeder | None:
    """Feeds the arrays to the step, if native code can read them and run the step."""
    if step.eagerly:
        return None
    from graphkeras.runtime.batches import Feeder, Source

    sources = []
    for array, type in zip(data, step.types, strict=True):
        shape = fit_rank(array.shape, type.rank, type.shape[-1] if type.shape else 0)
        sources.append(Source.of(array, shape[1:], type))
    readable = [source for source in sources if source is not None]
    return Feeder(readable) if len(readable) == len(sources) else None


def _per_sample(shape: Sequence[Any]) -> bool:
    """Whether a result has a row of a known shape for each sample of the batch."""
    static = not any(isinstance(dim, Size) for dim in shape[1:])
    return bool(shape) and shape[0] == Size.symbol(BATCH) and static
