"""Contractions on the CPU: how operands are read, how work is cut, and the loops around tiles.

access.py     where the elements of an operand lie: strides, or no strides
plan.py       every choice: operand forms, blocks, shared dim
tile.py       the register tile
operands.py   the forms of an operand: read in place, padded copy, packed
product.py    the loops of the kernel
meeting.py    which pixels, positions and taps of a convolution meet
depthwise.py  where no matrix is left: convolutions of each channel by itself
"""

from graphkeras.codegen.cpu.contract.depthwise import lower_depthwise
from graphkeras.codegen.cpu.contract.plan import MOST_PHASES
from graphkeras.codegen.cpu.contract.product import lower_product
from graphkeras.codegen.lower import Lowering
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction


def lower_contraction(lowering: Lowering, hero: Node, rule: Contraction) -> bool:
    """Writes the kernel of a contraction of floats; False, and nothing, where there is no tile."""
    if product(rule.n) == 1:
        return lower_depthwise(lowering, hero, rule)
    if not 0 < len(rule.phases) <= MOST_PHASES:
        lower_product(lowering, hero, rule)
        return True
    for phase in rule.phases:
        lower_product(lowering, hero, phase)
    return True


__all__ = ["lower_contraction"]
