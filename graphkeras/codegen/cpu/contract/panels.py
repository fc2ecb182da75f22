"""Right operands that lie in panels: packed once, for many calls.

A tile reads V vectors of a row of B for every step of k. Read in place, rows lie as far apart as
B is wide: each step is on another cache line, or page. In panels (`passes.panels`) they lie one
behind the other, and packing them depends on B alone. Where B depends on rarely changing inputs
alone (`passes.split_constants`), the prepare graph makes the panels and the kernel takes them for
an operand (`prepack.py`). In the kernel's graph stands what they mean: the moves that turn panels
back into B. The plan knows these very moves and reads the panels; the evaluator, or a compiler
that does not know them, runs the moves and gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphkeras.codegen.cpu.contract.access import Strides
from graphkeras.frozen import frozen
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Value
from graphkeras.ir.op import Contraction
from graphkeras.passes.panels import operand_shape, panels_behind


@frozen
class Panels:
    """Panels in memory that are the right operand of a contraction."""

    buffer: str
    width: int
    """Columns of a panel."""
    strides: Strides
    """For (b, k, n). The stride of n is that of panels, divided by their width: panel p begins at
    column p * width."""


def find_panels(operand: Value, rule: Contraction, buffers: Mapping[Value, str]) -> Panels | None:
    """The panels that an operand was unpacked from, if it was."""
    shape = operand_shape(rule)
    panels = None if shape is None else panels_behind(operand, shape)
    if panels is None or panels not in buffers:
        return None
    *_, count, rows, width = (number(d) for d in panels.type.shape)
    k = tuple(number(product((width, *rule.k[i + 1 :]))) for i in range(len(rule.k)))
    whole, batch = count * rows * width, rule.batch
    b = tuple(number(product((whole, *batch[i + 1 :]))) for i in range(len(batch)))
    return Panels(buffers[panels], width, Strides(0, (b, k, (rows,) * len(rule.n))))
