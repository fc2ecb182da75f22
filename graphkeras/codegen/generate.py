"""From a scheduled graph to a program: a kernel a node, and the launch table."""

from __future__ import annotations

from graphkeras.codegen.cpu.contract import lower_contraction
from graphkeras.codegen.cpu.printer import print_kernel
from graphkeras.codegen.footprint import find_footprint
from graphkeras.codegen.lower import Lowering
from graphkeras.codegen.program import Argument, KernelSource, Launch, Program
from graphkeras.ir.dims import Size
from graphkeras.ir.graph import Graph, Node
from graphkeras.passes.memory import Buffer, MemoryPlan, Place, plan_memory


def generate(graph: Graph) -> Program:
    """Kernels, launch table and memory plan of a scheduled graph, for the CPU."""
    plan = plan_memory(graph)
    launches = []
    scratch = 0
    for position, node in enumerate(graph.nodes):
        if node.body is None:
            continue
        launch, needed = _launch(position, node, plan)
        launches.append(launch)
        scratch = max(scratch, needed)
    return Program(graph, tuple(launches), plan.constants, plan.arena, scratch)


def _launch(position: int, node: Node, plan: MemoryPlan) -> tuple[Launch, int]:
    names: dict[Buffer, str] = {}
    operands = [names.setdefault(plan.places[v], f"x{i}") for i, v in enumerate(node.inputs)]
    results = [names.setdefault(plan.places[v], f"y{i}") for i, v in enumerate(node.results)]
    kernel = Lowering(node, lower_contraction, operands, results).run()
    arguments: list[Argument] = [*names]
    if kernel.scratch:
        arguments.append(Buffer(Place.SCRATCH))
    arguments.extend(Size.symbol(name) for name in kernel.symbols)
    comment = "\n".join([f"{node.loc.phase}: {node.loc}", *kernel.comments])
    source = KernelSource(kernel.name, print_kernel(kernel), comment)
    types = {names[plan.places[v]]: v.type for v in (*node.results, *node.inputs)}
    footprint = find_footprint(kernel, [types[buffer.name] for buffer in kernel.buffers])
    launch = Launch(source, tuple(arguments), position, footprint)
    return launch, kernel.scratch_bytes
