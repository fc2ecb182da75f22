"""How many threads run a kernel changes no bit of its results.

Kernels are called here as the runtime calls them, once for each thread, but one after the other,
so that every division of the work really happens on any machine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from graphkeras.codegen.program import GRAIN
from graphkeras.compiler import compile_graph
from graphkeras.ir import Builder, Graph, Size, TensorType, Value
from graphkeras.ir.dims import Dim, evaluate
from graphkeras.ir.evaluate import bind_sizes
from graphkeras.passes.memory import Buffer, Place
from graphkeras.runtime import kernel_cache, pool
from graphkeras.runtime.executable import Executable

Array = NDArray[Any]

N = Size.symbol("N")
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


class Graphs:
    """One graph a way to divide the work, with a batch that is large enough for four threads."""

    DEPTHWISE: ClassVar[dict[str, Any]] = {
        "strides": (2, 1),
        "padding": ((1, 1), (1, 1)),
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "groups": 37,
    }

    def __init__(self) -> None:
        self.builder = Builder("g")
        self.batch = 1

    def input(self, *shape: Dim, dtype: str = "float32") -> Value:
        return self.builder.input(TensorType(shape, dtype), f"x{len(self.builder.inputs)}")

    def emit(self, op: str, *values: Value, **attrs: Any) -> Value:
        return self.builder.emit(op, *values, **attrs)

    def dot(self, a: Value, b: Value, lhs: int, rhs: int, batch: int = 0) -> Value:
        dims = tuple(range(batch))
        attrs = {"lhs_batch": dims, "rhs_batch": dims, "lhs_contract": (lhs,)}
        return self.emit("dot_general", a, b, rhs_contract=(rhs,), **attrs)

    def loop(self) -> Value:
        self.batch = 5 * GRAIN + 13
        x = self.input(N)
        return self.emit("tanh", self.emit("exp", self.emit("sin", x)))

    def loop_of_rows(self) -> Value:
        self.batch = 2011
        y = self.emit("transpose", self.emit("exp", self.input(N, 37)), perm=(1, 0))
        return self.emit("logistic", y)

    def rows(self) -> Value:
        self.batch = 1009
        x = self.input(N, 67)
        spread = {"shape": (N, 67), "dims": (0,)}
        top = self.emit("broadcast", self.emit("reduce_max", x, axes=(1,)), **spread)
        e = self.emit("exp", self.emit("sub", x, top))
        total = self.emit("broadcast", self.emit("reduce_sum", e, axes=(1,)), **spread)
        return self.emit("div", e, total)

    def columns(self) -> Value:
        self.batch = 1301
        return self.emit("exp", self.emit("reduce_sum", self.input(N, 83), axes=(0,)))

    def columns_in_rows(self) -> Value:
        self.batch = 41
        return self.emit("log1p", self.emit("reduce_sum", self.input(N, 43, 61), axes=(1,)))

    def reduce_elements(self) -> Value:
        self.batch = 37
        x = self.emit("transpose", self.input(N, 43, 61), perm=(0, 2, 1))
        return self.emit("reduce_sum", x, axes=(2,))

    def pooling(self) -> Value:
        self.batch = 31
        one = (1, 3, 3, 1)
        padding = ((0, 0), (1, 1), (1, 1), (0, 0))
        x = self.input(N, 17, 19, 7)
        return self.emit("window_sum", x, window=one, strides=(1, 2, 2, 1), padding=padding)

    def rows_of_a_product(self) -> Value:
        self.batch = 397
        return self.emit("tanh", self.dot(self.input(N, 51), self.input(51, 35), 1, 0))

    def columns_of_a_product(self) -> Value:
        self.batch = 2501
        return self.emit("tanh", self.dot(self.input(5, 47), self.input(47, N), 1, 0))

    def batches_of_a_product(self) -> Value:
        self.batch = 23
        return self.emit("tanh", self.dot(self.input(N, 15, 51), self.input(N, 51, 33), 2, 1, 1))

    def parts_of_a_product(self) -> Value:
        self.batch = 67
        dims = {"lhs_batch": (1,), "rhs_batch": (0,), "lhs_contract": (2,), "rhs_contract": (1,)}
        return self.emit("dot_general", self.input(N, 4, 51), self.input(4, 51, 35), **dims)

    def sum_over_the_batch(self) -> Value:
        self.batch = 1303
        return self.emit("tanh", self.dot(self.input(N, 61), self.input(N, 35), 0, 0))

    def sums_in_the_result(self) -> Value:
        self.batch = 601
        return self.dot(self.input(N, 131), self.input(N, 290), 0, 0)

    def columns_copied(self) -> Value:
        self.batch = 131
        return self.dot(self.input(N, 270), self.input(270, 520), 1, 0)

    def convolution(self) -> Value:
        self.batch = 11
        x, w = self.input(N, 13, 11, 5), self.input(3, 3, 5, 19)
        dilation = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
        padding = ((1, 1), (1, 1))
        y = self.emit("conv", x, w, strides=(1, 1), padding=padding, groups=1, **dilation)
        return self.emit("tanh", y)

    def convolution_of_a_dilated_image(self) -> Value:
        self.batch = 83
        x, w = self.input(N, 9, 8, 13), self.input(3, 1, 13, 19)
        dilation = {"lhs_dilation": (2, 2), "rhs_dilation": (1, 1)}
        padding = ((1, 2), (0, 1))
        y = self.emit("conv", x, w, strides=(1, 1), padding=padding, groups=1, **dilation)
        return self.emit("tanh", y)

    def winograd(self) -> Value:
        self.batch = 11
        x, u = self.input(N, 13, 11, 5), self.input(16, 1, 5, 19)
        return self.emit("tanh", self.emit("winograd_conv", x, u, padding=((1, 1), (1, 1))))

    def winograd_panels(self) -> Value:
        self.batch = 3
        x, u = self.input(N, 6, 7, 5), self.input(16, 8, 5, 32)
        return self.emit("tanh", self.emit("winograd_conv", x, u, padding=((1, 1), (1, 1))))

    def winograd_kernel(self) -> Value:
        w = self.input(3, 3, 48, 64)
        return self.emit("winograd_kernel", w, panel=16, turned=True)

    def winograd_gradient(self) -> Value:
        self.batch = 11
        x, dy = self.input(N, 9, 7, 83), self.input(N, 9, 7, 21)
        dw = self.emit("winograd_kernel_grad", x, dy, padding=((1, 1), (1, 1)))
        return self.emit("tanh", dw)

    def gradient_of_a_kernel_with_padding(self) -> Value:
        self.batch = 11
        x, dy = self.input(N, 9, 7, 19), self.input(N, 9, 7, 21)
        attrs = {**self.DEPTHWISE, "strides": (1, 1), "groups": 1, "kernel_size": (3, 3)}
        return self.emit("tanh", self.emit("conv_kernel_grad", x, dy, **attrs))

    def depthwise(self) -> Value:
        self.batch = 7
        x, w = self.input(N, 23, 31, 37), self.input(3, 3, 1, 37)
        return self.emit("tanh", self.emit("conv", x, w, **self.DEPTHWISE))

    def depthwise_gradient(self) -> Value:
        self.batch = 5
        x, dy = self.input(N, 23, 31, 150), self.input(N, 12, 31, 150)
        window = {"kernel_size": (5, 7), "padding": ((2, 2), (3, 3))}
        attrs = {**self.DEPTHWISE, "groups": 150, **window}
        dw = self.emit("conv_kernel_grad", x, dy, **attrs)
        return self.emit("tanh", dw)

    def depthwise_gradient_of_few_images(self) -> Value:
        """Threads share an image's bands and channels."""
        self.batch = 5
        x, dy = self.input(N, 23, 31, 150), self.input(N, 12, 31, 150)
        attrs = {**self.DEPTHWISE, "groups": 150, "kernel_size": (3, 3), "bands": 3}
        return self.emit("conv_kernel_grads", x, dy, **attrs)

    def depthwise_large_window(self) -> Value:
        self.batch = 2
        x, w = self.input(N, 19, 23, 37), self.input(7, 7, 1, 37)
        attrs = {**self.DEPTHWISE, "strides": (1, 1), "padding": ((3, 3), (3, 3))}
        return self.emit("tanh", self.emit("conv", x, w, **attrs))

    def gradient(self) -> Value:
        """What a pooling of 12 x 10 elements, 2 x 2 a window, makes of its gradient."""
        self.batch = 11
        windows = {"window": (1, 2, 2, 1), "strides": (1, 2, 2, 1), "padding": ((0, 0),) * 4}
        dy, places = self.input(N, 6, 5, 19), self.input(N, 6, 5, 19, dtype="uint8")
        return self.emit("window_scatter", dy, places, shape=(N, 12, 10, 19), **windows)

    def winners_of_the_input(self) -> Value:
        w = self.input(3, 3, 19, 35)
        ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
        dx = self.emit("conv", self.gradient(), w, padding=((1, 1), (1, 1)), groups=1, **ones)
        return self.emit("tanh", dx)

    def winners_of_the_kernel(self) -> Value:
        x = self.input(N, 14, 12, 35)
        ones = {"strides": (1, 1), "lhs_dilation": (1, 1), "rhs_dilation": (1, 1)}
        attrs = {**ones, "padding": ((0, 0), (0, 0)), "groups": 1, "kernel_size": (3, 3)}
        return self.emit("tanh", self.emit("conv_kernel_grad", x, self.gradient(), **attrs))

    def opaque(self) -> Value:
        self.batch = 1201
        return self.emit("cumsum", self.input(N, 47), axis=1, reverse=False)

    def scatter(self) -> Value:
        self.batch = 1201
        zeros = self.emit(
            "broadcast", self.builder.constant(0.0, "float32"), shape=(501, 33), dims=()
        )
        return self.emit(
            "scatter_add", zeros, self.input(N, dtype="int32"), self.input(N, 33), axis=0
        )

    def random(self) -> Value:
        self.batch = 1303
        bits = self.emit("random_bits", self.input(2, dtype="uint32"), shape=(N, 61))
        x = self.input(N, 61)
        return self.emit("mul", self.emit("cast", bits, dtype="float32"), x)


PATTERNS = sorted(
    name
    for name in vars(Graphs)
    if name.islower() and name[0] != "_" and name not in ("input", "emit")
)
PATTERNS.remove("dot")
PATTERNS.remove("gradient")


def prepared(name: str) -> tuple[Graph, list[Array]]:
    graphs = Graphs()
    result: Callable[[], Value] = getattr(graphs, name)
    graph = graphs.builder.build([result()])
    rng = np.random.default_rng(3)
    arrays = []
    for value in graph.inputs:
        array = rng.uniform(0.1, 1.0, value.type.concrete({"N": graphs.batch}))
        scale = {"uint32": 2.0**32, "int32": 499, "uint8": 4}.get(value.type.dtype, 1.0)
        arrays.append((array * scale).astype(value.type.dtype))
    return graph, arrays


UNWRITTEN = 77.0


def run_parts(
    executable: Executable, arrays: Sequence[Array], threads: int, ranks: Sequence[int] = ()
) -> Array:
    """Runs a program of one kernel as `threads` threads would, the last thread first.

    `ranks`: the threads to run; all where empty.
    """
    program = executable.program
    (launch,) = program.launches
    types = [value.type for value in program.graph.inputs]
    sizes = bind_sizes(types, arrays)
    kind = program.graph.outputs[0].type
    result = np.full(kind.concrete(sizes), UNWRITTEN, kind.dtype)
    scratch = np.zeros(threads * program.scratch_bytes + 64, np.uint8)
    places = {
        Place.INPUT: [array.ctypes.data for array in arrays],
        Place.OUTPUT: [result.ctypes.data],
        Place.SCRATCH: [scratch.ctypes.data + -scratch.ctypes.data % 64],
        Place.SCRATCH_BYTES: [program.scratch_bytes],
        Place.SLICES: [1],
    }
    arguments = [
        places[a.place][a.index] if isinstance(a, Buffer) else evaluate(a, sizes)
        for a in launch.arguments
    ]
    argv = np.array(arguments, np.int64)
    (address,) = kernel_cache.load([launch.kernel])
    for rank in ranks or reversed(range(threads)):
        KERNEL(address)(rank, threads, argv.ctypes.data)
    return result


@pytest.mark.parametrize("name", PATTERNS)
def test_results_do_not_depend_on_the_number_of_threads(name: str) -> None:
    graph, arrays = prepared(name)
    executable = compile_graph(graph)
    assert executable.launch_count == 1
    alone = run_parts(executable, arrays, 1)
    assert not np.any(alone == UNWRITTEN)
    for threads in (2, 3, 4, 7):
        assert run_parts(executable, arrays, threads).tobytes() == alone.tobytes()
    try:
        for count in (1, 2, 3, 4):
            pool.set_num_threads(count)
            assert executable(arrays)[0].tobytes() == alone.tobytes()
    finally:
        pool.set_num_threads(None)


@pytest.mark.parametrize("name", PATTERNS)
def test_the_work_is_shared_among_the_threads(name: str) -> None:
    graph, arrays = prepared(name)
    executable = compile_graph(graph)
    for rank in range(4):
        part = run_parts(executable, arrays, 4, [rank])
        assert 0.1 < np.mean(part != UNWRITTEN) < 0.5


def test_a_small_loop_stays_on_one_thread() -> None:
    graphs = Graphs()
    negative = graphs.emit("neg", graphs.input(N))
    executable = compile_graph(graphs.builder.build([negative]))
    x = np.linspace(0, 1, GRAIN - 1, dtype=np.float32)
    assert np.all(run_parts(executable, [x], 4, [0]) != UNWRITTEN)
    assert np.all(run_parts(executable, [x], 4, [1, 2, 3]) == UNWRITTEN)


def test_dear_elements_are_shared_sooner() -> None:
    graphs = Graphs()
    executable = compile_graph(graphs.builder.build([graphs.loop()]))
    x = np.linspace(0, 1, GRAIN - 1, dtype=np.float32)
    assert np.mean(run_parts(executable, [x], 4, [1, 2, 3]) != UNWRITTEN) > 0.7
