"""Lets kernels read panels that are packed once, where their right operand is constant.

    main      fused conv ( x, w )                    fused conv ( x, panels )
    prepare   ..., outputs w                         ..., w ──► pad, reshape, transpose ──► panels

Runs behind fusion, because the width of a panel is that of the kernel's tile, and that depends on
what was fused. Constant inputs that nothing reads any more are dropped from both graphs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphkeras.codegen.cpu.contract.forms import Form, Plan
from graphkeras.codegen.cpu.contract.plan import IN_PLACE_BYTES, make_plan
from graphkeras.codegen.lower import READ_THROUGH
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.regroup import contraction_of
from graphkeras.ir.types import TensorType
from graphkeras.passes.dce import DeadCodeElimination
from graphkeras.passes.panels import OperandShape, operand_shape, pack, unpack
from graphkeras.passes.rewriter import Rewriter
from graphkeras.passes.split_constants import Split


def prepack(split: Split, fused: Graph) -> tuple[Split, Graph]:
    """Moves the packing of constant operands to the prepare graph.

    Args:
        split: Both graphs before fusion.
        fused: The main graph after fusion.

    Returns:
        The split with its new prepare graph and sources, and the new fused main graph.
    """
    return _Prepack(split, fused).run()


def _panel_width(plan: Plan) -> int | None:
    """Columns of the panels that B should be laid out in once, if it is constant.

    None where it lies as well as it is: one panel is a panel already, and of a B that spans little
    panels are no faster (1x1 from 256 to 64 channels, 3x3 from 64 to 64: 1-3 % slower).
    """
    if plan.b is not Form.IN_PLACE:
        return plan.width
    steps = [abs(step) for step in plan.b_strides.dims[1]]
    span = plan.k_elements * min(steps, default=0) * plan.itemsize
    return plan.width if plan.block > plan.width and span > IN_PLACE_BYTES else None


class _Prepack:
    def __init__(self, split: Split, fused: Graph) -> None:
        self.split = split
        self.fused = fused
        self.main = Rewriter(fused, READ_THROUGH)
        self.prepare = Builder.extending(split.prepare, READ_THROUGH)
        self.outputs = list(split.prepare.outputs)
        self.names = list(split.prepare.output_names)
        self.sources = list(split.sources)
        self.constant: dict[Value, Value] = {}
        """Constant inputs of the main graph -> what they are in the prepare graph."""
        given = dict(zip(split.constant, split.prepare.inputs, strict=True))
        for value, (prepared, position) in zip(fused.inputs, split.sources, strict=True):
            known = self.outputs[position] if prepared else given.get(position)
            if known is not None:
                self.constant[value] = known
        self.made: dict[tuple[Value, OperandShape, int], Value] = {}
        """Panels in the main graph, by what they are made of: equal ones are made once."""

    def run(self) -> tuple[Split, Graph]:
        """See `prepack`."""
        for node in self.fused.nodes:
            if not self._packed(node):
                self.main.take(node)
        if not self.made:
            return self.split, self.fused
        return self._finish(self.main.finish())

    def _packed(self, node: Node) -> bool:
        """Replaces a kernel by one that reads panels, where that is possible and worth it."""
        if node.body is None or node.attrs["pattern"] != "contract":
            return False
        body = node.body
        hero, rule = contraction_of(body)[:2]
        if rule.phases or rule.transformed:
            # Phases read a part of the kernel each, with plans of their own; what is transformed
            # lies in panels of its own kind.
            return False
        shape = operand_shape(rule)
        outer = dict(zip(body.inputs, node.inputs, strict=True))
        chain, leaves = _behind(hero.inputs[1])
        constant = leaves and all(outer[leaf] in self.constant for leaf in leaves)
        if shape is None or not constant or not hero.types[0].is_float or product(rule.n) == 1:
            return False
        buffers = {value: f"x{i}" for i, value in enumerate(body.inputs)}
        width = _panel_width(make_plan(rule, hero.types[0], hero.inputs, buffers))
        if width is None:
            return False
        panels = self._panels(hero, chain, outer, shape, width)
        new = _reading_panels(body, hero, shape, panels.type)
        outer[new.inputs[-1]] = panels
        operands = [self.main.current(outer[value]) for value in new.inputs]
        with self.main.standing_for(node):
            results = self.main.fused(new, operands, **node.attrs)
        for old, result in zip(node.results, results, strict=True):
            self.main.replace(old, result)
        return True

    def _panels(
        self,
        hero: Node,
        chain: Sequence[Node],
        outer: Mapping[Value, Value],
        shape: OperandShape,
        width: int,
    ) -> Value:
        """The input of the main graph that holds the panels; made in the prepare graph."""
        operand = hero.inputs[1]
        known = self.constant
        new = {inner: known[value] for inner, value in outer.items() if value in known}
        for node in chain:
            results = self.prepare.keep(node, [new[value] for value in node.inputs])
            new.update(zip(node.results, results, strict=True))
        key = (new[operand], shape, width)
        if key not in self.made:
            with self.prepare.at(hero.loc, (hero,)):
                panels = pack(self.prepare, new[operand], shape, width)
            name = f"{hero.loc.layer}/panels" if hero.loc.layer else "panels"
            self.sources.append((True, len(self.outputs)))
            self.outputs.append(panels)
            self.names.append(name)
            self.made[key] = self.main.input(panels.type, name)
        return self.made[key]

    def _finish(self, main: Graph) -> tuple[Split, Graph]:
        """Drops constant inputs that nothing reads."""
        read = {value for node in main.nodes for value in node.inputs} | set(main.outputs)
        panels = set(self.made.values())
        kept = [
            i
            for i, value in enumerate(main.inputs)
            if value in read or not (value in self.constant or value in panels)
        ]
        outputs = [p for prepared, p in (self.sources[i] for i in kept) if prepared]
        sources = tuple(
            (True, outputs.index(p)) if prepared else (False, p)
            for prepared, p in (self.sources[i] for i in kept)
        )
        prepare = self.prepare.build(
            [self.outputs[p] for p in outputs], {}, [self.names[p] for p in outputs]
        )
        aliases = {output: kept.index(position) for output, position in main.aliases.items()}
        main = replace(main, inputs=tuple(main.inputs[i] for i in kept), aliases=aliases)
        split = replace(
            self.split, prepare=DeadCodeElimination()(prepare), main=main, sources=sources
        )
        return split, main


def _behind(value: Value) -> tuple[list[Node], set[Value]]:
    """The nodes that make a value of a body, in order, and the inputs that they read."""
    nodes: dict[Node, None] = {}
    leaves: set[Value] = set()

    def visit(value: Value) -> None:
        if value.producer is None:
            leaves.add(value)
        elif value.producer not in nodes:
            for operand in value.producer.inputs:
                visit(operand)
            nodes[value.producer] = None

    visit(value)
    return list(nodes), leaves


def _reading_panels(body: Graph, hero: Node, shape: OperandShape, panels: TensorType) -> Graph:
    """The body with panels for its last input, instead of what the right operand was made of."""
    rewriter = Rewriter(body, READ_THROUGH)
    operand = rewriter.input(panels, "panels")
    for node in body.nodes:
        if node is hero:
            with rewriter.standing_for(hero):
                rewriter.replace(hero.inputs[1], unpack(rewriter, operand, shape))
        rewriter.take(node)
    new = DeadCodeElimination()(rewriter.finish())
    read = {value for node in new.nodes for value in node.inputs}
    return replace(new, inputs=tuple(value for value in new.inputs if value in read))
