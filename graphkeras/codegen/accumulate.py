"""The loops of a REDUCE kernel: one or several accumulators for each result element.

    over vectors      for row: acc[j] = 0; for k: for j: acc[j] += x[k, j]; for j: outputs
    over elements     for i: acc = 0; for k: acc += x[i, k]; outputs

Over vectors where the last result dim is the operand's contiguous one: k moves along memory row by
row, and a few vectors of accumulators stay in registers or in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from graphkeras.codegen.emit import KernelWriter
from graphkeras.codegen.program import Share
from graphkeras.frozen import frozen
from graphkeras.ir.dims import Shape, product
from graphkeras.ir.graph import Node, Value
from graphkeras.ir.op import Reduction, get_op
from graphkeras.ir.position import Position, split_offset
from graphkeras.ir.scalar import INDEX, Apply, Const, Expr, Load, as_index, least

ACCUMULATORS = 256
"""Elements of an accumulator buffer: a KiB or two, so that it stays in L1."""

Element = Callable[[Position, Sequence[Expr]], Expr]
"""(result position, place in the reduced space) -> the element that is added there."""
Finish = Callable[[Mapping[Value, Expr], Position], None]
"""(reduced values at a position, the position): stores the outputs there."""


@frozen
class Term:
    """A value that is accumulated."""

    result: Value
    combine: str
    """Template of the new accumulator, of the old one and an element."""
    one_combine: str
    """The same for a loop with a single accumulator."""
    identity: float
    element: Element

    @property
    def dtype(self) -> str:
        """Of the accumulator."""
        return self.result.type.dtype

    @property
    def start(self) -> Const:
        """The accumulator before the first element."""
        return Const(self.dtype, self.identity)


def reduction_term(result: Value, rule: Reduction, element: Element) -> Term:
    """The term of a reduction."""
    return Term(result, rule.combine, one_accumulator(rule), rule.identity, element)


def sum_term(result: Value, element: Element) -> Term:
    """The term of a plain sum, whose terms are added in their order."""
    return Term(result, "({0} + {1})", "({0} + {1})", 0, element)


def reduction_of(hero: Node) -> Reduction:
    """The rule of a reduction."""
    rule = get_op(hero.op).reduction
    assert rule is not None
    return rule(hero)


def one_accumulator(rule: Reduction) -> str:
    """The combine template of a loop with one accumulator, which only vectorises if reordered."""
    return "add_any_order({0}, {1})" if rule.is_sum else rule.combine


class Accumulation:
    """Writes the loops for terms over the same elements."""

    def __init__(
        self,
        writer: KernelWriter,
        terms: Sequence[Term],
        shape: Shape,
        space: Shape,
        finish: Finish,
    ) -> None:
        """`shape`: of the results; `space`: sizes of the reduced loops."""
        self.writer = writer
        self.terms = terms
        self.shape = shape
        self.space = space
        self.finish = finish
        self.share = Share(product(shape) * product(space))

    def over_elements(self) -> None:
        """One local accumulator a result element; reduced dims innermost."""
        with self.writer.parallel(product(self.shape), "i", self.share) as i:
            position = Position(self.shape, flat=i)
            accs = [self.writer.mutable(term.start) for term in self.terms]
            with ExitStack() as loops:
                red = [loops.enter_context(self.writer.loop(0, d, "k")) for d in self.space]
                for term, acc in zip(self.terms, accs, strict=True):
                    element = term.element(position, red)
                    self.writer.assign(acc, Apply(term.dtype, term.one_combine, (acc, element)))
            self._finish(accs, position)

    def over_vectors(self) -> None:
        """A buffer of accumulators along the last result dim, which is contiguous in memory."""
        buffers = [
            self.writer.add_scratch(t.dtype, ACCUMULATORS, t.result.type.itemsize, "accs")
            for t in self.terms
        ]
        rows, columns = self.shape[:-1], self.shape[-1]
        if product(rows) == 1:
            with self.writer.parallel_range(columns, 16, self.share, "col") as (lo, hi):
                self._blocks(buffers, [Const(INDEX, 0)] * len(rows), lo, hi)
            return
        with self.writer.parallel(product(rows), "row", self.share) as row:
            prefix = list(split_offset(row, rows))
            if isinstance(columns, int) and columns <= ACCUMULATORS:
                # Of a known width: LLVM keeps a few vectors of accumulators in registers.
                self._block(buffers, prefix, Const(INDEX, 0), Const(INDEX, columns))
            else:
                self._blocks(buffers, prefix, Const(INDEX, 0), as_index(columns))

    def _blocks(self, buffers: list[str], prefix: list[Expr], low: Expr, high: Expr) -> None:
        with self.writer.loop(low, high, "col", ACCUMULATORS) as first:
            width = self.writer.let(least(Const(INDEX, ACCUMULATORS), high - first), "width")
            self._block(buffers, prefix, first, width)

    def _block(self, buffers: list[str], prefix: list[Expr], first: Expr, width: Expr) -> None:
        writer = self.writer
        terms = list(zip(self.terms, buffers, strict=True))
        with writer.loop(0, width, "j") as j:
            for term, buffer in terms:
                writer.store(buffer, j, term.start)
        with ExitStack() as loops:
            red = [loops.enter_context(writer.loop(0, d, "k")) for d in self.space]
            j = loops.enter_context(writer.loop(0, width, "j"))
            for term, buffer in terms:
                element = term.element(Position(self.shape, [*prefix, first + j]), red)
                acc = writer.pinned(Load(term.dtype, buffer, j), "acc")
                writer.store(buffer, j, Apply(term.dtype, term.combine, (acc, element)))
        with writer.loop(0, width, "j") as j:
            position = Position(self.shape, [*prefix, first + j])
            accs = [writer.pinned(Load(t.dtype, buffer, j), "acc") for t, buffer in terms]
            self._finish(accs, position)

    def _finish(self, accs: Sequence[Expr], position: Position) -> None:
        results = (term.result for term in self.terms)
        self.finish(dict(zip(results, accs, strict=True)), position)
