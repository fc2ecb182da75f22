"""Random graphs over the whole op table, with inputs that keep every value tame.

`random_graph(seed, nodes)` builds a graph node by node. Each candidate node is evaluated as it
is made, on the inputs and on slightly moved inputs, and dropped where its result is not finite,
larger than `LIMIT`, or moves much more than its operands did (a kink, a pole, a rounding that
flips). So results are well conditioned: rounding differences between two ways to compute a
graph stay rounding differences.

The first dimension of some inputs is the run-time size N. The same seed with fewer nodes gives a
prefix of the graph, which is what makes shrinking work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Size, evaluate, is_static
from graphkeras.ir.graph import Graph, Loc, Node, Value
from graphkeras.ir.op import OPS, Kind, OpTypeError, get_op
from graphkeras.ir.types import TensorType

Array = NDArray[Any]
Axes = tuple[int, ...]

N = Size.symbol("N")
SECOND_ORDER = ("window_max_grad", "window_scatter")
"""Gradients of max pooling, which can be differentiated no further."""
LIMIT = 30.0
"""Largest magnitude of a value."""
NUDGE = 1e-4
"""How far inputs are moved to see what is badly conditioned."""
GAIN = 50.0
"""How much further than `NUDGE` a value may move."""
ELEMENTS = 3000
"""Largest number of elements of a value."""


class Case(NamedTuple):
    """A graph, arrays for its inputs, and the run-time sizes of those arrays."""

    graph: Graph
    arrays: list[Array]
    sizes: dict[str, int]


class _Tame(Builder):
    """A builder that knows the arrays of its values, and those of moved inputs."""

    def __init__(self, name: str, sizes: dict[str, int], rng: np.random.Generator) -> None:
        super().__init__(name)
        self.sizes, self.rng = sizes, rng
        self.arrays: dict[Value, Array] = {}
        self.moved: dict[Value, Array] = {}

    def given(self, type: TensorType, array: Array, name: str) -> Value:
        value = self.input(type, name)
        self.arrays[value] = self.moved[value] = array
        if type.is_float:
            step = NUDGE * self.rng.choice([-1.0, 1.0], array.shape)
            self.moved[value] = (array + step).astype(array.dtype)
        return value

    def _append(self, node: Node) -> tuple[Value, ...]:
        for arrays in (self.arrays, self.moved):
            operands = [arrays[v] for v in node.inputs]
            found = get_op(node.op).reference(operands, node.attrs, self.sizes)
            arrays.update(zip(node.results, map(np.asarray, found), strict=True))
        if not all(self._is_tame(value) for value in node.results):
            raise OpTypeError("a value is not tame")
        return super()._append(node)

    def _is_tame(self, value: Value) -> bool:
        a, b = self.arrays[value], self.moved[value]
        if a.size > ELEMENTS:
            return False
        if not value.type.is_float:
            return bool(np.array_equal(a, b))
        if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
            return False
        return a.size == 0 or bool(np.abs(a).max() < LIMIT and np.abs(a - b).max() < GAIN * NUDGE)


class _Generator:
    """State of one random graph: the builder and the pool of values to choose operands from."""

    def __init__(self, seed: int, dtype: str) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.sizes = {"N": int(self.rng.integers(2, 6))}
        self.builder = _Tame(f"random_{seed}", self.sizes, self.rng)
        self.pool: list[Value] = []

    # choices

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def value(self, accept: Callable[[Value], bool] = lambda v: True) -> Value:
        """A value of the pool, later ones more likely."""
        fitting = [v for v in self.pool if accept(v)]
        if not fitting:
            raise OpTypeError("no operand fits")
        return fitting[-1 - int(len(fitting) * self.rng.random() ** 2)]

    def float_value(self, accept: Callable[[Value], bool] = lambda v: True) -> Value:
        return self.value(lambda v: v.type.is_float and accept(v))

    # new inputs and constants

    def concrete(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        return tuple(evaluate(d, self.sizes) for d in shape)

    def new_input(self, shape: Sequence[Dim], dtype: str = "", high: int = 4) -> Value:
        dtype = dtype or self.dtype
        extents = self.concrete(shape)
        if dtype.startswith("float"):
            array = self.rng.uniform(*self.pick([(-2, 2), (-2, 2), (0.5, 2)]), extents)
        else:
            array = self.rng.integers(0, 2 if dtype == "bool" else high, extents)
        type = TensorType(tuple(shape), dtype)
        name = f"x{len(self.builder.inputs)}"
        value = self.builder.given(type, array.astype(dtype), name)
        self.pool.append(value)
        return value

    def new_leaf(self, shape: Sequence[Dim], scale: float = 1.0) -> Value:
        """A new input, or a constant where the shape is static."""
        if is_static(shape) and self.chance(0.5):
            array = self.rng.uniform(-scale, scale, self.concrete(shape)).round(3)
            return self.builder.constant(array, dtype=self.dtype)
        return self.new_input(shape)

    # steps: each emits one node or a few

    def arithmetic(self) -> None:
        """The ops most graphs are made of."""
        x = self.float_value()
        name = self.pick(["add", "sub", "mul", "mul", "div", "max", "min"])
        self.pool.append(self.builder.emit(name, x, self.like(x.type)))

    def normalize(self) -> None:
        """Subtracts a reduction from its operand: the shape of a softmax or a batch norm."""
        x = self.float_value(lambda v: v.type.rank > 0)
        axis = int(self.rng.integers(x.type.rank))
        b, kept = self.builder, tuple(d for d in range(x.type.rank) if d != axis)
        total = b.emit(self.pick(["reduce_sum", "reduce_max"]), x, axes=(axis,))
        wide = b.emit("broadcast", total, shape=x.type.shape, dims=kept)
        self.pool += [total, b.emit("sub", x, wide)]

    def elementwise(self) -> None:
        names = [n for n, op in OPS.items() if op.kind is Kind.ELEMENTWISE and not op.attrs]
        op = get_op(self.pick(names))
        arity = len(op.samples[0].make(self.rng))
        operands = [self.value()]
        if op.name == "select":
            like = self.value()
            condition = self.like(like.type.with_dtype("bool"))
            operands = [condition, like, self.like(like.type)]
        while len(operands) < arity:
            operands.append(self.like(operands[0].type))
        self.pool.append(self.builder.emit(op.name, *operands))

    def like(self, type: TensorType) -> Value:
        """A value of this very type: one of the pool, a spread constant, or a comparison."""
        fitting = [v for v in self.pool if v.type == type]
        if fitting and self.chance(0.7):
            return self.pick(fitting)
        if type.dtype == "bool":
            same = [v for v in self.pool if v.type.is_float and v.type.shape == type.shape]
            if same and self.chance(0.7):
                other = self.like(same[0].type)
                return self.builder.emit(self.pick(["lt", "ge", "ne"]), self.pick(same), other)
        whole = not type.is_float
        number = self.rng.integers(0, 2) if whole else self.pick([0.0, 1.0, 2.0, -1.0, 0.5, 1.7])
        scalar = self.builder.constant(number, dtype=type.dtype)
        if not type.shape:
            return scalar
        return self.builder.emit("broadcast", scalar, shape=type.shape, dims=())

    def cast(self) -> None:
        target = self.pick([self.dtype, self.dtype, "int32", "bool", "float64", "uint8"])
        result = self.builder.emit("cast", self.value(), dtype=target)
        self.pool.append(result)

    def broadcast(self) -> None:
        x = self.value(lambda v: v.type.rank < 4)
        shape, dims = list(x.type.shape), list(range(x.type.rank))
        place = int(self.rng.integers(len(shape) + 1))
        shape.insert(place, self.pick([1, 2, 3, N]))
        dims = [d + (d >= place) for d in dims]
        for d in dims:
            if shape[d] == 1:
                shape[d] = self.pick([1, 3, N])
        self.pool.append(self.builder.emit("broadcast", x, shape=tuple(shape), dims=tuple(dims)))

    def reshape(self) -> None:
        x = self.value(lambda v: v.type.rank > 0)
        shape = list(x.type.shape)
        at = int(self.rng.integers(len(shape)))
        choice = self.pick(["merge", "one", "split"])
        if choice == "merge" and at + 1 < len(shape):
            shape[at : at + 2] = [shape[at] * shape[at + 1]]
        elif choice == "split" and isinstance(shape[at], int) and shape[at] % 2 == 0:
            shape[at : at + 1] = [shape[at] // 2, 2]
        else:
            shape.insert(at, 1)
        self.pool.append(self.builder.emit("reshape", x, shape=tuple(shape)))

    def transpose(self) -> None:
        x = self.value(lambda v: v.type.rank > 1)
        perm = tuple(int(p) for p in self.rng.permutation(x.type.rank))
        self.pool.append(self.builder.emit("transpose", x, perm=perm))

    def reverse(self) -> None:
        x = self.value(lambda v: v.type.rank > 0)
        axes = tuple(a for a in range(x.type.rank) if self.chance(0.5))
        self.pool.append(self.builder.emit("reverse", x, axes=axes))

    def slice(self) -> None:
        x = self.value(lambda v: v.type.rank > 0)
        start, stop, step = [], [], []
        for dim in x.type.shape:
            narrow = isinstance(dim, int) and dim > 1 and self.chance(0.6)
            start.append(int(self.rng.integers(dim)) if narrow else 0)
            stop.append(int(self.rng.integers(start[-1], dim)) + 1 if narrow else dim)
            step.append(self.pick([1, 2]) if narrow else 1)
        self.pool.append(
            self.builder.emit("slice", x, start=tuple(start), stop=tuple(stop), step=tuple(step))
        )

    def pad(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        low, high, interior = [], [], []
        for dim in x.type.shape:
            big = isinstance(dim, int) and dim > 2
            low.append(self.pick([-1, 0, 1]) if big else self.pick([0, 0, 1]))
            high.append(self.pick([-1, 0, 2]) if big else 0)
            interior.append(self.pick([0, 0, 1]) if big else 0)
        zero = self.builder.constant(self.pick([0.0, 0.5]), dtype=x.type.dtype)
        attrs = {"low": tuple(low), "high": tuple(high), "interior": tuple(interior)}
        self.pool.append(self.builder.emit("pad", x, zero, **attrs))

    def concat(self) -> None:
        x = self.value(lambda v: v.type.rank > 0)
        axis = int(self.rng.integers(x.type.rank))

        def fits(v: Value) -> bool:
            rest = [d for d in range(x.type.rank) if d != axis]
            return (
                v.type.rank == x.type.rank
                and v.type.dtype == x.type.dtype
                and all(v.type.shape[d] == x.type.shape[d] for d in rest)
            )

        parts = [x, *(self.value(fits) for _ in range(self.pick([0, 1, 2])))]
        self.pool.append(self.builder.emit("concat", *parts, axis=axis))

    def reduce(self) -> None:
        x = self.value(lambda v: v.type.rank > 0)
        logical = x.type.dtype == "bool"
        names = (
            ["reduce_and", "reduce_or"]
            if logical
            else (["reduce_sum", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod"])
        )
        axes = tuple(a for a in range(x.type.rank) if self.chance(0.5))
        self.pool.append(self.builder.emit(self.pick(names), x, axes=axes))

    def dot(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        if self.chance(0.4):
            self._dot_of_two(x)
            return
        axis = int(self.rng.integers(x.type.rank))
        dim = x.type.shape[axis]
        if not isinstance(dim, int) or x.type.dtype != self.dtype:
            raise OpTypeError("contracts static dims only")
        flipped = self.chance(0.3)
        w = self.new_leaf((4, dim) if flipped else (dim, 4), scale=0.7)
        self.pool.append(self._dot(x, w, (), (), (axis,), (1,) if flipped else (0,)))

    def _dot_of_two(self, x: Value) -> None:
        """Contracts, or takes as batch, dims that two values share."""
        y = self.float_value(lambda v: v.type.rank > 0 and v.type.dtype == x.type.dtype)
        batch: list[tuple[int, int]] = []
        contract: list[tuple[int, int]] = []
        free = list(range(y.type.rank))
        for i, dim in enumerate(x.type.shape):
            match = [j for j in free if y.type.shape[j] == dim]
            if match and self.chance(0.7):
                free.remove(match[0])
                self.pick([batch, contract]).append((i, match[0]))
        lhs_batch, rhs_batch = tuple(p[0] for p in batch), tuple(p[1] for p in batch)
        lhs, rhs = tuple(p[0] for p in contract), tuple(p[1] for p in contract)
        self.pool.append(self._dot(x, y, lhs_batch, rhs_batch, lhs, rhs))

    def _dot(
        self,
        x: Value,
        y: Value,
        lb: Axes,
        rb: Axes,
        lc: Axes,
        rc: Axes,
    ) -> Value:
        return self.builder.emit(
            "dot_general", x, y, lhs_batch=lb, rhs_batch=rb, lhs_contract=lc, rhs_contract=rc
        )

    def image(self) -> Value:
        """A [N, *spatial, channels] value with static spatial dims."""
        fitting = [
            v
            for v in self.pool
            if v.type.dtype == self.dtype and v.type.rank in (3, 4) and is_static(v.type.shape[1:])
        ]
        if fitting and self.chance(0.7):
            return self.pick(fitting)
        return self.new_input(self.pick([(N, 7, 2), (N, 5, 6, 2), (2, 6, 5, 4)]))

    def conv(self) -> None:
        x = self.image()
        spatial, channels = x.type.rank - 2, int(x.type.shape[-1])
        groups = self.pick([1, 1, 2]) if channels % 2 == 0 else 1
        kernel = tuple(self.pick([1, 2, 3]) for _ in range(spatial))
        w = self.new_leaf((*kernel, channels // groups, 2 * groups), scale=0.5)
        attrs = {
            "strides": tuple(self.pick([1, 1, 2]) for _ in range(spatial)),
            "padding": tuple((self.pick([0, 1]), self.pick([0, 1, 2])) for _ in range(spatial)),
            "lhs_dilation": tuple(self.pick([1, 1, 2]) for _ in range(spatial)),
            "rhs_dilation": tuple(self.pick([1, 1, 2]) for _ in range(spatial)),
            "groups": groups,
        }
        y = self.builder.emit("conv", x, w, **attrs)
        self.pool.append(y)
        if self.chance(0.2):
            self.pool.append(
                self.builder.emit(
                    "conv_kernel_grad", x, self.like(y.type), kernel_size=kernel, **attrs
                )
            )

    def window(self) -> None:
        x = self.image()
        inside = x.type.rank - 2
        window = [self.pick([1, 2, 3]) for _ in range(inside)]
        attrs = {
            "window": (1, *window, 1),
            "strides": (1, *(self.pick([1, 2]) for _ in window), 1),
            "padding": ((0, 0), *((0, self.pick([0, 1]) if w > 1 else 0) for w in window), (0, 0)),
        }
        name = self.pick(["window_sum", "window_max"])
        y = self.builder.emit(name, x, **attrs)
        self.pool.append(y)
        if name == "window_max" and self.chance(0.3):
            dy = self.like(y.type)
            if self.chance(0.5):
                self.pool.append(self.builder.emit("window_max_grad", x, dy, **attrs))
                return
            winners = self.builder.emit("window_argmax", x, y, **attrs)
            shape = x.type.shape
            self.pool.append(self.builder.emit("window_scatter", dy, winners, shape=shape, **attrs))

    def gather(self) -> None:
        x = self.value(lambda v: 0 < v.type.rank < 4)
        axis = int(self.rng.integers(x.type.rank))
        indices = self.new_input(self.pick([(), (3,), (N, 2)]), "int32", high=5)
        self.pool.append(self.builder.emit("gather", x, indices, axis=axis))

    def take_along(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        axis = int(self.rng.integers(x.type.rank))
        order = self.builder.emit("argsort", x, axis=axis, descending=self.chance(0.5))
        self.pool.append(self.builder.emit("take_along", x, order, axis=axis))

    def scatter(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        axis = int(self.rng.integers(x.type.rank))
        indices = self.new_input((self.pick([2, N]),), "int32", high=4)
        shape = (*x.type.shape[:axis], *indices.type.shape, *x.type.shape[axis + 1 :])
        updates = self.like(TensorType(shape, x.type.dtype))
        self.pool.append(self.builder.emit("scatter_add", x, indices, updates, axis=axis))

    def cumulate(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        name = self.pick(["cumsum", "cumprod", "cummax"])
        axis = int(self.rng.integers(x.type.rank))
        self.pool.append(self.builder.emit(name, x, axis=axis, reverse=self.chance(0.5)))

    def scatter_along(self) -> None:
        x = self.float_value(lambda v: v.type.rank > 0)
        axis = int(self.rng.integers(x.type.rank))
        order = self.builder.emit("argsort", x, axis=axis, descending=False)
        updates = self.like(x.type)
        self.pool.append(self.builder.emit("scatter_add_along", x, order, updates, axis=axis))

    def number(self) -> None:
        """Values made of nothing: positions, sizes, random bits."""
        b, choice = self.builder, self.pick(["iota", "dim", "random"])
        if choice == "iota":
            self.pool.append(b.emit("iota", shape=(N, 3), axis=self.pick([0, 1]), dtype=self.dtype))
        elif choice == "dim":
            self.pool.append(b.emit("dim", size=self.pick([3, N, N * 2]), dtype=self.dtype))
        else:
            key = self.new_input((2,), "uint32", high=2**31)
            bits = b.emit("random_bits", key, shape=(N, 4))
            mask = b.emit("broadcast", b.constant(15, "uint32"), shape=(N, 4), dims=())
            low = b.emit("cast", b.emit("and", bits, mask), dtype=self.dtype)
            scale = b.emit("broadcast", b.constant(1 / 16, self.dtype), shape=(N, 4), dims=())
            self.pool.append(b.emit("mul", low, scale))


STEPS = (
    *("elementwise",) * 12,
    *("arithmetic",) * 10,
    *("broadcast", "reshape", "transpose", "reduce", "dot", "normalize") * 2,
    *("cast", "reverse", "slice", "pad", "concat", "conv", "window", "gather"),
    *("take_along", "scatter", "scatter_along", "cumulate", "number"),
)
"""Names of the steps, each as often as it is likely."""


def random_graph(seed: int, nodes: int = 12, dtype: str = "float32") -> Case:
    """A random graph of about `nodes` nodes; every value that nothing reads is an output."""
    g = _Generator(seed, dtype)
    for shape in ((N, 4), (4,), (N, 4), ()):
        g.new_input(shape)
    for attempt in range(20 * nodes):
        if len(g.builder.nodes) >= nodes:
            break
        layer = f"layer_{attempt // 4}"
        with g.builder.at(Loc("model.py", attempt + 1, layer)):
            _try(g, g.pick(STEPS))
    read = {v for node in g.builder.nodes for v in node.inputs}
    sinks = [r for node in g.builder.nodes for r in node.results if r not in read]
    outputs = sinks or [g.pool[0]]
    names = [f"y{i}" for i in range(len(outputs))]
    arrays = [g.builder.arrays[v] for v in g.builder.inputs]
    return Case(g.builder.build(outputs, output_names=names), arrays, g.sizes)


def _try(g: _Generator, step: str) -> None:
    """One step; nothing remains of a step that fails."""
    nodes, inputs, pool = len(g.builder.nodes), len(g.builder.inputs), len(g.pool)
    try:
        getattr(g, step)()
    except OpTypeError:
        del g.builder.nodes[nodes:], g.builder.inputs[inputs:], g.pool[pool:]


def with_loss(case: Case) -> Case:
    """The case with one output, the sum of the float outputs of its dtype (or of input 0)."""
    builder = Builder.extending(case.graph, "trace")
    floats = [v for v in case.graph.outputs if v.type.dtype == case.graph.inputs[0].type.dtype]
    total = builder.constant(0.0, dtype=case.graph.inputs[0].type.dtype)
    for value in floats or case.graph.inputs[:1]:
        axes = tuple(range(value.type.rank))
        total = builder.emit("add", total, builder.emit("reduce_sum", value, axes=axes))
    return case._replace(graph=builder.build([total], output_names=["loss"]))


def cases(dtype: str = "float32", max_nodes: int = 24) -> st.SearchStrategy[Case]:
    """Hypothesis strategy of `random_graph`."""
    return st.builds(
        random_graph,
        seed=st.integers(0, 2**20),
        nodes=st.integers(1, max_nodes),
        dtype=st.just(dtype),
    )
