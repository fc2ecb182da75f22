"""Every primitive, compiled, against its NumPy reference, over the samples of the op table."""

from __future__ import annotations

import numpy as np
import pytest

from graphkeras.compiler import compile_graph
from graphkeras.ir import OPS, Builder, Kind, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import Op, Sample

CASES = [
    pytest.param(op, sample, id=f"{op.name}-{sample.label or i}")
    for op in OPS.values()
    if op.kind is not Kind.FUSED
    for i, sample in enumerate(op.samples)
]


def graph_of(op: Op, sample: Sample, symbolic: bool):
    """A graph of one node on the sample's operands, and the operands."""
    arrays = [np.asarray(a) for a in sample.make(np.random.default_rng(7))]
    builder = Builder(op.name)
    operands = []
    for i, array in enumerate(arrays):
        names = sample.symbolic.get(i, {}) if symbolic else {}
        shape = tuple(Size.symbol(names[d]) if d in names else n for d, n in enumerate(array.shape))
        operands.append(builder.input(TensorType(shape, str(array.dtype)), f"x{i}"))
    results = builder.emit_all(op.name, *operands, **sample.attrs)
    return builder.build(results), arrays


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_kernel_equals_reference(op: Op, sample: Sample) -> None:
    symbolic = bool(sample.symbolic)
    graph, arrays = graph_of(op, sample, symbolic)
    expected = evaluate(graph, arrays)
    actual = compile_graph(graph)(arrays)
    for want, got in zip(expected, actual, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        if want.dtype.kind == "f":
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
        else:
            np.testing.assert_array_equal(got, want)
