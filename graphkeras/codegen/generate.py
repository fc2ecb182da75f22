"""From a scheduled graph to a program: a kernel a node, and the launch table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from graphkeras.codegen.cpu import contract
from graphkeras.codegen.cpu.contract import BY_MODEL, Choices
from graphkeras.codegen.cpu.printer import print_kernel
from graphkeras.codegen.footprint import find_footprint
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Argument, KernelSource, Launch, Limit, Program
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node
from graphkeras.ir.op import get_op
from graphkeras.passes.memory import Buffer, MemoryPlan, Place, plan_memory


def generate(graph: Graph, choices: Mapping[Node, Choices] | None = None) -> Program:
    """Kernels, launch table and memory plan of a scheduled graph, for the CPU.

    Args:
        graph: The scheduled graph.
        choices: How to write the kernels of contractions, where not as the cost model says.
    """
    plan = plan_memory(graph)
    launches = []
    scratch = 0
    for position, node in enumerate(graph.nodes):
        if node.body is None:
            continue
        launch, needed = _launch(position, node, plan, (choices or {}).get(node, BY_MODEL))
        launches.append(launch)
        scratch = max(scratch, needed)
    limits = tuple(dict.fromkeys(_limits(graph)))
    return Program(graph, tuple(launches), plan.constants, plan.arena, scratch, limits)


def variants(node: Node) -> list[Choices]:
    """Choices for a node's kernel that are worth timing, besides the cost model's."""
    if node.body is None or node.attrs["pattern"] != "contract":
        return []
    operands = [f"x{i}" for i in range(len(node.inputs))]
    results = [f"y{i}" for i in range(len(node.results))]
    return contract.variants(_lowering(node, operands, results, BY_MODEL))


def _limits(graph: Graph) -> Iterator[Limit]:
    for kernel in graph.nodes:
        for node in kernel.body.nodes if kernel.body else ():
            rule = get_op(node.op).limits
            # No place: programs are kept for all files that compute the same.
            reader = f"{node.op} of {node.inputs[0].type} to {node.result.type}" if rule else ""
            yield from (Limit(spare, reader) for spare in (rule(node) if rule else ()))


def _lowering(
    node: Node, operands: Sequence[str], results: Sequence[str], choices: Choices
) -> Lowering:
    lower_contraction = partial(contract.lower_contraction, choices=choices)
    return Lowering(node, lower_contraction, operands, results)


def _launch(position: int, node: Node, plan: MemoryPlan, choices: Choices) -> tuple[Launch, int]:
    names: dict[Buffer, str] = {}
    operands = [names.setdefault(plan.places[v], f"x{i}") for i, v in enumerate(node.inputs)]
    results = [names.setdefault(plan.places[v], f"y{i}") for i, v in enumerate(node.results)]
    kernel = _lowering(node, operands, results, choices).run()
    arguments: list[Argument] = [*names]
    if kernel.scratch:
        arguments += map(Buffer, (Place.SCRATCH, Place.SCRATCH_BYTES, Place.SLICES))
    arguments.extend(Size.symbol(name) for name in kernel.symbols)
    chosen = [] if choices == BY_MODEL else [f"chosen by timing: {choices}"]
    comment = "\n".join([f"{node.loc.phase}: {node.loc}", *chosen, *kernel.comments])
    source = KernelSource(kernel.name, print_kernel(kernel), comment)
    types = {names[plan.places[v]]: v.type for v in (*node.results, *node.inputs)}
    footprint = find_footprint(kernel, [types[buffer.name] for buffer in kernel.buffers])
    launch = Launch(source, tuple(arguments), position, footprint)
    return launch, kernel.scratch_bytes
