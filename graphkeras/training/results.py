"""Joins the outputs of the batches of `predict`."""

from __future__ import annotations

import numpy as np

from graphkeras import tree
from graphkeras.errors import DataError
from graphkeras.ir.op import Array
from graphkeras.training.data import Batch, Group, Span
from graphkeras.training.steps import Runner
from graphkeras.training.stream import Outputs, Stream


class Results:
    """Runs batches and joins their outputs: in place where the number of samples is known.

    Args:
        run: Runs one batch.
        total: Number of samples, or `None`.
    """

    def __init__(self, run: Runner, total: int | None) -> None:
        self._run = run
        self._stream = Stream(run)
        self._total = total
        self._done = 0
        self._whole: list[Array] | None = None
        self._parts: list[Outputs] = []

    def add(self, group: Group, keep_last: bool) -> Outputs | None:
        """Runs the batches of a group.

        Args:
            group: The batches.
            keep_last: Whether the outputs of the last batch are wanted.

        Returns:
            The outputs of the last batch, if they are wanted.
        """
        if not keep_last and isinstance(group, Span) and len(group) > 1 and self._fill(group):
            return None
        outputs: Outputs | None = None
        for batch in group:
            outputs = self._run(batch)
            self._take(outputs, _samples(batch))
        return outputs

    def _fill(self, span: Span) -> bool:
        """Lets native code write straight into the joined outputs, if it can."""
        total = self._total
        if total is None or self._parts or not self._stream.collects(span.adapter):
            return False
        self._whole = self._stream.collect(span, self._whole, self._done, total)
        self._done += span.stop - span.start
        return True

    def _take(self, outputs: Outputs, samples: int) -> None:
        total = self._total
        if total is None or any(o.ndim == 0 or len(o) != samples for o in outputs):
            self._parts.append(outputs)
            return
        if self._done == 0 and samples == total:
            self._whole = list(outputs)
        elif self._whole is None:
            self._whole = [np.empty((total, *o.shape[1:]), o.dtype) for o in outputs]
        if samples != total:
            for whole, part in zip(self._whole, outputs, strict=True):
                whole[self._done : self._done + samples] = part
        self._done += samples

    def joined(self) -> list[Array]:
        """All outputs.

        Raises:
            DataError: There was no batch.
        """
        if self._whole is not None:
            return [whole[: self._done] for whole in self._whole]
        if not self._parts:
            raise DataError("there are no data left to predict: the generator is used up")
        return [
            np.stack(parts) if parts[0].ndim == 0 else np.concatenate(parts)
            for parts in zip(*self._parts, strict=True)
        ]


def _samples(batch: Batch) -> int:
    return len(next(tree.leaves(batch.x)))
