"""The register tile with the fewest cycles for the rows of a run and all columns.

A core does two multiply-adds and two loads a cycle. A tile of R rows and V vectors needs, for
each step of k, R V multiply-adds, R broadcasts and V loads, and cannot be faster than the latency
of one multiply-add, because each accumulator takes part in every step::

    R x V        8 x 2    12 x 2    14 x 2    6 x 4        of 32 registers
    cycles        8        12        14       12           a step

All of these run near the full rate (512 steps in one run: 4 x 4 and 8 x 2 at 70 %, 14 x 2 at 72 %,
5 x 4, 6 x 4, 8 x 3 at 77 %, where another program shared the core), so what counts most is how
evenly tiles cover the run and the columns, and how much a tile costs besides its steps.
"""

from __future__ import annotations

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Size

MOST_ROWS = 14
NARROW_ROWS = 16
"""Most rows of a tile of one vector, for which broadcasts are what limits it: channels often come
in sixteens. The gradient of 3x3 kernels of 16 channels took 17 % less time than with 8 rows."""
LATENCY = 4.5
"""Cycles until the next multiply-add of one accumulator, and what the loop over k adds."""
STEP_CYCLES = 0.5
"""What a step costs besides its multiply-adds."""
BROADCAST_CYCLES = 0.08
"""Cycles that a broadcast of A costs besides, where one or two multiply-adds use it."""
ENOUGH = 0.75
"""Share of the registers; with so many accumulators the core never waits for one."""
SLACK_CYCLES = 0.13
"""Cycles a step for each accumulator less."""
TILE_CYCLES = 20
"""Cycles of a tile besides its steps of k."""
SPILL_CYCLES = 2
"""Cycles a step for every accumulator that finds no register."""
TAIL_SHARE = 0.08
"""What a second tile, for what is left of the run or of the columns, must at least save."""
TAIL_ROWS = (4, 1)
"""Rows of the tiles for what is left of a run whose length is known at run time only."""
TYPICAL_SIZE = 32
"""What a run-time size is taken to be: a batch."""


@frozen
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
        fitting = (self.registers - 1 - vectors) // vectors
        most = min(MOST_ROWS if vectors > 1 else NARROW_ROWS, fitting)
        return min(most, max(1, self.run)) if isinstance(self.run, int) else most

    def _cost(self, rows: int, vectors: int) -> float:
        """Cycles a step of k, for a run and all columns (one vector if their number is unknown)."""
        across = (
            [(vectors, 1 / vectors)] if self.vectors is None else _pieces(self.vectors, vectors)
        )
        run = self.run
        down = _pieces(run, rows) if isinstance(run, int) else _typical(run, rows)
        cycles = sum(n * c * self._cycles(r, v) for r, n in down for v, c in across)
        tails = (len(across) > 1) + (isinstance(run, int) and len(down) > 1)
        # Of equals the larger one: fewer loads.
        return cycles * (1 + TAIL_SHARE * tails) - 1e-6 * rows * vectors

    def _cycles(self, rows: int, vectors: int) -> float:
        """A step of k of one tile; what the tile costs besides is spread over its steps."""
        spilled = max(0, rows * vectors + vectors + 1 - self.registers)
        busy = max(rows * vectors / 2, (rows + vectors) / 2, LATENCY) + STEP_CYCLES
        busy += SLACK_CYCLES * max(0.0, ENOUGH * self.registers - rows * vectors)
        if vectors <= 2:
            busy += BROADCAST_CYCLES * rows
        return busy + SPILL_CYCLES * spilled + TILE_CYCLES / max(1, self.steps)


def _pieces(total: int, size: int) -> list[tuple[int, float]]:
    """(size, count) of the parts of `total` cut in parts of `size` and a rest."""
    parts = [(size, float(total // size)), (total % size, 1.0)]
    return [(s, c) for s, c in parts if s and c]


def _typical(run: Size, rows: int) -> list[tuple[int, float]]:
    """As `_pieces`, of a run of unknown length, whose rest is cut in ever smaller tiles."""
    parts = []
    rest = run.evaluate(dict.fromkeys(run.symbols, TYPICAL_SIZE))
    for size in (rows, *(r for r in TAIL_ROWS if r < rows)):
        parts.append((size, float(rest // size)))
        rest %= size
    return [(s, c) for s, c in parts if c]
