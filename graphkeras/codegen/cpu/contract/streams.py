"""What tiles ask the cache for while they multiply: what the tiles after them read first.

    k whole       the next tile's rows of A, by all panels of a block in turn
                  the next block of a B whose columns lie along k, by all tiles and panels in turn
    k in chunks   the next chunk of A and of B, by all tiles and panels of a strip in turn; where
                  lines of A are laid out, the lines of the image

Who reads memory first waits for it: a core has about 500 instructions under way, ten steps of a
tile, and a line from the third-level cache takes longer. The processor's own prefetcher is no help
where a tile walks over several rows at once. Lines that are asked for in order, one every few
steps, cost nothing that can be told, and have the prefetcher run ahead of them. On one thread, in
one run: a 1x1 convolution of 28x28x128, batch 32, from 73 to 88 % of the peak; the gradient of its
kernel from 70 to 87 %, that of 56x56x64 from 62 to 89 %. Gradients of 3x3 kernels whose image is
computed from 64 of 32x32x16 while it is laid out: 1.36 to 1.21 ms on two cores.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from graphkeras.codegen.cpu.contract.access import Strides, merged
from graphkeras.codegen.cpu.contract.forms import Form, Plan, Stream
from graphkeras.codegen.cpu.contract.source import Source
from graphkeras.ir.dims import number, product
from graphkeras.ir.op import Contraction

TEAM = 2
"""Threads that tiles and panels are taken to be shared among; where there are more, each asks for a
part of what comes next."""
BLOCK_PACE = 4
"""Elements of the next block of B a step of k: a line every few steps."""
MOST_PACE = 16
"""Elements a step of k; tiles that are to ask for more, of a strip of few, do not ask."""


def with_streams(rule: Contraction, plan: Plan) -> Plan:
    """The plan, with what its tiles ask for."""
    if plan.clips or plan.sweep or plan.streamed or len(plan.runs.rows) == 1:
        return plan
    columns = product(rule.n)
    if not isinstance(columns, int):
        return plan
    own = columns if plan.shared != "n" else -(-columns // (TEAM * plan.width)) * plan.width
    panels = -(-min(plan.block, own) // plan.width)
    if plan.cut is None:
        found = [*_rows(plan, panels), *_next_block(rule, plan, own)]
    else:
        found = _chunks(rule, plan, own, panels)
    return replace(plan, streams=tuple(stream for stream in found if stream.pace <= MOST_PACE))


def _rows(plan: Plan, panels: int) -> list[Stream]:
    """The next rows of A, where all of A is one piece of memory."""
    rows, steps = len(plan.runs.rows), plan.k_elements
    apart = tuple(i * steps for i in range(rows))
    line = merged(
        [extent or 0 for extent, *_ in plan.loops], [along[0] for _, *along in plan.loops]
    )
    if plan.a is not Form.IN_PLACE or plan.runs.rows != apart or len(line) != 1:
        return []
    if line[0].strides != (1,):
        return []
    return [Stream(0, -(-rows // panels), rows * steps)]


def _next_block(rule: Contraction, plan: Plan, own: int) -> list[Stream]:
    """The next block of columns of B, where these lie along k and one behind the other."""
    if not columns_follow(rule, plan.b_source, plan.b) or own <= plan.block:
        return []
    calls = -(-plan.block // BLOCK_PACE)
    return [Stream(1, BLOCK_PACE, plan.block * plan.k_elements, calls=calls)]


def columns_follow(rule: Contraction, source: Source | None, form: Form) -> bool:
    """Whether columns of a B that is packed lie along k, and one behind the other."""
    if form is not Form.PACKED or source is None:
        return False
    along, across = merged(rule.k, source.strides.dims[1]), merged(rule.n, source.strides.dims[2])
    return [axis.strides for axis in (*along, *across)] == [(1,), (product(rule.k),)]


def _chunks(rule: Contraction, plan: Plan, own: int, panels: int) -> list[Stream]:
    """The next chunk of both operands, where k is the outer dim of their memory."""
    columns, runs = number(product(rule.n)), plan.runs
    # Of whole tiles, which alone ask.
    tiles, units = plan.strip, product(rule.m[: runs.lead])
    if isinstance(units, int) and isinstance(runs.extent, int):
        whole = units * (runs.extent // len(runs.rows))
        tiles = max(1, min(tiles, whole if plan.shared != "m" else whole // TEAM))
    calls = tiles * panels
    found = []
    rows = product(rule.m)
    neighbours = runs.rows == tuple(range(len(runs.rows)))
    if plan.a is Form.IN_PLACE and neighbours and isinstance(rows, int):
        found.append(_chunk(rule, plan, plan.a_strides, 0, rows, calls))
    if plan.layout is not None and plan.layout.of_batch and plan.a_buffer:
        elements = plan.layout.group * plan.layout.line_step * line_of_image(rule)
        found.append(Stream(0, -(-elements // (calls * plan.k_elements)), elements))
    if plan.b is not Form.PANELS and plan.b_source is not None:
        source = plan.b_source.strides
        by_row = 2 * own <= columns and calls >= plan.k_elements
        found.append(_chunk(rule, plan, source, 1, columns, calls, own if by_row else 0))
    return [stream for stream in found if stream is not None]


def line_of_image(rule: Contraction) -> int:
    """Elements of a line of the image that a view shows."""
    assert rule.view is not None
    spans = [span or (0, 0) for span in rule.view.inside[1:]]
    return prod(stop - start for start, stop in spans)


def _chunk(
    rule: Contraction,
    plan: Plan,
    strides: Strides,
    operand: int,
    length: int,
    calls: int,
    own: int = 0,
) -> Stream | None:
    """The next chunk of an operand, in which a step of k has `length` neighbours in memory.

    `own`: how many of them a thread reads, where tiles ask for these alone: each in one row.
    """
    assert plan.cut is not None
    cut, along = plan.cut, strides.dims[1 if operand else 2]
    axes = merged(rule.k[cut.dim :], along[cut.dim :])
    if len(axes) != 1 or not length <= axes[0].strides[0] <= 2 * length:
        return None
    pitch = axes[0].strides[0]
    ahead = cut.length * along[cut.dim]
    if own:
        return Stream(operand, -(-own // plan.k_elements), ahead, pitch, calls)
    return Stream(operand, -(-pitch // calls), ahead)
