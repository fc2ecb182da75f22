"""Where the sums of a tile go: to the result itself, or to a strip of scratch memory.

    nothing follows the product    tile -> result             chunks of k add to it there
    a bias, a rectifier, ...       tile -> strip -> result    what follows runs on finished rows

A strip costs a pass over the result: 3-6 % of 512 x 512 x 512. A tile that writes to the result
tells the cache first which lines it will write, so that they come while it multiplies.
"""

from __future__ import annotations

from graphkeras.codegen.cpu.contract.access import merged, strides
from graphkeras.codegen.lower import Lowering
from graphkeras.frozen import frozen
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction
from graphkeras.ir.scalar import INDEX, Var


@frozen
class Memory:
    """A result whose rows lie at one stride and whose columns are neighbours."""

    buffer: str
    start: int
    batch: tuple[int, ...]
    """Elements between neighbours of each batch dim."""
    pitch: int
    """Elements from a row to the next."""


def find_memory(lowering: Lowering, hero: Node, rule: Contraction) -> Memory | None:
    """The result of a contraction, if its sums are all that the kernel writes."""
    if lowering.grouped is not None or list(lowering.results) != [hero.result]:
        return None
    buffer = lowering.results[hero.result]
    # The last of columns whose number is known at run time only are written in whole vectors.
    if buffer in lowering.operands.values() or not isinstance(product(rule.n), int):
        return None
    groups = [len(rule.batch), len(rule.m), len(rule.n)]
    place = strides(rule.out, hero.result.type.shape, groups)
    if place is None:
        return None
    rows, columns = (merged(d, s) for d, s in zip((rule.m, rule.n), place.dims[1:], strict=True))
    if len(rows) > 1 or len(columns) != 1 or columns[0].strides != (1,):
        return None
    pitch = rows[0].strides[0] if rows else 0
    return Memory(buffer, place.start, place.dims[0], pitch)


def every_step_counts(rule: Contraction) -> bool:
    """Whether no step of k lies outside the left operand.

    Else tiles may leave chunks out, and begin with any of them; sums then need zeros to begin with.
    """
    groups = (("b", rule.batch), ("m", rule.m), ("k", rule.k))
    names = [[Var(INDEX, f"{g}{i}") for i in range(len(dims))] for g, dims in groups]
    return not rule.lhs(*names)[1]
