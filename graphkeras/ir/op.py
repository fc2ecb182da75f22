"""What an op is, and the one table of all of them.

An op is defined once, in one file of `graphkeras/ir/ops/`: name, attributes, kind, type rule,
NumPy reference, gradient rule, element or loops, and samples. Passes and code generation ask
its *kind* and its rules, never its name::

    kind         what code generation needs            how an element of the result is made
    CONSTANT     -                                     a literal (attribute `value`)
    ELEMENTWISE  `scalar` template                     from the same element of every operand
    INJECTIVE    `element` rule                        from at most a few operand elements
    REDUCE       `reduction` rule                      combine over reduced/window positions
    CONTRACT     `contraction` rule                    sum of products (matmul, convolution)
    OPAQUE       `loops` rule                          by loops of its own (sort, scatter)
    FUSED        body graph                            by the body
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from itertools import product as combinations
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, Shape, Size
from graphkeras.ir.scalar import Expr, as_index
from graphkeras.ir.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graphkeras.ir.builder import Builder
    from graphkeras.ir.graph import Node, Value

Array: TypeAlias = "NDArray[Any]"
Attrs = Mapping[str, Any]
Sizes = Mapping[str, int]
"""Values of the run-time dimensions."""


class Kind(Enum):
    """How an op computes; see the table at the top of this file."""

    CONSTANT = "constant"
    ELEMENTWISE = "elementwise"
    INJECTIVE = "injective"
    REDUCE = "reduce"
    CONTRACT = "contract"
    OPAQUE = "opaque"
    FUSED = "fused"


class Affine(Enum):
    """What a binary op does to its first operand, by a number that the second one says."""

    SHIFT = "shift"
    """Adds a number: op(x + c, v) = x + op(c, v)."""
    SCALE = "scale"
    """Multiplies by one: op(x * c, v) = x * op(c, v)."""


class OpTypeError(TypeError):
    """Operands or attributes that an op does not accept."""


@frozen
class Attr:
    """One attribute of an op: its Python type, and its default (`...` where it must be given)."""

    name: str
    type: type | tuple[type, ...]
    default: Any = ...


class Index(Protocol):
    """A position in a tensor: one int64 expression a dimension, or one flat offset."""

    def __getitem__(self, dim: int) -> Expr: ...

    def __len__(self) -> int: ...

    @property
    def flat(self) -> Expr:
        """Row-major offset of the position."""
        ...

    def reshaped(self, shape: Shape) -> Index:
        """The position of the same element in a tensor of another shape."""
        ...


class Elements(Protocol):
    """What an `element` rule may ask of code generation."""

    def operand(self, i: int, index: Sequence[Expr] | Index) -> Expr:
        """Operand `i` at a position; a scalar operand takes `()`."""
        ...

    def guarded(self, condition: Expr, value: Callable[[], Expr], other: Expr) -> Expr:
        """`value()` where `condition` holds, else `other`; `value` is not read elsewhere."""
        ...

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """A scalar operation written as a template."""
        ...


@frozen
class Reduction:
    """Result element = combine over `space` of the operand at `index(out, red)`.

    `index` gives the operand position for a result position and a reduction position, and the
    conditions under which it lies inside the operand (elsewhere the identity counts).
    """

    space: tuple[Dim, ...]
    """Extents of the reduction loops, outermost first."""
    index: Callable[[Index, Sequence[Expr]], tuple[list[Expr], list[Expr]]]
    combine: str
    """Template of `{0}` (accumulator) and `{1}` (element)."""
    identity: float | int | bool
    is_sum: bool = False
    """A sum of floats: a loop over one accumulator may add in another order, to vectorise."""
    window: bool = False
    """Whether results are made from windows of the operand (pooling): dims are not simply kept."""
    overlaps: bool = False
    """Whether windows overlap, so that elements of the operand are read several times."""

    @property
    def positions(self) -> list[list[Expr]]:
        """The reduced positions, in row-major order, where their number is known."""
        extents = [range(extent) for extent in self.space if isinstance(extent, int)]
        assert len(extents) == len(self.space)
        return [[as_index(i) for i in spot] for spot in combinations(*extents)]


@frozen
class View:
    """An operand with zeros put around it and between its elements.

    `lhs(b, m, k)` of a contraction is `source(place(b, m, k))`; `place` has no conditions, so
    code generation may lay a part of the view out in memory and read it by strides.
    """

    shape: Shape
    """Shape of the view; its first dim is the operand's and has no zeros."""
    place: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], list[Expr]]
    """(b, m, k) -> position in the view, a sum of the positions times constants in each dim."""
    source: Callable[[Sequence[Expr]], tuple[list[Expr], list[Expr]]]
    """Position in the view -> (position in the operand, conditions to lie inside it)."""
    inside: tuple[tuple[int, int] | None, ...]
    """For each dim but the first: where elements begin and end; None: zeros lie between them."""
    low: tuple[int, ...]
    """Zeros in front of the operand, in each dim but the first and the last."""
    gaps: tuple[int, ...]
    """Distance of the operand's elements in the view, in each of these dims."""


@frozen
class Contraction:
    """Result[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n], each letter a list of dims.

    `lhs`, `rhs` give an operand's position (and the conditions to lie inside it; outside counts
    as zero) for positions in the dims; `out` gives the result's position.
    """

    batch: tuple[Dim, ...]
    m: tuple[Dim, ...]
    n: tuple[Dim, ...]
    k: tuple[Dim, ...]
    lhs: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], tuple[list[Expr], list[Expr]]]
    """(b, m, k) -> (position, conditions)."""
    rhs: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], tuple[list[Expr], list[Expr]]]
    """(b, k, n) -> (position, conditions)."""
    out: Callable[[Sequence[Expr], Sequence[Expr], Sequence[Expr]], list[Expr]]
    """(b, m, n) -> position."""
    view: View | None = None
    """Where `lhs` has conditions: the tensor without conditions that it amounts to."""
    together: int = 0
    """Number of last dims of m whose positions are finished together; see `ir.regroup`."""
    apart: bool = False
    """Whether all rows of one position of the first dim of m are computed by one thread, one after
    the other; see `ir.image_sums`."""
    whole: bool = False
    """Whether all columns of a row are computed by one thread, which goes on with the row when it
    is complete; see `ir.whole_rows`."""
    phases: tuple[Contraction, ...] = ()
    """The same in parts, each of every few rows, that leave out the zeros between the elements of
    `lhs`; none where there are no such zeros. Where a part has no k, its result is zero."""
    transformed: Literal["", "kernel", "sums"] = ""
    """How this is a Winograd convolution. `"kernel"`: the kernel comes transformed; `rhs` takes
    (place, 0, channel) for k; see `ir.ops.winograd`. `"sums"`: what is summed are products of
    transformed patches; see `ir.ops.winograd_gradient`. k counts the products of the definition."""


@frozen
class Scattered:
    """A tensor that is zero but for one element in each of its windows, which do not overlap.

    Operand 0 has the element of every window and operand 1, of integers, its row-major place in
    the window; where that is no place of the window, the window is all zero.
    """

    window: tuple[int, ...]
    """Size of a window in each dim; elements behind the last whole window are zero."""


class Loops(Protocol):
    """What a `loops` rule may ask of code generation. Offsets are in elements, row-major."""

    def size(self, dim: Dim) -> Expr:
        """A dimension as an expression."""
        ...

    def parallel(self, extent: Dim, name: str) -> Any:
        """`with k.parallel(extent, "i") as i:` iterations spread over the threads.

        Every iteration must write elements of its own. At most one per kernel, outermost.
        """
        ...

    def parallel_range(self, extent: Dim, work: Dim, name: str) -> Any:
        """`with k.parallel_range(n, work, "row") as (first, end):` a contiguous run a thread.

        Every run must write elements of its own, and their values must not depend on where the
        runs begin. `work` elements are touched in all. In place of `parallel`.
        """
        ...

    def loop(self, start: Expr | int, stop: Expr | Dim, name: str, step: int = 1) -> Any:
        """`with k.loop(0, n, "j") as j:` a serial loop."""
        ...

    def when(self, condition: Expr) -> Any:
        """`with k.when(condition):` a conditional block."""
        ...

    def let(self, name: str, value: Expr) -> Expr:
        """A new local variable; returns it. May be assigned again with `assign`."""
        ...

    def assign(self, variable: Expr, value: Expr) -> None:
        """Gives a local variable a new value."""
        ...

    def load(self, i: int, offset: Expr) -> Expr:
        """Element of operand `i`."""
        ...

    def read(self, o: int, offset: Expr) -> Expr:
        """Element of result `o` that this kernel wrote before."""
        ...

    def store(self, o: int, offset: Expr, value: Expr) -> None:
        """Writes an element of result `o`."""
        ...

    def apply(self, template: str, *args: Expr, dtype: str) -> Expr:
        """A scalar operation written as a template."""
        ...


@frozen
class Sample:
    """Operand values and attributes to try an op with.

    `inputs` are arrays made by `make(rng)`; `symbolic` names, per operand, the dimensions that
    the tests also try as run-time sizes, as `{operand: {dim: "N"}}`.
    """

    make: Callable[[np.random.Generator], Sequence[Array]]
    attrs: Attrs = field(default_factory=dict)
    symbolic: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    differentiable: bool = True
    """False where finite differences mean nothing (at kinks, on integers)."""
    label: str = ""

    def cases(self, arrays: Sequence[Array]) -> list[list[TensorType]]:
        """Operand types to try for the arrays: all numbers, then with the run-time sizes.

        Only the latter where an attribute holds a run-time size.
        """
        static = [TensorType(a.shape, str(a.dtype)) for a in arrays]
        symbolic = [
            t.with_shape(
                tuple(
                    Size.symbol(self.symbolic[i][d]) if d in self.symbolic.get(i, {}) else n
                    for d, n in enumerate(t.shape)
                )
            )
            for i, t in enumerate(static)
        ]
        entries = [v if isinstance(v, tuple) else (v,) for v in self.attrs.values()]
        if any(isinstance(entry, Size) for entries_of in entries for entry in entries_of):
            return [symbolic]
        return [static, symbolic] if self.symbolic else [static]


Infer = Callable[[Sequence[TensorType], Attrs], tuple[TensorType, ...]]
Reference = Callable[[Sequence[Array], Attrs, Sizes], tuple[Array, ...]]
Gradient = Callable[["Builder", "Node", "Sequence[Value | None]"], "Sequence[Value | None]"]

Scalar = str | Callable[["Node"], str]
"""Template of a result element: `{0}`, `{1}` are the operands' elements, `{T}` the cast to the
result dtype. A function of the node where the template depends on dtypes."""


@frozen
class Op:
    """A primitive operation; one instance a primitive, in `OPS`."""

    name: str
    kind: Kind
    doc: str
    infer: Infer
    """Operand types and attributes -> result types. Raises `OpTypeError`."""
    reference: Reference
    """NumPy arrays, attributes and run-time sizes -> result arrays of the inferred dtypes."""
    attrs: tuple[Attr, ...] = ()
    gradient: Gradient | None = None
    """(builder, node, cotangent of every result or None) -> cotangent of every operand or None.

    None as the rule: no gradient flows (integers, comparisons, random bits)."""
    scalar: Scalar | None = None
    """ELEMENTWISE: template of the operands' elements; ask `template` for it."""
    element: Callable[[Elements, Node, Index], Expr] | None = None
    """INJECTIVE: the result's element at a position."""
    limits: Callable[[Node], Sequence[Dim]] | None = None
    """INJECTIVE: dims that are negative for sizes at which it reads elements that there are not."""
    scattered: Callable[[Node], Scattered | None] | None = None
    """INJECTIVE: where the result is not zero, if that is known to be so few elements."""
    reduction: Callable[[Node], Reduction] | None = None
    contraction: Callable[[Node], Contraction] | None = None
    loops: Callable[[Loops, Node], None] | None = None
    cost: int = 1
    """Rough price of one element in simple instructions; fusion duplicates only cheap ones."""
    by_image: Callable[[Node], tuple[str, Attrs] | None] | None = None
    """For a sum over images: the op that gives the parts of each, more dims in front, and its
    attributes, if it pays."""
    commutative: bool = False
    affine: Affine | None = None
    """ELEMENTWISE: whether the result is the first operand, shifted or scaled."""
    indexes: bool = False
    """Whether operand 1 says where along `axis` of operand 0 to read or write."""
    folds: bool = True
    """Whether the result for constant operands is a constant: not where it is to look random."""
    samples: tuple[Sample, ...] = ()

    def template(self, node: Node) -> str:
        """The scalar template of an ELEMENTWISE node. Raises `ValueError` for other kinds."""
        if self.scalar is None:
            raise ValueError(f"{self.name} has no scalar template; its kind is {self.kind.value}")
        return self.scalar if isinstance(self.scalar, str) else self.scalar(node)

    def check_attrs(self, given: Attrs) -> dict[str, Any]:
        """The attributes with defaults filled in. Raises `OpTypeError` on wrong ones."""
        known = {a.name: a for a in self.attrs}
        for name in given:
            if name not in known:
                raise OpTypeError(
                    f"{self.name}: unknown attribute {name!r}; it has {', '.join(known) or 'none'}"
                )
        filled = {}
        for attr in self.attrs:
            value = given.get(attr.name, attr.default)
            if value is ...:
                raise OpTypeError(f"{self.name}: attribute {attr.name!r} is missing")
            if not isinstance(value, attr.type):
                raise OpTypeError(
                    f"{self.name}: attribute {attr.name!r} must be {attr.type}, "
                    f"received {value!r} of type {type(value).__name__}"
                )
            filled[attr.name] = value
        return filled


OPS: dict[str, Op] = {}
"""Every primitive by name. Filled by `graphkeras.ir.ops`."""


def register(op: Op) -> Op:
    """Adds an op to the table. Raises `ValueError` where the name is taken."""
    if op.name in OPS:
        raise ValueError(f"op {op.name!r} is defined twice")
    OPS[op.name] = op
    return op


def get_op(name: str) -> Op:
    """The op called `name`. Raises `OpTypeError` where there is none."""
    try:
        return OPS[name]
    except KeyError:
        raise OpTypeError(f"unknown op {name!r}") from None
