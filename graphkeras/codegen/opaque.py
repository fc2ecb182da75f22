"""What an op's own `loops` rule writes through: `KernelWriter` with operand and result numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager

from graphkeras.codegen.emit import Elements, KernelWriter
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import Apply, Expr, Load, Var


class OpaqueLoops:
    """Implements `graphkeras.ir.op.Loops` for one node of a fused body."""

    def __init__(
        self,
        writer: KernelWriter,
        node: Node,
        elements: Elements,
        results: dict[Value, str],
    ) -> None:
        self.writer = writer
        self.node = node
        self.elements = elements
        self.operands = elements.buffers
        self.results = results

    def size(self, dim: Dim) -> Expr:
        """See `Loops.size`."""
        return self.writer.size(dim)

    def parallel(self, extent: Dim, name: str) -> AbstractContextManager[Var]:
        """See `Loops.parallel`."""
        return self.writer.parallel(extent, name, Share(self.node.types[0].numel))

    def parallel_range(
        self, extent: Dim, work: Dim, name: str
    ) -> AbstractContextManager[tuple[Var, Var]]:
        """See `Loops.parallel_range`."""
        return self.writer.parallel_range(extent, 1, Share(work), name)

    def loop(
        self, start: Expr | int, stop: Expr | Dim, name: str, step: int = 1
    ) -> AbstractContextManager[Var]:
        """See `Loops.loop`."""
        return self.writer.loop(start, stop, name, step)

    def when(self, condition: Expr) -> AbstractContextManager[None]:
        """See `Loops.when`."""
        return self.writer.when(condition)

    def let(self, name: str, value: Expr) -> Expr:
        """See `Loops.let`."""
        return self.writer.mutable(value, name)

    def assign(self, variable: Expr, value: Expr) -> None:
        """See `Loops.assign`."""
        self.writer.assign(variable, value)

    def load(self, i: int, offset: Expr) -> Expr:
        """See `Loops.load`."""
        value = self.node.inputs[i]
        if value.producer is not None:
            # Made inside the kernel: a number that is printed into it.
            return self.elements.read(value, Position(value.type.shape, flat=offset))
        return self.writer.pinned(Load(value.type.dtype, self.operands[value], offset))

    def read(self, o: int, offset: Expr) -> Expr:
        """See `Loops.read`."""
        value = self.node.results[o]
        return self.writer.pinned(Load(value.type.dtype, self.results[value], offset))

    def store(self, o: int, offset: Expr, value: Expr) -> None:
        """See `Loops.store`."""
        self.writer.store(self.results[self.node.results[o]], offset, value)

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """See `Loops.apply`."""
        return self.writer.pinned(Apply(dtype, template, args))
