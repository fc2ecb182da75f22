"""Runs a graph with the NumPy references: what every graph means, at any point of the pipeline.

Slow and simple. Tests, the pass manager's number check and constant folding use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphkeras.ir.dims import Size, concrete
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Array, Kind, get_op
from graphkeras.ir.types import TensorType


class InputError(ValueError):
    """Arrays that do not fit the inputs of a graph."""


class EvaluationError(RuntimeError):
    """A node whose reference failed or broke its own types."""


def evaluate(graph: Graph, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Every output of the graph for input arrays; nothing is computed in place.

    Args:
        graph: The graph.
        arrays: One array an input, of the input's dtype and shape. Run-time sizes are
            inferred from the shapes.

    Returns:
        One array an output.

    Raises:
        InputError: If the arrays do not fit the inputs.
        EvaluationError: If a node fails; the message names it and its place.
    """
    values = evaluate_nodes(graph, arrays)
    return tuple(values[output] for output in graph.outputs)


def evaluate_nodes(graph: Graph, arrays: Sequence[Array]) -> dict[Value, Array]:
    """Every value of the graph, the inputs included, for input arrays. Raises as `evaluate`."""
    names = [value.name for value in graph.inputs]
    arrays = [np.asarray(array) for array in arrays]
    sizes = bind_sizes([value.type for value in graph.inputs], arrays, names)
    return _run(graph, arrays, sizes)


def _run(graph: Graph, arrays: Sequence[Array], sizes: Mapping[str, int]) -> dict[Value, Array]:
    values = dict(zip(graph.inputs, arrays, strict=True))
    for node in graph.nodes:
        operands = [values[value] for value in node.inputs]
        try:
            results = _run_node(node, operands, sizes)
        except EvaluationError:
            raise
        except Exception as error:
            raise EvaluationError(f"{_describe(node)}: {error}") from error
        for value, result in zip(node.results, results, strict=True):
            values[value] = _checked(node, value.type, _cut(node, value, result, sizes), sizes)
    return values


def _run_node(node: Node, operands: Sequence[Array], sizes: Mapping[str, int]) -> tuple[Array, ...]:
    op = get_op(node.op)
    if op.kind is not Kind.FUSED:
        return op.reference(operands, node.attrs, sizes)
    if node.body is None:
        raise ValueError("a fused node needs a body")
    inner = _run(node.body, operands, sizes)
    return tuple(inner[output] for output in node.body.outputs)


def _cut(node: Node, value: Value, result: Array, sizes: Mapping[str, int]) -> Array:
    """A result in the size of its type, where an operand has less than no elements in a dimension.

    References see none there, and give as many more: the gradient of `x[1:]` of no samples is a row
    of padding and a row less than none.
    """
    if any(dim < 0 for operand in node.inputs for dim in concrete(operand.type.shape, sizes)):
        cuts = tuple(slice(extent) for extent in value.type.concrete(sizes))
        return np.asarray(result)[cuts]
    return np.asarray(result)


def _checked(node: Node, type: TensorType, result: Array, sizes: Mapping[str, int]) -> Array:
    expected = type.concrete(sizes)
    if result.shape != expected or str(result.dtype) != type.dtype:
        raise EvaluationError(
            f"{_describe(node)}: the reference gave {result.dtype}{list(result.shape)}, "
            f"the type is {type} with sizes {dict(sizes)}"
        )
    return result


def _describe(node: Node) -> str:
    operands = ", ".join(str(value.type) for value in node.inputs)
    name = f" {node.name}" if node.name else ""
    return f"node{name} {node.op}({operands}) at {node.loc}"


# run-time sizes


def bind_sizes(
    types: Sequence[TensorType], arrays: Sequence[Array], names: Sequence[str] = ()
) -> dict[str, int]:
    """The run-time sizes for which the arrays have the types.

    Dims that are one bare symbol are read first, then those linear in one unknown symbol.

    Raises:
        InputError: If an array has another dtype or shape than its type, two dims contradict
            each other, or a size cannot be found.
    """
    if len(types) != len(arrays):
        raise InputError(f"expected {len(types)} input arrays, received {len(arrays)}")
    labels = [
        f"input {i}" + (f" ({names[i]})" if i < len(names) and names[i] else "")
        for i in range(len(types))
    ]
    for label, type, array in zip(labels, types, arrays, strict=True):
        if str(array.dtype) != type.dtype or array.ndim != type.rank:
            raise InputError(_mismatch(label, type, array))
    sizes: dict[str, int] = {}
    pending = [
        (dim, extent)
        for type, array in zip(types, arrays, strict=True)
        for dim, extent in zip(type.shape, array.shape, strict=True)
        if isinstance(dim, Size)
    ]
    pending.sort(key=lambda pair: not _is_symbol(pair[0]))
    for dim, extent in pending:
        _solve(dim, extent, sizes)
    unknown = sorted({s for dim, _ in pending for s in dim.symbols} - set(sizes))
    if unknown:
        raise InputError(f"cannot infer the run-time size {unknown[0]} from the input shapes")
    for label, type, array in zip(labels, types, arrays, strict=True):
        if array.shape != type.concrete(sizes):
            raise InputError(_mismatch(label, type, array, sizes))
    return sizes


def _is_symbol(dim: Size) -> bool:
    return any(dim == Size.symbol(name) for name in dim.symbols)


def _solve(dim: Size, extent: int, sizes: dict[str, int]) -> None:
    """Binds the only unknown symbol of a dim that is linear in it; else leaves `sizes` alone."""
    unknown = [name for name in dim.symbols if name not in sizes]
    if len(unknown) != 1:
        return
    at_zero, at_one, at_two = (dim.evaluate({**sizes, unknown[0]: n}) for n in (0, 1, 2))
    slope = at_one - at_zero
    if slope == 0 or at_two - at_one != slope or (extent - at_zero) % slope:
        return
    sizes[unknown[0]] = (extent - at_zero) // slope


def _mismatch(
    label: str, type: TensorType, array: Array, sizes: Mapping[str, int] | None = None
) -> str:
    received = f"{array.dtype}{list(array.shape)}"
    where = "".join(f", {name} = {size}" for name, size in sorted((sizes or {}).items()))
    return f"{label}: expected {type}{where}, received {received}"
