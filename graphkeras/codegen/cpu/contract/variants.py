"""The ways to write a contraction's kernel that are worth timing, one step from the model's plan.

    tile       other widths, with the rows that the model thinks best for each;
               one tile more or less along a run
    operands   copied instead of read in place, and the other way round
    k          longer and shorter chunks; whole, or cut
    blocks     half and twice the columns, the strip, the lines of a view
    channels   other blocks for convolutions of single channels
    threads    rows shared out instead of columns, and the other way round
    algorithm  behind max pooling, from the winners instead of the product, and the other way round

A step that makes no difference gives the text of another one, by which a tuner tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphkeras.codegen.cpu.contract.channel_plan import channel_choices, make_channel_plan
from graphkeras.codegen.cpu.contract.channels import find_channels
from graphkeras.codegen.cpu.contract.choices import BY_MODEL, Choices
from graphkeras.codegen.cpu.contract.forms import Form, Plan
from graphkeras.codegen.cpu.contract.plan import make_plan
from graphkeras.codegen.cpu.contract.product import parts
from graphkeras.codegen.cpu.contract.result import every_step_counts, find_memory
from graphkeras.codegen.cpu.contract.tile import MOST_ROWS
from graphkeras.codegen.cpu.contract.winners import find_winners
from graphkeras.codegen.lower import Lowering
from graphkeras.ir.dims import number, product
from graphkeras.ir.graph import Node
from graphkeras.ir.op import Contraction

SHORTEST_CHUNK = 64
"""Steps of k; in a shorter chunk loading and storing the sums takes longer than the steps."""


def variants(lowering: Lowering) -> list[Choices]:
    """Choices to try for a kernel of the pattern CONTRACT, besides the cost model's."""
    hero, rule = lowering.contraction()
    if not hero.types[0].is_float or rule.transformed:
        return []
    if product(rule.n) == 1:
        return _of_channels(lowering, hero, rule)
    winners = find_winners(hero, rule, lowering.operands)
    if winners is not None and winners.is_cheaper:
        return [Choices(winners=False)]
    # All phases of a dilated image get the same choices; the one with the most taps decides.
    part = parts(rule)[0]
    if len(parts(rule)) > 1:
        part = max(parts(rule), key=lambda phase: number(product(phase.k)))
    if product(part.k) == 0:
        return []
    in_memory = find_memory(lowering, hero, part) is not None and every_step_counts(part)
    plan = make_plan(part, hero.types[0], hero.inputs, lowering.operands, in_memory=in_memory)
    steps = (_tiles(plan, part), _operands(plan), _chunks(plan, part), _blocks(plan, part))
    algorithms = [Choices(winners=True)] if winners is not None else []
    return [*algorithms, *(choice for group in steps for choice in group)]


def _of_channels(lowering: Lowering, hero: Node, rule: Contraction) -> list[Choices]:
    found = find_channels(lowering, hero, rule)
    if found is None or found.images == "k":
        return []
    return list(channel_choices(found.shape, make_channel_plan(found.shape, BY_MODEL)))


def _tiles(plan: Plan, rule: Contraction) -> Iterator[Choices]:
    columns = product(rule.n)
    most = 4 if not isinstance(columns, int) else min(4, -(-columns // plan.lanes))
    for vectors in range(1, most + 1):
        # Panels were packed for tiles of their width.
        if vectors * plan.lanes != plan.width and plan.b is not Form.PANELS:
            yield Choices(vectors=vectors)
    rows, extent = len(plan.runs.rows), plan.runs.extent
    if not isinstance(extent, int):
        yield from (Choices(rows=r) for r in (4, 6, 8, 10, 12, MOST_ROWS) if r != rows)
        return
    tiles = -(-extent // rows)
    for other in (tiles - 1, tiles + 1):
        if other and -(-extent // other) <= MOST_ROWS:
            yield Choices(rows=-(-extent // other))


def _operands(plan: Plan) -> Iterator[Choices]:
    yield Choices(a_in_place=plan.a is not Form.IN_PLACE)
    if plan.b is not Form.PANELS:
        yield Choices(b_in_place=plan.b is not Form.IN_PLACE)


def _chunks(plan: Plan, rule: Contraction) -> Iterator[Choices]:
    total = product(rule.k)
    if plan.cut is None:
        sizes = [plan.k_elements // parts for parts in (2, 4, 8)]
    else:
        sizes = [plan.k_elements // 2, plan.k_elements * 2, plan.k_elements * 4]
    for steps in sizes:
        if steps >= SHORTEST_CHUNK:
            yield Choices(k_steps=min(steps, total) if isinstance(total, int) else steps)


def _blocks(plan: Plan, rule: Contraction) -> Iterator[Choices]:
    columns = product(rule.n)
    used = plan.block * plan.k_elements
    if plan.block >= 2 * plan.width:
        yield Choices(b_elements=used // 2)
    if not isinstance(columns, int) or plan.block < columns:
        yield Choices(b_elements=used * 2)
    if plan.cut is not None:
        strip = plan.strip * plan.block * len(plan.runs.rows)
        yield from (Choices(c_elements=strip // 2), Choices(c_elements=strip * 2))
    if plan.layout is not None:
        assert rule.view is not None
        line = product(rule.view.shape[2:])
        assert isinstance(line, int)
        view = (plan.layout.images or 1) * plan.layout.lines * line
        yield from (Choices(view_elements=view // 2), Choices(view_elements=view * 2))
    if plan.shared != "b" and isinstance(columns, int) and columns >= 2 * plan.width:
        yield Choices(shared="m" if plan.shared == "n" else "n")
