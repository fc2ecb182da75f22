"""Every primitive over its samples: types, gradients, scalar code, and what errors say."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence

import numba
import numpy as np
import pytest

from graphkeras.codegen.cpu.intrinsics import maximum, minimum
from graphkeras.ir import OPS, Builder, Graph, Kind, Node, Size, TensorType
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.op import Affine, Op, OpTypeError, Sample
from graphkeras.ir.types import SHORT

CASES = [
    pytest.param(op, sample, id=f"{op.name}-{sample.label or i}")
    for op in OPS.values()
    for i, sample in enumerate(op.samples)
]
Case = tuple[Node, list[np.ndarray]]
"""A node, its operands' elements and the expected ones, each in a row."""

DIFFERENTIABLE = [
    case for case in CASES if case.values[0].gradient is not None and case.values[1].differentiable
]


def one_node(op: Op, types: list[TensorType], sample: Sample) -> tuple[Builder, Graph]:
    """A graph of one node, and the builder that made it."""
    builder = Builder(op.name)
    operands = [builder.input(t, f"x{i}") for i, t in enumerate(types)]
    result = builder.emit(op.name, *operands, **sample.attrs)
    return builder, builder.build([result])


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS.values()])
def test_op_has_the_rules_of_its_kind(op: Op) -> None:
    rule = {
        Kind.ELEMENTWISE: op.scalar,
        Kind.INJECTIVE: op.element,
        Kind.REDUCE: op.reduction,
        Kind.CONTRACT: op.contraction,
        Kind.OPAQUE: op.loops,
    }
    given = [kind for kind, value in rule.items() if value is not None]
    assert given == ([op.kind] if op.kind in rule else [])
    assert op.samples or op.kind is Kind.FUSED
    assert op.doc.endswith(".")


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_reference_has_the_inferred_type(op: Op, sample: Sample) -> None:
    arrays = list(sample.make(np.random.default_rng(0)))
    results = []
    for types in sample.cases(arrays):
        _, graph = one_node(op, types, sample)
        (result,) = evaluate(graph, arrays)  # compares shape and dtype with the type
        assert result.dtype == graph.outputs[0].type.dtype
        results.append(result)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_reference_leaves_its_operands_alone(op: Op, sample: Sample) -> None:
    arrays = list(sample.make(np.random.default_rng(0)))
    before = [a.copy() for a in arrays]
    _, graph = one_node(op, sample.cases(arrays)[0], sample)
    evaluate(graph, arrays)
    for was, now in zip(before, arrays, strict=True):
        np.testing.assert_array_equal(was, now)


def slopes(graph: Graph, arrays: list[np.ndarray], dy: np.ndarray, i: int) -> np.ndarray:
    """Central differences of `sum(dy * y)` for operand `i`."""
    step = 1e-6
    result = np.zeros_like(arrays[i])
    for position in np.ndindex(*arrays[i].shape):
        sides = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[i][position] += sign * step
            sides.append(float((evaluate(graph, moved)[0] * dy).sum()))
        result[position] = (sides[0] - sides[1]) / (2 * step)
    return result


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIABLE)
def test_gradient_equals_finite_differences(op: Op, sample: Sample) -> None:
    rng = np.random.default_rng(1)
    arrays = [a.astype("float64") if a.dtype.kind == "f" else a for a in sample.make(rng)]
    for types in sample.cases(arrays):
        builder, graph = one_node(op, types, sample)
        y = graph.outputs[0]
        assert y.producer is not None
        assert op.gradient is not None
        cotangents = op.gradient(builder, y.producer, [builder.input(y.type, "dy")])
        assert len(cotangents) == len(arrays)
        dy = rng.standard_normal(evaluate(graph, arrays)[0].shape)
        found = [(i, c) for i, c in enumerate(cotangents) if c is not None]
        assert [i for i, _ in found] == [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
        values = evaluate(builder.build([c for _, c in found]), [*arrays, dy])
        for (i, cotangent), value in zip(found, values, strict=True):
            assert cotangent.type == types[i]
            np.testing.assert_allclose(
                value, slopes(graph, arrays, dy, i), rtol=1e-5, atol=1e-6, err_msg=f"operand {i}"
            )


@pytest.mark.parametrize(
    "op", [pytest.param(op, id=op.name) for op in OPS.values() if op.gradient is not None]
)
def test_no_cotangent_gives_no_gradient(op: Op) -> None:
    sample = op.samples[0]
    arrays = list(sample.make(np.random.default_rng(0)))
    builder, graph = one_node(op, sample.cases(arrays)[0], sample)
    count = len(builder.nodes)
    producer = graph.outputs[0].producer
    assert producer is not None
    assert op.gradient is not None
    assert list(op.gradient(builder, producer, [None])) == [None] * len(arrays)
    assert len(builder.nodes) == count


@pytest.mark.parametrize("op", [pytest.param(o, id=o.name) for o in OPS.values() if o.affine])
def test_what_an_op_does_to_its_first_operand(op: Op) -> None:
    x, c, v = np.random.default_rng(3).uniform(0.5, 2.0, (3, 8))
    combine = np.add if op.affine is Affine.SHIFT else np.multiply

    def applied(first: np.ndarray) -> np.ndarray:
        return op.reference([first, v], {}, {})[0]

    np.testing.assert_allclose(applied(combine(x, c)), combine(x, applied(c)), rtol=1e-12)


@pytest.mark.parametrize("op", [pytest.param(o, id=o.name) for o in OPS.values() if o.indexes])
def test_indices_are_the_second_operand(op: Op) -> None:
    assert "axis" in {attr.name for attr in op.attrs}
    for sample in op.samples:
        assert sample.make(np.random.default_rng(0))[1].dtype.kind in "iu"


# scalar templates, compiled by Numba: all of one operand dtype in one function


def elementwise_cases(dtype: str) -> dict[tuple[str, str], Case]:
    """The elementwise samples with operands of a dtype, one case an op and result dtype."""
    found: dict[tuple[str, str], Case] = {}
    for op in OPS.values():
        for sample in op.samples if op.kind is Kind.ELEMENTWISE else ():
            arrays = [np.asarray(a) for a in sample.make(np.random.default_rng(2))]
            if str(arrays[-1].dtype) != dtype or sample.attrs.get("dtype") == "float64":
                continue
            _, graph = one_node(op, sample.cases(arrays)[0], sample)
            node = graph.outputs[0].producer
            assert node is not None
            columns = [a.reshape(-1) for a in (*arrays, evaluate(graph, arrays)[0])]
            _, before = found.get(
                (op.name, node.result.type.dtype), (node, [c[:0] for c in columns])
            )
            joined = [np.concatenate(pair) for pair in zip(before, columns, strict=True)]
            found[op.name, node.result.type.dtype] = node, joined
    return found


def loop_over(cases: Sequence[Case]) -> str:
    """Source of one function that runs every case's template over its elements."""
    lines, parameters = [], []
    for number, (node, columns) in enumerate(cases):
        names = [f"x{number}_{i}" for i in range(len(columns) - 1)]
        parameters += [*names, f"y{number}"]
        dtype = node.result.type.dtype
        expression = OPS[node.op].template(node).format(*(f"{n}[i]" for n in names), T=dtype)
        cast = expression if dtype == "bool" else f"{dtype}({expression})"
        lines += [f"    for i in range(len(y{number})):", f"        y{number}[i] = {cast}"]
    return "\n".join([f"def run({', '.join(parameters)}):", *lines])


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "uint32", "int64", "bool"])
def test_scalar_template_equals_reference(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 0)  # half of the compile time
    cases = list(elementwise_cases(dtype).values())
    # Importing it is what lets Numba call intrinsics.
    importlib.import_module("graphkeras.native.numba_compiler")
    scope = {"math": math, "np": np, "maximum": maximum, "minimum": minimum}
    scope |= {name: getattr(numba, name) for name in SHORT if name != "bool"}
    exec(loop_over(cases), scope)
    run = numba.njit(scope["run"], error_model="numpy")
    results = [np.empty_like(columns[-1]) for _, columns in cases]
    run(*(a for (_, c), y in zip(cases, results, strict=True) for a in (*c[:-1], y)))
    for (node, columns), actual in zip(cases, results, strict=True):
        np.testing.assert_allclose(
            actual,
            columns[-1],
            rtol=2e-6,
            atol=1e-7,
            err_msg=f"{node.op} {OPS[node.op].template(node)}",
        )
    if dtype == "float32":
        (code,) = run.inspect_llvm().values()
        assert "fpext" not in code, "a float32 template computes in float64"


# what errors say

F = TensorType((3, 4))
ROW = TensorType((4,))
INTS = TensorType((3, 4), "int32")
BOOLS = TensorType((3, 4), "bool")
N = Size.symbol("N")
CONV = {
    "strides": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "lhs_dilation": (1, 1),
    "rhs_dilation": (1, 1),
}
IMAGE = TensorType((2, 5, 5, 3))
POOL = {"window": (1, 2), "strides": (1, 2), "padding": ((0, 0), (0, 0))}

ERRORS = [
    ("exp", [F, F], {}, "exp: expected 1 operand(s), received 2"),
    ("exp", [INTS], {}, "exp: expected operand of dtype float, received i32[3,4]"),
    (
        "add",
        [F, ROW],
        {},
        "add: operands must have the same shape, received f32[3,4] and f32[4]; insert a broadcast",
    ),
    (
        "add",
        [F, INTS],
        {},
        "add: operands must have the same dtype, received f32[3,4] and i32[3,4]; insert a cast",
    ),
    ("add", [BOOLS, BOOLS], {}, "add: expected left operand of dtype number, received bool[3,4]"),
    ("and", [F, F], {}, "and: expected left operand of dtype integer or bool, received f32[3,4]"),
    ("select", [INTS, F, F], {}, "select: expected condition of dtype bool, received i32[3,4]"),
    ("cast", [F], {"dtype": "float8"}, "cast: unknown dtype 'float8'; expected one of float32"),
    (
        "broadcast",
        [F],
        {"shape": (3, 5), "dims": (0, 1)},
        "broadcast: dimension 1 of f32[3,4] is 4; expected 1 or 5, the dimension 1 of the result",
    ),
    (
        "broadcast",
        [F],
        {"shape": (4, 3), "dims": (1, 0)},
        "broadcast: dims must be increasing, received (1, 0); transpose first",
    ),
    (
        "reshape",
        [TensorType((N, 4))],
        {"shape": (N, 5)},
        "reshape: f32[N,4] has 4*N elements, the requested f32[N,5] 5*N",
    ),
    ("transpose", [F], {"perm": (0, 0)}, "transpose: each axis may be given once"),
    (
        "reduce_sum",
        [F],
        {"axes": (2,)},
        "reduce_sum: axis 2 is out of range for 2 dimension(s); expected 0 to 1",
    ),
    ("reduce_and", [F], {"axes": (0,)}, "reduce_and: expected operand of dtype bool"),
    (
        "slice",
        [ROW],
        {"start": (1,), "stop": (5,), "step": (1,)},
        "slice: stop 5 is beyond the dimension 4",
    ),
    (
        "slice",
        [ROW],
        {"start": (3,), "stop": (1,), "step": (1,)},
        "slice: stop must not be below start, received start 3, stop 1",
    ),
    (
        "pad",
        [ROW, TensorType(())],
        {"low": (-3,), "high": (-3,), "interior": (0,)},
        "pad: low -3 and high -3 crop more than the dimension 4",
    ),
    ("concat", [F, ROW], {"axis": 0}, "concat: operand 1 is f32[4]; expected f32[3,4] except"),
    ("gather", [F, F], {"axis": 0}, "gather: expected indices of dtype integer"),
    (
        "scatter_add",
        [F, TensorType((2,), "int32"), F],
        {"axis": 0},
        "scatter_add: updates must be f32[2,4], received f32[3,4]",
    ),
    (
        "take_along",
        [F, TensorType((2, 4), "int32")],
        {"axis": 1},
        "take_along: indices must have the shape of f32[3,4] except along axis 1",
    ),
    (
        "dot_general",
        [F, F],
        {"lhs_batch": (), "rhs_batch": (), "lhs_contract": (1,), "rhs_contract": (0,)},
        "dot_general: contracted dims must be equal: dim 1 of f32[3,4] is 4, dim 0",
    ),
    (
        "conv",
        [IMAGE, TensorType((3, 3, 4, 8))],
        CONV,
        "conv: the kernel f32[3,3,4,8] takes 4 channels a group; the input f32[2,5,5,3] has 3 in",
    ),
    (
        "conv",
        [IMAGE, TensorType((7, 3, 3, 8))],
        CONV,
        "conv: the kernel spans 7 in spatial dim 0, more than the 5 of the input",
    ),
    (
        "conv",
        [TensorType((2, N, 5, 3)), TensorType((3, 3, 3, 8))],
        CONV,
        "conv: spatial dim 0 of the input must be a number, received the run-time size N",
    ),
    (
        "conv_kernel_grad",
        [IMAGE, TensorType((2, 5, 5, 8))],
        {**CONV, "kernel_size": (3, 3)},
        "conv_kernel_grad: the cotangent must be f32[2,3,3,8] for the input",
    ),
    (
        "conv_kernel_grads",
        [IMAGE, TensorType((2, 5, 5, 8))],
        {**CONV, "kernel_size": (3, 3)},
        "conv_kernel_grads: the cotangent must be f32[2,3,3,8] for the input",
    ),
    (
        "conv_kernel_grads",
        [IMAGE, TensorType((2, 3, 3, 8))],
        {**CONV, "kernel_size": (3, 3), "bands": 2},
        "conv_kernel_grads: 2 bands do not divide the 3 lines of f32[2,3,3,8]",
    ),
    (
        "conv_kernel_grads",
        [IMAGE, TensorType((2, 3, 3, 8))],
        {**CONV, "kernel_size": (3, 3), "bands": 0},
        "conv_kernel_grads: 0 bands do not divide the 3 lines of f32[2,3,3,8]",
    ),
    (
        "window_max",
        [TensorType((3, N))],
        POOL,
        "window_max: a window cannot slide along the run-time size N (dim 1 of f32[3,N])",
    ),
    (
        "window_max",
        [F],
        {**POOL, "padding": ((0, 0), (2, 0))},
        "window_max: padding (2, 0) of dim 1 must be smaller than its window 2",
    ),
    (
        "window_argmax",
        [F, TensorType((3, 1))],
        POOL,
        "window_argmax: the maxima must be f32[3,2] for f32[3,4], received f32[3,1]",
    ),
    (
        "window_argmax",
        [TensorType((3, 40)), TensorType((3, 1))],
        {**POOL, "window": (1, 33), "strides": (1, 33)},
        "window_argmax: the window has 33 positions; expected at most 32",
    ),
    (
        "window_scatter",
        [F, TensorType((3, 4), "uint8")],
        {**POOL, "shape": (3, 7)},
        "window_scatter: the cotangent must be f32[3,3] for f32[3,7], received f32[3,4]",
    ),
    (
        "window_scatter",
        [F, TensorType((3, 4), "int32")],
        {**POOL, "shape": (3, 8)},
        "window_scatter: the winners must be u8[3,4], received i32[3,4]",
    ),
    ("random_bits", [F], {"shape": (3,)}, "random_bits: the key must be u32[2], received f32[3,4]"),
    ("cumsum", [F], {"axis": "0"}, "cumsum: attribute 'axis' must be"),
    ("cumsum", [F], {}, "cumsum: attribute 'axis' is missing"),
    ("cumsum", [F], {"axes": 0}, "cumsum: unknown attribute 'axes'; it has axis, reverse"),
    ("fused", [F], {}, "fused: its result types come from its body; build it with Builder.fused"),
    ("frobnicate", [F], {}, "unknown op 'frobnicate'"),
]


@pytest.mark.parametrize(
    ("op", "types", "attrs", "message"), [pytest.param(*e, id=e[3][:50]) for e in ERRORS]
)
def test_error_says_what_was_wrong(
    op: str, types: list[TensorType], attrs: dict[str, object], message: str
) -> None:
    builder = Builder("bad")
    operands = [builder.input(t, f"x{i}") for i, t in enumerate(types)]
    with pytest.raises(OpTypeError) as caught:
        builder.emit(op, *operands, **attrs)
    assert message in str(caught.value)
