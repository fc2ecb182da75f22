"""Writes kernel IR: scopes, locals, loop-invariant placement, and elements of graph values.

`KernelWriter` keeps a stack of open blocks. A new local is placed in the *outermost* block in
which everything it reads is known, so that loop-invariant code is hoisted as it is written and
an element that two expressions need is computed once (a memo per block). A block becomes a
statement of its parent when it closes, so what was hoisted meanwhile stands before it::

    for row:                depth 1
        t0 = mean[row]      <- read inside the inner loop, depends on row only
        for j:              depth 2
            t1 = x[row*10 + j] - t0

A guarded block (the inside of a padded image) is a wall: nothing moves out of it, because what
it reads may not exist outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from graphkeras.codegen.kernel_ir import (
    BufferParameter,
    Call,
    For,
    If,
    Let,
    ParallelFor,
    Reach,
    Statement,
    Store,
)
from graphkeras.codegen.program import Share
from graphkeras.ir.dims import Dim
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Index, Kind, Reduction, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import (
    INDEX,
    Apply,
    Const,
    Expr,
    Load,
    RuntimeSize,
    Var,
    as_index,
    conjunction,
)


@dataclass
class Block:
    """One open block of statements."""

    body: list[Statement]
    wall: bool = False
    memo: dict[tuple[Value, Expr], Expr] = field(default_factory=dict)
    locals: dict[Expr, Var] = field(default_factory=dict)


class KernelWriter:
    """Statements of one kernel, and where its locals live.

    Args:
        taken: Names that no local may have: those of the kernel's buffers.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = frozenset(taken)
        self.body: list[Statement] = []
        self.blocks: list[Block] = [Block(self.body)]
        self.symbols: set[str] = set()
        self.scratch: list[tuple[BufferParameter, int]] = []
        self.helpers: list[str] = []
        self._depth: dict[str, int] = {}
        self._names = count()

    # ---- names and depths

    def fresh(self, prefix: str = "t") -> str:
        """A new local name."""
        return next(n for i in self._names if (n := f"{prefix}{i}") not in self.taken)

    def depth(self, expr: Expr) -> int:
        """Index of the innermost block whose locals `expr` reads."""
        if isinstance(expr, Var):
            return self._depth[expr.name]
        if isinstance(expr, Load):
            return self.depth(expr.offset)
        if isinstance(expr, Apply):
            return max((self.depth(a) for a in expr.args), default=0)
        if isinstance(expr, RuntimeSize):
            self.symbols |= expr.size.symbols
        return 0

    def _target(self, expr: Expr) -> int:
        walls = [i for i, block in enumerate(self.blocks) if block.wall]
        return max(self.depth(expr), walls[-1] if walls else 0)

    # ---- statements

    def let(self, value: Expr, prefix: str = "t") -> Expr:
        """A local that holds `value`, placed as far out as it can be; constants stay as is."""
        if isinstance(value, Const | Var):
            return value
        target = self._target(value)
        block = self.blocks[target]
        known = block.locals.get(value)
        if known is not None:
            return known
        variable = Var(value.dtype, self.fresh(prefix))
        self._depth[variable.name] = target
        block.body.append(Let(variable, value))
        block.locals[value] = variable
        return variable

    def mutable(self, value: Expr, prefix: str = "acc") -> Var:
        """A local of the current block that `assign` may change."""
        variable = Var(value.dtype, self.fresh(prefix))
        self._depth[variable.name] = len(self.blocks) - 1
        self.blocks[-1].body.append(Let(variable, value))
        return variable

    def pinned(self, value: Expr, prefix: str = "t") -> Var:
        """A local computed here and now: for reads of memory that this kernel writes."""
        self.depth(value)
        return self.mutable(value, prefix)

    def assign(self, variable: Expr, value: Expr) -> None:
        """Gives a mutable local a new value."""
        assert isinstance(variable, Var)
        self.depth(value)
        self.blocks[-1].body.append(Let(variable, value))

    def store(self, buffer: str, offset: Expr, value: Expr) -> None:
        """Writes an element."""
        self.depth(offset)
        self.depth(value)
        self.blocks[-1].body.append(Store(buffer, offset, value))

    def call(self, template: str, *args: Expr, reads: tuple[Reach, ...] | None = None) -> None:
        """A statement of the target; see `Call`."""
        for arg in args:
            self.depth(arg)
        self.blocks[-1].body.append(Call(template, args, reads))

    def size(self, dim: Dim) -> Expr:
        """A dimension as an expression."""
        expr = as_index(dim)
        self.depth(expr)
        return expr

    # ---- blocks

    @contextmanager
    def _open(self, body: list[Statement], names: Sequence[str], wall: bool) -> Iterator[None]:
        self.blocks.append(Block(body, wall))
        for name in names:
            self._depth[name] = len(self.blocks) - 1
        try:
            yield
        finally:
            self.blocks.pop()

    @contextmanager
    def loop(
        self,
        start: Expr | int,
        stop: Expr | Dim,
        prefix: str = "i",
        step: int = 1,
        below: int | None = None,
    ) -> Iterator[Var]:
        """A serial loop from 0 or behind it; yields its variable, known to be below `below`."""
        known = stop if isinstance(stop, int) else below
        variable = Var(INDEX, self.fresh(prefix), known)
        statement = For(variable, as_index(start), as_index(stop), [], step)
        self.depth(statement.start)
        self.depth(statement.stop)
        with self._open(statement.body, [variable.name], wall=False):
            yield variable
        self.blocks[-1].body.append(statement)

    @contextmanager
    def parallel(self, extent: Dim, prefix: str, share: Share) -> Iterator[Var]:
        """A loop shared out among the threads; yields its variable."""
        variable = Var(INDEX, self.fresh(prefix))
        stop = as_index(extent)
        amount = as_index(share.work)
        self.depth(stop)
        self.depth(amount)
        statement = ParallelFor(variable, stop, [], amount, share.grain)
        with self._open(statement.body, [variable.name], wall=False):
            yield variable
        self.blocks[-1].body.append(statement)

    @contextmanager
    def parallel_range(
        self, extent: Dim, multiple: int, share: Share, prefix: str
    ) -> Iterator[tuple[Var, Var]]:
        """A block run once per thread with its own `[low, high)` of `extent`."""
        low, high = Var(INDEX, self.fresh(prefix)), Var(INDEX, self.fresh(prefix))
        stop, amount = as_index(extent), as_index(share.work)
        self.depth(stop)
        self.depth(amount)
        statement = ParallelFor(low, stop, [], amount, share.grain, multiple, high)
        with self._open(statement.body, [low.name, high.name], wall=False):
            yield low, high
        self.blocks[-1].body.append(statement)

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """A conditional block."""
        self.depth(condition)
        statement = If(condition, [])
        with self._open(statement.body, [], wall=True):
            yield
        self.blocks[-1].body.append(statement)

    def define(self, name: str, value: str) -> str:
        """A definition in front of the kernel; returns its name, numbered where that is taken."""
        known = dict(line.split(" = ", 1) for line in self.helpers)
        names = (f"{name}_{i}" if i else name for i in count())
        unique = next(each for each in names if known.get(each, value) == value)
        if unique not in known:
            self.helpers.append(f"{unique} = {value}")
        return unique

    def add_scratch(self, dtype: str, elements: int, itemsize: int, prefix: str) -> str:
        """A per-thread scratch buffer; returns its name."""
        name = self.fresh(prefix)
        size = -(-elements * itemsize // 64) * 64
        self.scratch.append((BufferParameter(name, dtype), size))
        return name


class Elements:
    """Elements of the values of a fused body, written through a `KernelWriter`.

    Implements the `Elements` protocol that `element` rules use.
    """

    def __init__(self, writer: KernelWriter, body: Graph, buffers: dict[Value, str]) -> None:
        self.writer = writer
        self.body = body
        self.buffers = buffers
        self.known: dict[Value, Expr] = {}
        """Values that the kernel holds in a local (results of its hero)."""
        self.places: dict[Value, Callable[[Position], Load]] = {}
        """Values of which the kernel has a part in scratch memory, and where an element lies."""
        self._stack: list[Node] = []

    def read(self, value: Value, position: Position) -> Expr:
        """The element of `value` at `position`, as a local or constant."""
        known = self.known.get(value)
        if known is not None:
            return known
        offset = position.flat
        for block in reversed(self.writer.blocks):
            if (value, offset) in block.memo:
                return block.memo[value, offset]
        result = self.writer.let(self._element(value, position))
        target = self.writer._target(result)
        self.writer.blocks[target].memo[value, offset] = result
        return result

    def give(self, value: Value, position: Position, element: Expr) -> None:
        """Says what the element of `value` at `position` is, in the current block."""
        self.writer.blocks[-1].memo[value, position.flat] = element

    def _element(self, value: Value, position: Position) -> Expr:
        node = value.producer
        if value in self.places:
            return self.places[value](position)
        if node is None or value in self.buffers:
            return Load(value.type.dtype, self.buffers[value], position.flat)
        op = get_op(node.op)
        if op.kind is Kind.CONSTANT:
            return Const(value.type.dtype, node.attrs["value"].reshape(-1)[0].item())
        if op.kind is Kind.ELEMENTWISE:
            operands = tuple(self.read(v, same_element(v, position)) for v in node.inputs)
            return Apply(value.type.dtype, op.template(node), operands)
        if op.reduction is not None:
            return self._small_window(node, op.reduction(node), position)
        assert op.element is not None, f"{node.op} has no element rule"
        self._stack.append(node)
        result = op.element(self, node, position)
        self._stack.pop()
        return result

    def _small_window(self, node: Node, rule: Reduction, position: Position) -> Expr:
        """Every element of a window as a statement."""
        (operand,) = node.inputs
        total: Expr | None = None
        for within in rule.positions:
            index, conditions = rule.index(position, within)
            element = self.inside(operand, index, conditions, rule.identity)
            combined = Apply(operand.type.dtype, rule.combine, (total or element, element))
            total = element if total is None else self.writer.let(combined, "acc")
        assert total is not None
        return total

    def inside(
        self, value: Value, index: Sequence[Expr], conditions: Sequence[Expr], other: float
    ) -> Expr:
        """The element of `value` at a position, and `other` where a condition fails."""
        position = Position(value.type.shape, index)
        guard = conjunction(conditions)
        if guard is None:
            return self.read(value, position)
        return self.guarded(
            guard, lambda: self.read(value, position), Const(value.type.dtype, other)
        )

    def hold(self, value: Value, position: Position, local: Expr) -> None:
        """Says that the element of `value` at `position` is in a local of the current block."""
        self.writer.blocks[-1].memo[value, position.flat] = local

    def operand(self, i: int, index: Sequence[Expr] | Index) -> Expr:
        """See `graphkeras.ir.op.Elements.operand`."""
        value = self._stack[-1].inputs[i]
        if isinstance(index, Position):
            return self.read(value, index)
        indices = [index[d] for d in range(len(index))]
        return self.read(value, Position(value.type.shape, indices))

    def guarded(self, condition: Expr, value: Callable[[], Expr], other: Expr) -> Expr:
        """See `graphkeras.ir.op.Elements.guarded`."""
        condition = self.writer.let(condition, "inside")
        result = self.writer.mutable(other, "g")
        with self.writer.when(condition):
            self.writer.assign(result, value())
        return result

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """See `graphkeras.ir.op.Elements.apply`."""
        return self.writer.let(Apply(dtype, template, args))


def same_element(value: Value, position: Position) -> Position:
    """The position of an operand of an elementwise op."""
    if value.type.shape == position.shape:
        return position
    return Position(value.type.shape, flat=position.flat)
