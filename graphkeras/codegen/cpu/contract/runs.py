"""How the rows of the result are cut in runs, and runs in tiles of how many vectors.

A run is the trailing dims of m whose elements in A lie at one stride. A convolution's run is a line
of its output; a matrix product is one run::

    m = (n, oy, ox)                     units = n x oy       run = ox, in tiles of R rows

Several short lines share a tile where they can. Where windows follow (`ir.regroup`) a run is a line
of windows, and a tile holds whole ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations
from operator import mul

from graphkeras.codegen.cpu.contract.access import merged
from graphkeras.codegen.cpu.contract.choices import Choices
from graphkeras.codegen.cpu.contract.forms import Runs
from graphkeras.codegen.cpu.contract.tile import MOST_ROWS, TileChoice
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, number, product
from graphkeras.ir.op import Contraction
from graphkeras.ir.regroup import rows_together

SHORT_RUN = 8
"""Rows; several shorter runs share a tile where they can."""


@frozen
class Tiling:
    """What runs and tiles of a contraction are chosen for."""

    rule: Contraction
    choices: Choices
    columns: int | None
    """None: known at run time only."""
    lanes: int
    registers: int
    steps: int
    """Steps of k that a tile walks."""
    apart: int
    """Leading dims of m of which no tile has two positions."""
    vectors: int | None
    """Vectors in a tile's row, where these are not left to the cost model."""

    def packed(self, pitch: int) -> tuple[int, Runs]:
        """Vectors of a tile's row, and the runs, where rows of A are packed `pitch` apart."""
        extent = product(self.rule.m[self.apart :])
        rows, vectors = self.shape(extent)
        return vectors, Runs(self.apart, extent, tuple(i * pitch for i in range(rows)), 0)

    def along(self, steps: Sequence[int]) -> tuple[int, Runs]:
        """As `packed`, where A lies at strides along m."""
        if self.rule.together:
            return self._windows(steps)
        m = self.rule.m
        lead, extent, step = self.run(steps)
        outer = m[lead - 1] if lead > self.apart else 1
        if isinstance(extent, int) and extent < SHORT_RUN and isinstance(outer, int):
            most = MOST_ROWS // extent
            together = max(q for q in range(1, most + 1) if outer % q == 0)
            if together > 1:
                rows, vectors = self.shape(extent * outer, extent * together)
                far = steps[lead - 1]
                places = tuple(i // extent * far + i % extent * step for i in range(rows))
                return vectors, Runs(lead - 1, extent * outer, places, together * far)
        rows, vectors = self.shape(extent)
        return vectors, Runs(lead, extent, tuple(i * step for i in range(rows)), rows * step)

    def _windows(self, steps: Sequence[int]) -> tuple[int, Runs]:
        """Vectors and runs of tiles that hold whole windows: a run is a line of windows."""
        m, inner = self.rule.m, len(self.rule.m) - self.rule.together
        spots = combinations(*(range(number(d)) for d in m[inner:]))
        window = [sum(map(mul, spot, steps[inner:])) for spot in spots]
        lead, far = (inner - 1, steps[inner - 1]) if inner else (0, 0)
        extent = product(m[lead:])
        rows, vectors = self.shape(extent)
        per = len(window)
        places = tuple(i // per * far + window[i % per] for i in range(rows))
        return vectors, Runs(lead, extent, places, rows // per * far)

    def run(self, steps: Sequence[int]) -> tuple[int, Dim, int]:
        """Dims before the run, its rows and its stride, from the strides of m."""
        m = self.rule.m
        lead = len(m)
        while lead > self.apart and len(merged(m[lead - 1 :], steps[lead - 1 :])) <= 1:
            lead -= 1
        run = merged(m[lead:], steps[lead:])
        return (lead, run[0].extent, run[0].strides[0]) if run else (lead, 1, 0)

    def shape(self, run: Dim, rows: int | None = None) -> tuple[int, int]:
        """Rows and vectors of the tile for a run."""
        across = -(-self.columns // self.lanes) if self.columns is not None else None
        unit = rows_together(self.rule)
        model = TileChoice(run, across, self.steps, self.registers, unit)
        return model.best(rows or self.choices.rows, self.vectors)


__all__ = ["Tiling"]
