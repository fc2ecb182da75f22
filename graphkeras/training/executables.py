"""From a traced step to something that runs: compiled, or node by node for `run_eagerly`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Array
from graphkeras.ir.types import TensorType
from graphkeras.passes.gather_samples import SAMPLES, gather_samples
from graphkeras.trace import BATCH, Traced

Executable = Callable[[Sequence[Array], Sequence[Array]], tuple[Array, ...]]
"""Takes the arrays of all graph inputs, first the data, then the buffers of variables. Outputs
that alias an input are written into its array; the others are returned."""


def executable_for(
    traced: Traced,
    samples: Sequence[TensorType],
    trains: bool,
    eagerly: bool,
    autotune: bool | None,
    sizes: Mapping[str, int],
) -> Executable:
    """Makes a step runnable.

    Args:
        traced: The step.
        samples: Empty where it takes batches; else the types of all samples of which it gathers
            its batches, and it takes the numbers of theirs too (`gather_samples`).
        trains: Whether it is a training step. In others most variables stay what they are from
            call to call, so what depends on them alone is computed once.
        eagerly: Whether each node runs by itself with its NumPy reference: slow, but a debugger
            can stop at every node.
        autotune: Whether kernels are chosen by timing; None for the setting.
        sizes: The run-time sizes to time them for.
    """
    if samples:
        graph = gather_samples(traced.graph, samples)
        traced = Traced(graph, traced.variables, traced.output_names)
        sizes = {**sizes, SAMPLES: sizes[BATCH]}
    graph, variables = traced.graph, traced.variables
    if eagerly:
        return ReferenceExecutable(graph)
    from graphkeras.programs import load_or_compile, load_or_compile_halves
    from graphkeras.runtime.prepared import PreparedExecutable

    if trains:
        return load_or_compile(graph, autotune, sizes)
    compiled = load_or_compile_halves(graph, traced.constant, autotune, sizes)
    if isinstance(compiled, PreparedExecutable):
        first = len(graph.inputs) - len(variables)
        compiled.watch([variables[i - first].change for i in traced.constant])
    return compiled


class ReferenceExecutable:
    """Runs a graph with the NumPy evaluator; writes aliased outputs in place like a compiled one.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, data: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
        """One run."""
        from graphkeras.ir.evaluate import evaluate

        arrays = [*data, *state]
        results = evaluate(self._graph, arrays)
        aliases = self._graph.aliases
        # Copies first: a next value may be a view of another variable's buffer.
        updates = [(position, results[output].copy()) for output, position in aliases.items()]
        for position, value in updates:
            np.copyto(arrays[position], value)
        return tuple(array for i, array in enumerate(results) if i not in aliases)
