"""Kernel IR: loops, locals, loads and stores. Decisions are made before it, text after it.

A lowering turns a fused node into one `KernelFunction`; a printer of a target turns that into
source. Between the two a kernel can be read and tested without running anything::

    KernelFunction relu_add
      buffers   x: float32, y: float32, z: float32
      for i in share(N * 10):               ParallelFor
          t0 = x[i]                         Let
          z[i] = t0 + y[i]                  Store
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from graphkeras.frozen import frozen
from graphkeras.ir.scalar import Expr, Var


@dataclass
class Let:
    """A local variable gets a value; the first one defines it."""

    variable: Var
    value: Expr


@dataclass
class Store:
    """`buffer[offset] = value`, the offset in elements."""

    buffer: str
    offset: Expr
    value: Expr


@frozen
class Reach:
    """Elements of a buffer, from offset `first` to offset `last`."""

    buffer: str
    first: Expr
    last: Expr
    writes: bool = False


@dataclass
class Call:
    """A statement of the target, such as a microkernel: `template.format(*args)`."""

    template: str
    args: tuple[Expr, ...]
    reads: tuple[Reach, ...] | None = None
    """What it reads, and what it writes (`Reach.writes`); beyond that it touches scratch memory
    only. None: all its text names."""


@dataclass
class For:
    """A serial counted loop."""

    variable: Var
    start: Expr
    stop: Expr
    body: list[Statement]
    step: int = 1


@dataclass
class ParallelFor:
    """A loop whose iterations are shared out among the threads in contiguous runs.

    Every result element belongs to exactly one iteration, so that results do not depend on
    the number of threads. A run starts at a multiple of `multiple`.
    """

    variable: Var
    extent: Expr
    body: list[Statement]
    work: Expr
    """How much is done in all; less than a grain stays on one thread."""
    grain: int
    multiple: int = 1
    as_range: Var | None = None
    """Where set, the body runs once per thread with `[variable, as_range)` as its run."""


@dataclass
class If:
    """A conditional block."""

    condition: Expr
    body: list[Statement]


Statement = Let | Store | Call | For | ParallelFor | If


@dataclass
class BufferParameter:
    """A contiguous tensor in memory."""

    name: str
    dtype: str


@dataclass
class KernelFunction:
    """One kernel, complete."""

    name: str
    buffers: list[BufferParameter]
    """Operands, then results; a result that overwrites an operand is that operand's buffer. Each
    is memory of its own."""
    symbols: list[str]
    """Names of the run-time sizes, passed after the buffers."""
    body: list[Statement]
    comments: list[str] = field(default_factory=list)
    """The graph's lines that this kernel computes."""
    helpers: list[str] = field(default_factory=list)
    """Module-level definitions of the target, such as a microkernel of a tile size."""
    scratch: list[tuple[BufferParameter, int]] = field(default_factory=list)
    """Per-thread scratch buffers: parameter and bytes (a multiple of 64)."""

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory of one thread."""
        return sum(size for _, size in self.scratch)


def statements(body: list[Statement]) -> Iterator[Statement]:
    """Every statement, outermost first."""
    for statement in body:
        yield statement
        if isinstance(statement, For | ParallelFor | If):
            yield from statements(statement.body)
