"""What code generation hands to the runtime: kernels, a launch table, and where buffers live.

    launches     kernel source + arguments, in execution order
    arguments    every kernel is `void kernel(int64 tid, int64 nthreads, int64* argv)`;
                 argv holds one int64 per `Argument`: a byte address or a run-time size
    arena        who shares memory; gives the byte offset of every buffer for given sizes

The runtime knows nothing of ops, and code generation nothing of threads or addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from graphkeras.codegen.spans import Footprint
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array, Kind, get_op
from graphkeras.passes.memory import Arena, Buffer
from graphkeras.passes.record import PassRecord

GRAIN = 8192
"""Elements worth a thread of their own: about 2 us of work, ten times a barrier."""
INSTRUCTIONS = 8
"""Simple instructions (`Op.cost`) hidden behind reading and writing an element; an element that
takes more counts as several."""


@frozen
class Share:
    """How much a kernel does, and how much of it is worth a thread of its own."""

    work: Dim
    """Elements touched, or multiply-adds."""
    grain: int = GRAIN


def loop_share(body: Graph, space: Shape) -> Share:
    """The work of a loop over `space`, by what the body computes for each element."""
    inline = (Kind.ELEMENTWISE, Kind.INJECTIVE)
    cost = sum(
        op.cost
        for node in body.nodes
        if (op := get_op(node.op)).kind in inline and node.types[0].numel == product(space)
    )
    return Share(product(space) * max(1, cost // INSTRUCTIONS))


Argument = Buffer | Dim
"""One int64 of a kernel's argv: the address of a buffer, or the value of a size."""


@frozen
class KernelSource:
    """A generated module. `text` defines `kernel(tid, nthreads, argv)`."""

    name: str
    """Readable name, for file names, profiles and pictures. Not part of the identity."""
    text: str
    """Complete Python source; equal texts are one compiled kernel."""
    comment: str = ""
    """What it computes for whom, for the head of the file. Not part of the identity."""


@frozen
class Launch:
    """One row of the launch table."""

    kernel: KernelSource
    arguments: tuple[Argument, ...]
    node: int
    """Position in `Program.graph.nodes` of what this launch computes, for profiles."""
    footprint: Footprint | None = None
    """What each thread touches. None: not known, so all threads wait before and after it."""


@frozen
class Limit:
    """Run-time sizes that a program is for, or kernels would read memory that is not theirs."""

    spare: Dim
    """Negative for all others."""
    reader: str
    """What would read it."""


@frozen
class Program:
    """A compiled graph, before its kernels are made native."""

    signature: Graph
    """A graph with the program's name, inputs, outputs and aliases."""
    launches: tuple[Launch, ...]
    constants: tuple[Array, ...]
    arena: Arena
    scratch_bytes: int
    """Scratch memory of one thread; a multiple of 64, 0 where no kernel needs any."""
    limits: tuple[Limit, ...] = ()
    explain: Callable[[], Sequence[PassRecord]] = tuple
    """Gives what the passes did, where it is known or can be found out."""

    @cached_property
    def records(self) -> Sequence[PassRecord]:
        """What each pass did, in order."""
        return self.explain()

    @property
    def graph(self) -> Graph:
        """The final graph: every node a constant, or one or more launches."""
        return self.records[-1].after if self.records else self.signature


@frozen
class Pair:
    """Two programs that compute what one graph says; see `passes.split_constants`."""

    main: Program
    prepare: Program | None
    """None: nothing is prepared."""
    constant: tuple[int, ...] = ()
    sources: tuple[tuple[bool, int], ...] = ()
    """As in `Split`."""
