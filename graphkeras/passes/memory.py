"""Memory planning: one arena for everything that is not an input, an output or a constant.

Liveness over the schedule, in-place reuse, then offsets by best fit, largest buffer first::

    launch   0    1    2    3
    t0       ▇▇▇▇▇▇▇                 live from its kernel to its last reader
    t1            ▇▇▇▇▇▇▇▇▇▇         overwrites t0 in place where the kernel reads t0 pointwise
    t2                 ▇▇▇▇▇         takes t0's place otherwise

Who overlaps whom depends on the schedule only, so it is found once; offsets depend on the batch
size and are made for each size asked for (`Arena.layout`), in well under a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from graphkeras.frozen import frozen
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Array, Kind, get_op
from graphkeras.ir.types import TensorType
from graphkeras.passes.schedule import can_overwrite

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""
SMALLER = 4
"""Times that a buffer goes into another, from which on it waits before it takes its place."""
WAIT = 4
"""Launches that it waits. The arena of ResNet-20's training step grows by a four hundredth."""


class Place(Enum):
    """Where a buffer lives."""

    INPUT = "input"
    """Memory of graph input `index`; written too where an output aliases the input."""
    OUTPUT = "output"
    """Memory of graph output `index`, made by the runtime for each call."""
    ARENA = "arena"
    """Buffer `index` of the memory plan."""
    CONSTANT = "constant"
    """Array `index` of `Program.constants`."""
    SCRATCH = "scratch"
    """Scratch memory: that of thread `tid` begins `tid` times SCRATCH_BYTES behind the address."""
    SCRATCH_BYTES = "scratch bytes"
    """No address but `Program.scratch_bytes`. All kernels cut scratch memory alike, however little
    one of them needs, so that two that run side by side do not meet there."""
    SLICES = "slices"
    """No address but in how many slices the launch runs: its `tid` counts slices of threads."""


@frozen
class Buffer:
    """An address argument."""

    place: Place
    index: int = 0


@frozen
class Layout:
    """The memory plan for one set of run-time sizes."""

    offsets: tuple[int, ...]
    """Byte offset of every arena buffer; each a multiple of 64."""
    peak_bytes: int
    """Bytes of the arena."""
    unplanned_bytes: int
    """Sum of all buffers, as if none shared memory."""
    lower_bound_bytes: int
    """Largest sum of buffers that are live at once."""


@frozen
class ArenaBuffer:
    """One buffer of the arena: the values it holds, and when it is live."""

    types: tuple[TensorType, ...]
    """Types of the values that share it in place (all of one size)."""
    first: int
    """Launch that writes it first."""
    last: int
    """Last launch that reads it."""

    def nbytes(self, sizes: Mapping[str, int]) -> int:
        """Size, rounded up to the alignment."""
        size = max(t.nbytes(sizes) for t in self.types)
        return -(-size // ALIGNMENT) * ALIGNMENT


@frozen
class Arena:
    """The buffers that share one block of memory."""

    buffers: tuple[ArenaBuffer, ...] = ()

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """Offsets for the given run-time sizes: largest first, lowest gap that fits.

        A small buffer does not take the place of a large one that has just died: what all threads
        read of it, or write to it, would make them wait until all are done with the large one.
        """
        nbytes = [buffer.nbytes(sizes) for buffer in self.buffers]
        offsets = [0] * len(nbytes)
        placed: list[int] = []
        for i in sorted(range(len(nbytes)), key=lambda i: (-nbytes[i], i)):
            offsets[i] = self._lowest_gap(i, nbytes, offsets, placed)
            placed.append(i)
        unplanned = sum(
            -(-t.nbytes(sizes) // ALIGNMENT) * ALIGNMENT for b in self.buffers for t in b.types
        )
        peak = max((offsets[i] + nbytes[i] for i in range(len(nbytes))), default=0)
        return Layout(tuple(offsets), peak, unplanned, self._lower_bound(nbytes))

    def _lowest_gap(self, i: int, nbytes: list[int], offsets: list[int], placed: list[int]) -> int:
        buffer = self.buffers[i]
        blocked = []
        for j in placed:
            other, wait = self.buffers[j], WAIT if nbytes[i] * SMALLER <= nbytes[j] else 0
            if other.first <= buffer.last + wait and buffer.first <= other.last + wait:
                blocked.append((offsets[j], offsets[j] + nbytes[j]))
        blocked.sort()
        offset = 0
        for start, stop in blocked:
            if offset + nbytes[i] <= start:
                break
            offset = max(offset, stop)
        return offset

    def _lower_bound(self, nbytes: list[int]) -> int:
        last = max((b.last for b in self.buffers), default=-1)
        return max(
            (
                sum(n for n, b in zip(nbytes, self.buffers, strict=True) if b.first <= t <= b.last)
                for t in range(last + 1)
            ),
            default=0,
        )


@frozen
class MemoryPlan:
    """Where every value of a scheduled graph lives."""

    places: Mapping[Value, Buffer]
    arena: Arena
    constants: tuple[Array, ...]


def plan_memory(graph: Graph) -> MemoryPlan:
    """Places for every value of a scheduled graph of `fused` nodes and constants."""
    places: dict[Value, Buffer] = {v: Buffer(Place.INPUT, i) for i, v in enumerate(graph.inputs)}
    constants: list[Array] = []
    launches: list[Node] = []
    for node in graph.nodes:
        if get_op(node.op).kind is Kind.CONSTANT:
            places[node.result] = Buffer(Place.CONSTANT, len(constants))
            constants.append(node.attrs["value"])
        else:
            launches.append(node)
    for i, value in enumerate(graph.outputs):
        if i in graph.aliases:
            places[value] = Buffer(Place.INPUT, graph.aliases[i])
        elif value not in places:
            places[value] = Buffer(Place.OUTPUT, i)
    arena = Arena(tuple(_Assignment(launches, places).buffers()))
    return MemoryPlan(places, arena, tuple(constants))


class _Assignment:
    def __init__(self, launches: list[Node], places: dict[Value, Buffer]) -> None:
        self.places = places
        self.launches = launches
        self.last_use: dict[Value, int] = {}
        for t, node in enumerate(launches):
            for value in (*node.results, *node.inputs):
                self.last_use[value] = t

    def buffers(self) -> list[ArenaBuffer]:
        """Buffers, with `places` filled in for the values in them."""
        buffers: list[ArenaBuffer] = []
        for t, node in enumerate(self.launches):
            taken: set[Value] = set()
            for value in node.results:
                if value in self.places:
                    continue
                last = self.last_use[value]
                source = self._overwritten(node, value, t, taken)
                if source is not None:
                    taken.add(source)
                    index = self.places[source].index
                    shared = buffers[index]
                    types = (*shared.types, value.type)
                    buffers[index] = ArenaBuffer(types, shared.first, last)
                else:
                    index = len(buffers)
                    buffers.append(ArenaBuffer((value.type,), t, last))
                self.places[value] = Buffer(Place.ARENA, index)
        return buffers

    def _overwritten(self, node: Node, result: Value, t: int, taken: set[Value]) -> Value | None:
        """An operand that dies here and whose memory `result` can take."""
        for operand in dict.fromkeys(node.inputs):
            place = self.places[operand]
            dies = self.last_use[operand] == t and place.place is Place.ARENA
            if dies and operand not in taken and can_overwrite(node, operand, result):
                return operand
        return None
