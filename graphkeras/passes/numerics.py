"""Did a pass change the numbers? And if so, where does the first wrong number come from?

Two graphs with the same inputs are run by the NumPy evaluator on the same arrays. Outputs are
compared with a tolerance scaled by the largest expected magnitude; NaN and infinities must
match. To find the first node at fault, nodes are paired across the pass: an untouched node with
itself, a new node with the one it stands for (`Node.origins`). Several new nodes may stand for
one old node; the last of them makes its result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.evaluate import evaluate_nodes
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Array
from graphkeras.passes.record import PassRecord

SYMBOLIC_SIZE = 3
"""Value of every run-time dimension of random inputs."""


@frozen
class Mismatch:
    """A pass that changed the numbers."""

    record: PassRecord
    output: int
    """Position of the first output that differs."""
    error: float
    """Largest difference in that output, in units of its largest expected magnitude."""
    node: Node | None
    """First node of the graph after the pass whose result differs; None where no pairing."""

    def __str__(self) -> str:
        names = self.record.after.output_names
        output = f"output {self.output}" + (f" ({names[self.output]})" if names else "")
        text = f"pass {self.record.spec} changed {output} by {self.error:.2g} relative"
        if self.node is None:
            return f"{text}; no single node could be found at fault"
        types = ", ".join(str(kind) for kind in self.node.types)
        return (
            f"{text}\n  first node that differs: {self.node.op} -> {types}\n  at: {self.node.loc}"
        )


def random_inputs(graph: Graph, seed: int = 0) -> list[Array]:
    """Arrays for the inputs of a graph: floats in [-1, 1), small integers, random bools.

    Unsigned 32-bit and 64-bit integers, which are keys of random generators, use all bits.
    """
    rng = np.random.default_rng(seed)
    sizes = dict.fromkeys(graph.symbols, SYMBOLIC_SIZE)
    arrays: list[Array] = []
    for value in graph.inputs:
        shape, dtype = value.type.concrete(sizes), np.dtype(value.type.dtype)
        if dtype.kind == "f":
            arrays.append(rng.uniform(-1, 1, shape).astype(dtype))
        elif dtype.kind == "u" and dtype.itemsize >= 4:
            arrays.append(rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True))
        else:
            arrays.append(rng.integers(0, 2 if dtype.kind == "b" else 4, shape).astype(dtype))
    return arrays


def relative_error(expected: Array, received: Array) -> float:
    """Largest difference over the largest finite magnitude expected; infinite if NaNs differ."""
    if expected.shape != received.shape or expected.dtype != received.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, received) else float("inf")
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], received[~finite], equal_nan=True):
        return float("inf")
    a, b = expected[finite].astype(np.float64), received[finite].astype(np.float64)
    if not np.all(np.isfinite(b)):
        return float("inf")
    if a.size == 0:
        return 0.0
    scale = max(float(np.abs(a).max()), float(np.finfo(expected.dtype).tiny))
    return float(np.abs(a - b).max()) / scale


def check_pass(record: PassRecord, arrays: Sequence[Array], rtol: float = 1e-5) -> Mismatch | None:
    """What a pass changed in the outputs both graphs have, or None if nothing.

    Args:
        record: The pass.
        arrays: Inputs of both graphs.
        rtol: Tolerance for floats, relative to the largest magnitude in each tensor; float64
            results of a pass on float32 values are held to the same.
    """
    before, after = evaluate_nodes(record.before, arrays), evaluate_nodes(record.after, arrays)
    for i, (old, new) in enumerate(zip(record.before.outputs, record.after.outputs, strict=False)):
        error = relative_error(before[old], after[new])
        if error > rtol:
            return Mismatch(record, i, error, _first_node(record.after, before, after, rtol))
    return None


def first_wrong(
    records: Sequence[PassRecord], arrays: Sequence[Array], rtol: float = 1e-5
) -> Mismatch | None:
    """The first pass of a pipeline whose outputs differ from the first graph's, by bisection.

    Once an output is wrong it is taken to stay wrong, so n passes need about log2(n) runs.

    Args:
        records: The records of one run of a `PassManager`.
        arrays: Inputs of the graph.
        rtol: Tolerance, as for `check_pass`.

    Returns:
        The pass, output and node at fault, or None if the last graph's outputs are right.
    """
    if not records:
        return None
    right, wrong = 0, len(records)
    while right < wrong:
        middle = (right + wrong) // 2
        whole = PassRecord("", "", 0.0, records[0].before, records[middle].after)
        if check_pass(whole, arrays, rtol) is None:
            right = middle + 1
        else:
            wrong = middle
    if wrong == len(records):
        return None
    whole = PassRecord("", "", 0.0, records[0].before, records[wrong].after)
    return check_pass(records[wrong], arrays, rtol) or Mismatch(
        records[wrong], *_worst(whole, arrays), None
    )


def _worst(record: PassRecord, arrays: Sequence[Array]) -> tuple[int, float]:
    """The output in which two graphs differ most."""
    before, after = evaluate_nodes(record.before, arrays), evaluate_nodes(record.after, arrays)
    pairs = zip(record.before.outputs, record.after.outputs, strict=False)
    errors = [relative_error(before[old], after[new]) for old, new in pairs]
    return max(enumerate(errors), key=lambda pair: pair[1])


def _first_node(
    after: Graph, old: dict[Value, Array], new: dict[Value, Array], rtol: float
) -> Node | None:
    standing = {node.origins[0]: node for node in after.nodes if len(node.origins) == 1}
    for node in after.nodes:
        origin = node if node.results[0] in old else _origin(node, standing)
        if origin is None or origin.types != node.types:
            continue
        pairs = zip(origin.results, node.results, strict=True)
        if any(a in old and relative_error(old[a], new[b]) > rtol for a, b in pairs):
            return node
    return None


def _origin(node: Node, standing: dict[Node, Node]) -> Node | None:
    origin = node.origins[0] if len(node.origins) == 1 else None
    return origin if origin is not None and standing[origin] is node else None
