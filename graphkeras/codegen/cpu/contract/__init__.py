"""Contractions on the CPU: how operands are read, how work is cut, and the loops around tiles.

access.py    where the elements of an operand lie: strides, or no strides
plan.py      every choice: operand forms, register tile, blocks, shared dim
operands.py  the forms of an operand: read in place, padded copy, packed
product.py   the loops of the kernel
"""

from graphkeras.codegen.cpu.contract.product import lower_contraction

__all__ = ["lower_contraction"]
