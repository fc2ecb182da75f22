"""The register tile with the fewest cycles for the rows of a run and all columns.

A core does two multiply-adds and two loads a cycle. A tile of R rows and V vectors needs, for
each step of k, R V multiply-adds, R broadcasts and V loads, and cannot be faster than the latency
of one multiply-add, because each accumulator takes part in every step::

    R x V        8 x 2    12 x 2    14 x 2    6 x 4        of 32 registers
    cycles        8        12        14       12           a step

All of these run at the full rate, so what counts is how evenly tiles cover the run and the
columns, and how much a tile costs besides its steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphkeras.ir.dims import Dim

MOST_ROWS = 14
LATENCY = 4.5
"""Cycles until the next multiply-add of one accumulator, and what the loop over k adds."""
TILE_CYCLES = 20
"""Cycles of a tile besides its steps of k."""
SPILL_CYCLES = 2
"""Cycles a step for every accumulator that finds no register."""
TAIL_SHARE = 0.03
"""What a second tile, for what is left of the run or of the columns, must at least save."""


@dataclass(frozen=True)
class TileChoice:
    """What a tile is chosen for."""

    run: Dim
    """Rows that lie at one stride."""
    vectors: int | None
    """Vectors of columns in all; None where known at run time only."""
    steps: int
    """Steps of k that a tile walks."""
    registers: int
    """Vector registers of the CPU."""
    unit: int
    """Rows that must stay together."""

    def best(self, rows: int | None = None, vectors: int | None = None) -> tuple[int, int]:
        """Rows and vectors of the tile; either may be given."""
        most = 4 if self.vectors is None else min(4, self.vectors)
        shapes = [
            (r, v)
            for v in (range(1, most + 1) if vectors is None else [min(vectors, most)])
            for r in (
                range(self.unit, max(self.unit, self._most(v)) + 1, self.unit)
                if rows is None
                else [self._fitting(rows)]
            )
        ]
        return min(shapes, key=lambda shape: self._cost(*shape))

    def _fitting(self, rows: int) -> int:
        """Rows that a run has, in whole units."""
        if isinstance(self.run, int):
            rows = min(rows, self.run)
        return max(self.unit, rows // self.unit * self.unit)

    def _most(self, vectors: int) -> int:
        most = min(MOST_ROWS, (self.registers - 1 - vectors) // vectors)
        return min(most, max(1, self.run)) if isinstance(self.run, int) else most

    def _cost(self, rows: int, vectors: int) -> float:
        """Cycles a step of k, for a run (a row where its length is unknown) and all columns."""
        across = (
            [(vectors, 1 / vectors)] if self.vectors is None else _pieces(self.vectors, vectors)
        )
        down = _pieces(self.run, rows) if isinstance(self.run, int) else [(rows, 1 / rows)]
        cycles = sum(n * c * self._cycles(r, v) for r, n in down for v, c in across)
        tails = (len(across) > 1) + (len(down) > 1)
        # Of equals the larger one: fewer loads.
        return cycles * (1 + TAIL_SHARE * tails) - 1e-6 * rows * vectors

    def _cycles(self, rows: int, vectors: int) -> float:
        """A step of k of one tile; what the tile costs besides is spread over its steps."""
        spilled = max(0, rows * vectors + vectors + 1 - self.registers)
        busy = max(rows * vectors / 2, (rows + vectors) / 2, LATENCY)
        return busy + SPILL_CYCLES * spilled + TILE_CYCLES / max(1, self.steps)


def _pieces(total: int, size: int) -> list[tuple[int, float]]:
    """(size, count) of the parts of `total` cut in parts of `size` and a rest."""
    parts = [(size, float(total // size)), (total % size, 1.0)]
    return [(s, c) for s, c in parts if s and c]
