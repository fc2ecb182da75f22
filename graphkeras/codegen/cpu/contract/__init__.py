"""Contractions on the CPU: how operands are read, how work is cut, and the loops around tiles.

access.py             where the elements of an operand lie: strides, or no strides
source.py             which memory it is, behind ops that only move elements
panels.py             right operands that lie in panels; prepack.py makes them of constant ones
choices.py            the choices that a tuner may make in place of the cost model
variants.py           those worth timing
forms.py              the words of a plan: forms of an operand, runs of rows, cuts of k
plan.py               every choice, in order: operand forms, blocks, shared dim
cuts.py               how k is cut in chunks
layouts.py            which part of a padded view is laid out
runs.py               how rows are cut in runs and tiles
streams.py            what tiles ask the cache for besides
clip.py               the positions that exist for a tap: gradients of kernels without a padded copy
tile.py               the size of a register tile
operands.py           the forms of an operand: read in place, padded copy, packed
product.py            the loops of the kernel
calls.py              the calls of tiles in them
result.py             whether tiles write to the result or to scratch memory
whole_rows.py         loops over rows that tiles have completed
meeting.py            which pixels, positions and taps of a convolution meet
winners.py            the gradients behind a maximum over windows that need its winners only
sparse.py             the loops of these
channels.py           where no matrix is left: convolutions of each channel by itself
channel_plan.py       their choices
depthwise.py          the loops of these
channel_sums.py       the loops of the gradients of their kernels
channel_images.py     the same, where each image has its own
lines.py              lines of an image that the next two transform, copied with zeros around them
winograd.py           convolutions with a transformed kernel
winograd_gradient.py  gradients of kernels from transformed patches
"""

from graphkeras.codegen.cpu.contract.channel_images import lower_image_sums
from graphkeras.codegen.cpu.contract.channel_sums import lower_channel_sums
from graphkeras.codegen.cpu.contract.channels import find_channels
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.depthwise import lower_depthwise
from graphkeras.codegen.cpu.contract.product import lower_product, parts
from graphkeras.codegen.cpu.contract.sparse import lower_sparse
from graphkeras.codegen.cpu.contract.variants import variants
from graphkeras.codegen.cpu.contract.winograd import lower_winograd
from graphkeras.codegen.cpu.contract.winograd_gradient import lower_sums
from graphkeras.codegen.lower import Lowering
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction


def lower_contraction(
    lowering: Lowering, hero: Node, rule: Contraction, choices: Choices = BY_MODEL
) -> bool:
    """Writes the kernel of a contraction of floats; False, and nothing, where there is no tile."""
    if rule.transformed:
        (lower_winograd if rule.transformed == "kernel" else lower_sums)(lowering, hero, rule)
        return True
    if product(rule.n) == 1:
        found = find_channels(lowering, hero, rule)
        if found is None:
            return False
        if found.images == "m":
            return lower_depthwise(found, choices)
        if found.images == "b":
            return lower_image_sums(found, choices)
        return lower_channel_sums(found)
    if choices.winners is not False and lower_sparse(lowering, hero, rule, choices):
        return True
    for part in parts(rule):
        lower_product(lowering, hero, part, choices)
    return True


__all__ = ["BY_MODEL", "Choices", "lower_contraction", "variants"]
