"""What a contraction's kernel does with whole rows of its result (`ir.whole_rows`).

tiles of rows: A, B -> C        C a strip of scratch memory, all columns of a row side by side
for row of them: the loops over its columns (codegen/row_loops.py) read the row in C
"""

from __future__ import annotations

from collections.abc import Sequence

from graphkeras.codegen.cpu.contract.forms import Plan
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import loop_share
from graphkeras.ir.dims import Dim, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import Expr, Load, as_index


class WholeRows:
    """Writes the loops over rows that a tile has completed.

    Args:
        lowering: Of the kernel.
        hero: The contraction.
        rule: Its rule.
        plan: Its plan, with one block of columns.
        c: The strip.
    """

    def __init__(
        self, lowering: Lowering, hero: Node, rule: Contraction, plan: Plan, c: str
    ) -> None:
        self.lowering = lowering
        self.hero = hero
        self.rule = rule
        self.plan = plan
        self.c = c
        self.loops = lowering.row_loops()

    def work(self, grain: int) -> Dim:
        """What the loops do in all, in units of which `grain` are worth a thread of their own."""
        share = loop_share(self.lowering.body, self.lowering.node.attrs["space"])
        return share.work * (grain // share.grain)

    def write(self, b: Sequence[Expr], first: Expr, count: Expr, line: Expr) -> None:
        """Goes on with some rows.

        Args:
            b: Position in the batch dims.
            first: The first of them, among the rows of this position.
            count: How many.
            line: Where the first one begins in the strip.
        """
        writer, rule = self.lowering.writer, self.rule
        before = Position(rule.batch, b).flat * as_index(product(rule.m)) + first
        with writer.loop(0, count, "r") as r:
            begin = writer.let(line + r * self.plan.block, "line")

            def place(position: Position) -> Load:
                column = Position(rule.n, position.indices[-len(rule.n) :]).flat
                return Load(self.plan.dtype, self.c, begin + column)

            self.lowering.elements.places[self.hero.result] = place
            self.loops.write(writer.let(before + r, "row"))
