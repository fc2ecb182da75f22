"""`compile_graph`: from a graph to arrays, with updates in place and any batch size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras import config
from graphkeras.compiler import PIPELINE, compile_graph, optimize
from graphkeras.errors import ShapeError
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.dims import Dim
from graphkeras.ir.evaluate import evaluate
from graphkeras.ir.verify import VerifyError
from graphkeras.passes import PassNumericsError
from graphkeras.passes.spec import pass_text

Array = NDArray[Any]

N = Size.symbol("N")
RNG = np.random.default_rng(0)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def dot(b: Builder, x: Value, y: Value, lhs: int, rhs: int) -> Value:
    attrs: dict[str, Any] = {"lhs_batch": (), "rhs_batch": ()}
    return b.emit("dot_general", x, y, lhs_contract=(lhs,), rhs_contract=(rhs,), **attrs)


def regression_step() -> Graph:
    """One step of gradient descent on a linear model: the loss, and the next weights."""
    b = Builder("step")
    x, y = b.input(TensorType((N, 3)), "x"), b.input(TensorType((N, 2)), "y")
    w = b.input(TensorType((3, 2)), "w")
    error = b.emit("sub", dot(b, x, w, 1, 0), y)
    loss = b.emit("reduce_sum", b.emit("mul", error, error), axes=(0, 1))
    gradient = dot(b, x, error, 0, 0)
    rate = b.emit("broadcast", b.constant(0.02, "float32"), shape=(3, 2), dims=())
    new = b.emit("sub", w, b.emit("mul", gradient, rate))
    return b.build([loss, new], {1: 2}, ["loss", "w"])


def test_one_executable_trains_with_any_batch() -> None:
    graph = regression_step()
    executable = compile_graph(graph)
    w, w_expected = floats(3, 2), np.zeros((3, 2), np.float32)
    w_expected[...] = w
    for batch in (4, 1, 17, 4, 2):
        x, y = floats(batch, 3), floats(batch, 2)
        (loss,) = executable([x, y, w])
        expected_loss, w_expected = evaluate(graph, [x, y, w_expected])
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
        np.testing.assert_allclose(w, w_expected, rtol=1e-5, atol=1e-6)


def test_results_are_fresh_memory() -> None:
    b = Builder("g")
    x = b.input(TensorType((N,)), "x")
    executable = compile_graph(b.build([b.emit("neg", x), x]))
    given = floats(5)
    first, same = executable([given])
    second, _ = executable([given + 1])
    np.testing.assert_array_equal(first, -given)
    np.testing.assert_array_equal(second, -given - 1)
    assert not np.shares_memory(same, given)


def test_two_states_swap() -> None:
    b = Builder("swap")
    p, q = b.input(TensorType((4,)), "p"), b.input(TensorType((4,)), "q")
    executable = compile_graph(b.build([q, p], {0: 0, 1: 1}))
    one, two = floats(4), floats(4)
    before = one.copy(), two.copy()
    assert executable([one, two]) == ()
    np.testing.assert_array_equal(one, before[1])
    np.testing.assert_array_equal(two, before[0])


def test_a_state_that_reads_itself_transposed() -> None:
    b = Builder("transposed")
    w = b.input(TensorType((70, 70)), "w")
    turned = b.emit("transpose", w, perm=(1, 0))
    executable = compile_graph(b.build([b.emit("sub", w, turned)], {0: 0}))
    array = floats(70, 70)
    expected = array - array.T
    executable([array])
    np.testing.assert_array_equal(array, expected)


def test_a_row_statistic_and_its_rows_are_both_updated() -> None:
    # The row's old value is read for every element of the row that is written.
    b = Builder("rows")
    x, s = b.input(TensorType((N, 5)), "x"), b.input(TensorType((N,)), "s")
    wide = {"shape": (N, 5), "dims": (0,)}
    total = b.emit("add", b.emit("reduce_sum", x, axes=(1,)), s)
    scaled = b.emit("mul", b.emit("add", x, b.emit("broadcast", total, **wide)),
                    b.emit("broadcast", s, **wide))  # fmt: skip
    graph = b.build([total, scaled], {0: 1, 1: 0})
    arrays = [floats(6, 5), floats(6)]
    expected_s, expected_x = evaluate(graph, arrays)
    compile_graph(graph)(arrays)
    np.testing.assert_allclose(arrays[1], expected_s, rtol=1e-5)
    np.testing.assert_allclose(arrays[0], expected_x, rtol=1e-5)


def test_constants_as_outputs() -> None:
    b = Builder("constants")
    b.input(TensorType((N,)), "x")
    executable = compile_graph(b.build([b.constant(2.5, "float32"), b.constant([1, 2], "int32")]))
    number, pair = executable([floats(3)])
    assert (number.shape, float(number), pair.tolist()) == ((), 2.5, [1, 2])


def test_an_opaque_kernel_reads_a_number_that_is_printed_into_it() -> None:
    b = Builder("opaque")
    x, updates = b.input(TensorType((4,)), "x"), b.input(TensorType((1,)), "updates")
    graph = b.build([b.emit("scatter_add", x, b.constant([2], "int32"), updates, axis=0)])
    (result,) = compile_graph(graph)([np.zeros(4, np.float32), np.ones(1, np.float32)])
    assert result.tolist() == [0, 0, 1, 0]


def test_an_empty_batch() -> None:
    b = Builder("empty")
    x = b.input(TensorType((N, 3)), "x")
    executable = compile_graph(b.build([b.emit("exp", x), b.emit("reduce_sum", x, axes=(0,))]))
    rows, total = executable([floats(0, 3)])
    assert rows.shape == (0, 3)
    assert total.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("start", "stop", "least"), [(0, 5, 5), (N - 3, N, 3), (4, 5, 5), (N - 3, N - 2, 3)]
)
def test_a_batch_of_less_than_what_is_sliced_out_of_it(start: Dim, stop: Dim, least: int) -> None:
    b = Builder("cut")
    x = b.input(TensorType((N, 3)), "x")
    y = b.emit("slice", x, start=(start, 1), stop=(stop, 3), step=(1, 1))
    graph = b.build([b.emit("exp", y)])
    executable = compile_graph(graph)
    for batch in (least, least + 1, least - 1, least):
        given = [floats(batch, 3)]
        if batch >= least:
            np.testing.assert_allclose(executable(given)[0], evaluate(graph, given)[0], rtol=1e-6)
            continue
        with pytest.raises(ShapeError) as info:
            executable(given)
        assert str(info.value) == (
            f"graph 'cut': the slice of f32[N,3] to {y.type} needs elements that there are not "
            f"for N = {batch}; give larger batches, or slice less"
        )


def test_what_is_cut_off_may_be_more_than_a_batch() -> None:
    b = Builder("tail")
    x = b.input(TensorType((N, 3)), "x")
    y = b.emit("slice", x, start=(2, 0), stop=(N, 3), step=(1, 1))
    executable = compile_graph(b.build([y]))
    assert [len(executable([floats(batch, 3)])[0]) for batch in (4, 2, 1, 0)] == [2, 0, 0, 0]


def test_records_tell_what_every_pass_did() -> None:
    executable = compile_graph(regression_step())
    assert [record.name for record in executable.records] == [p.name for p in PIPELINE]
    last = executable.records[-1].after
    assert executable.launch_count == sum(node.body is not None for node in last.nodes)
    assert executable.program.graph is last
    assert dict(last.aliases) == {1: 2}
    assert last.output_names == ("loss", "w")


def test_the_pipeline_ends_with_fusion_and_scheduling() -> None:
    assert [pass_text(which) for which in PIPELINE[-2:]] == ["fuse", "schedule"]


def test_a_training_step_is_few_kernels() -> None:
    manager = optimize(regression_step())
    kernels = [node for node in manager.records[-1].after.nodes if node.body is not None]
    assert sorted(node.attrs["pattern"] for node in kernels) == ["contract", "contract", "rows"]


def test_compiling_twice_gives_the_same_program() -> None:
    one, two = (compile_graph(regression_step()).program for _ in range(2))
    assert [x.kernel.text for x in one.launches] == [x.kernel.text for x in two.launches]
    assert [x.arguments for x in one.launches] == [x.arguments for x in two.launches]
    assert one.arena == two.arena


def test_a_wrong_graph_is_not_compiled() -> None:
    graph = regression_step()
    broken = Graph(graph.name, graph.inputs[1:], graph.nodes, graph.outputs)
    with pytest.raises(VerifyError, match="used before it is defined"):
        compile_graph(broken)


@dataclass(frozen=True)
class Wrong:
    """A pass that turns the signs around."""

    name = "wrong"

    def __call__(self, graph: Graph) -> Graph:
        b = Builder.extending(graph, "wrong")
        return b.build([b.emit("neg", v) for v in graph.outputs], graph.aliases)


def test_the_setting_check_numbers_watches_the_passes() -> None:
    b = Builder("g")
    graph = b.build([b.emit("exp", b.input(TensorType((N,)), "x"))])
    with config.override(check_numbers=True), pytest.raises(PassNumericsError, match="wrong"):
        optimize(graph, [Wrong(), *PIPELINE])
