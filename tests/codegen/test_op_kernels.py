"""Every primitive, compiled, against its NumPy reference, over the samples of the op table.

Compiling is what takes the time here. Elementwise ops know no shape, so their samples are
brought to one length and share kernels, as many as a kernel may have outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.compiler import compile_graph
from graphkeras.ir import OPS, Builder, Kind, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.graph import Graph
from graphkeras.ir.op import Op, Sample
from graphkeras.passes import Schedule
from graphkeras.passes.fuse import MAX_OUTPUTS

Array = NDArray[Any]

N = Size.symbol("N")
LENGTH = 37
"""Elements of an elementwise operand: whole vectors of any width, and a rest."""


def named_samples(elementwise: bool) -> list[tuple[str, Op, Sample]]:
    return [
        (f"{op.name}-{sample.label or i}", op, sample)
        for op in OPS.values()
        if op.kind is not Kind.FUSED and (op.kind is Kind.ELEMENTWISE) == elementwise
        for i, sample in enumerate(op.samples)
    ]


ELEMENTWISE = named_samples(elementwise=True)
STRUCTURED = named_samples(elementwise=False)


def assert_same(want: Array, got: Array) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if want.dtype.kind == "f":
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    else:
        np.testing.assert_array_equal(got, want)


@cache
def elementwise_results(group: int) -> tuple[Sequence[Array], Sequence[Array]]:
    """What the evaluator and one kernel give for a group of samples."""
    body, arrays, results = Builder(f"group{group}"), [], []
    for _, op, sample in ELEMENTWISE[group * MAX_OUTPUTS : (group + 1) * MAX_OUTPUTS]:
        operands = []
        for array in sample.make(np.random.default_rng(7)):
            arrays.append(np.resize(np.asarray(array), LENGTH))
            kind = TensorType((N,), str(arrays[-1].dtype))
            operands.append(body.input(kind, f"x{len(arrays)}"))
        results.append(body.emit(op.name, *operands, **sample.attrs))
    inner = body.build(results)
    outer = Builder(inner.name)
    operands = [outer.input(v.type, v.name) for v in inner.inputs]
    graph = outer.build(outer.fused(inner, operands, pattern="loop", rows=0, space=(N,)))
    executable = compile_graph(graph, [Schedule()])
    assert executable.launch_count == 1
    return evaluate(graph, arrays), executable(arrays)


@pytest.mark.parametrize("case", range(len(ELEMENTWISE)), ids=[name for name, *_ in ELEMENTWISE])
def test_elementwise_kernel_equals_reference(case: int) -> None:
    expected, actual = elementwise_results(case // MAX_OUTPUTS)
    assert_same(expected[case % MAX_OUTPUTS], actual[case % MAX_OUTPUTS])


def graph_of(op: Op, sample: Sample) -> tuple[Graph, list[Array]]:
    """A graph of one node on the sample's operands with its run-time sizes, and the operands."""
    arrays = [np.asarray(a) for a in sample.make(np.random.default_rng(7))]
    builder = Builder(op.name)
    types = sample.cases(arrays)[-1]
    operands = [builder.input(kind, f"x{i}") for i, kind in enumerate(types)]
    return builder.build(builder.emit_all(op.name, *operands, **sample.attrs)), arrays


def without_batch(sample: Sample, arrays: Sequence[Array]) -> list[Array]:
    """The operands where the run-time size N is 0."""

    def extent(i: int, d: int, size: int) -> slice:
        return slice(0 if sample.symbolic.get(i, {}).get(d) == "N" else size)

    return [
        array[tuple(extent(i, d, size) for d, size in enumerate(array.shape))]
        for i, array in enumerate(arrays)
    ]


@pytest.mark.parametrize("case", STRUCTURED, ids=[name for name, *_ in STRUCTURED])
def test_kernel_equals_reference(case: tuple[str, Op, Sample]) -> None:
    _, op, sample = case
    graph, arrays = graph_of(op, sample)
    executable = compile_graph(graph)
    for operands in (arrays, without_batch(sample, arrays)):
        expected = evaluate(graph, operands)
        for want, got in zip(expected, executable(operands), strict=True):
            assert_same(want, got)
