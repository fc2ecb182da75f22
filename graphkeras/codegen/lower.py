"""From a fused node to kernel IR: one function a pattern.

All loop choices are in this file, `accumulate.py`, `rows.py` and `row_loops.py`.

The loops of each pattern; which pattern a node has was decided by fusion::

    LOOP     for flat element: outputs                        (nothing needs single dims)
             for row: for j: outputs                          (otherwise)
    ROWS     for row: reduce over columns, ...; outputs       (accumulators in locals; rows.py)
    REDUCE   for row: for k: for j: accumulate; for j: outputs (accumulate.py)
             or, for small windows, every position written out: for row: for j: acc = ...; outputs
    CONTRACT microkernels (the target's), or REDUCE's loops where it has none
    OPAQUE   the op's own loops
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphkeras.codegen.accumulate import (
    Accumulation,
    Term,
    reduction_of,
    reduction_term,
    sum_term,
)
from graphkeras.codegen.columns import COLUMN, loop_over_columns, run_of_columns
from graphkeras.codegen.emit import Elements, KernelWriter, same_element
from graphkeras.codegen.kernel_ir import BufferParameter, KernelFunction
from graphkeras.codegen.opaque import OpaqueLoops
from graphkeras.codegen.program import Share, loop_share
from graphkeras.codegen.row_loops import RowLoops
from graphkeras.ir.access import AccessCollector
from graphkeras.ir.dims import Shape, product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.image_sums import is_image_sum
from graphkeras.ir.op import Contraction, Kind, Reduction, get_op
from graphkeras.ir.position import Position, split_offset
from graphkeras.ir.regroup import Regrouped, contraction_of
from graphkeras.ir.scalar import (
    INDEX,
    Apply,
    Const,
    Expr,
    Load,
    Var,
    as_index,
)

UNROLLED = 32
"""Windows up to this many positions are written out, and need no accumulators in memory."""
READ_THROUGH = "prepack"
"""Maker of nodes that only say in which order an operand lies: no part of a kernel's name."""
LowerContraction = Callable[["Lowering", Node, Contraction], bool]
"""A target's way to lower a contraction of floats; False, and nothing written, if it has none."""


class Lowering:
    """The kernel of one fused node while it is written."""

    def __init__(
        self,
        node: Node,
        lower_contraction: LowerContraction,
        operands: Sequence[str],
        results: Sequence[str],
    ) -> None:
        """`operands`, `results`: names of the buffers; what shares memory shares a name."""
        assert node.body is not None
        self.node = node
        self.body: Graph = node.body
        self.lower_contraction = lower_contraction
        self.writer = KernelWriter((*operands, *results))
        # One name for shared memory: LLVM then sees that an iteration touches its own element
        # only, and may take buffers of different names for disjoint.
        self.operands = dict(zip(self.body.inputs, operands, strict=True))
        self.results = dict(zip(self.body.outputs, results, strict=True))
        self.elements = Elements(self.writer, self.body, self.operands)
        self.grouped: Regrouped | None = None
        """CONTRACT: the order of the rows where windows follow."""
        self.elementwise = list(self.results)
        """CONTRACT: results that have an element at each row; the others sum these up."""
        self.sums: dict[Node, str] = {}
        """CONTRACT: reductions that take in every row when it is stored, and their accumulators in
        scratch memory, one a column."""

    def run(self) -> KernelFunction:
        """The kernel, complete."""
        getattr(self, f"_lower_{self.node.attrs['pattern']}")()
        return KernelFunction(
            name=_name(self.body),
            buffers=self._buffers(),
            symbols=sorted(self.writer.symbols),
            body=self.writer.body,
            comments=_comments(self.node),
            helpers=self.writer.helpers,
            scratch=self.writer.scratch,
        )

    def _buffers(self) -> list[BufferParameter]:
        dtypes: dict[str, str] = {}
        for value, name in (*self.operands.items(), *self.results.items()):
            dtypes.setdefault(name, value.type.dtype)
        return [BufferParameter(name, dtype) for name, dtype in dtypes.items()]

    # ---- LOOP

    def _lower_loop(self) -> None:
        outputs = list(self.results)
        shape = outputs[0].type.shape
        share = loop_share(self.body, shape)
        if self._is_flat(outputs):
            with self.writer.parallel(product(shape), "i", share) as i:
                self._store_all(outputs, lambda value: Position(value.type.shape, flat=i))
            return
        inner = _inner_axis(shape)
        flat = Var(INDEX, "row") * as_index(shape[inner]) + COLUMN
        run = run_of_columns(outputs, Position(shape, flat=flat), shape[inner])
        self._rows_of_columns(shape, share, run)

    def _rows_of_columns(self, shape: Shape, share: Share, run: int | None) -> None:
        """`for row: for j: outputs`, j along the dim that is contiguous in memory."""
        outputs = list(self.results)
        inner = _inner_axis(shape)
        rows, columns = product(shape[:inner]), shape[inner]
        with self.writer.parallel(rows, "row", share) as row:
            prefix = split_offset(row, shape[:inner])
            with loop_over_columns(self.writer, as_index(0), as_index(columns), run) as j:
                tail = [Const(INDEX, 0)] * (len(shape) - inner - 1)
                flat = row * as_index(columns) + j
                indices = (*prefix, j, *tail)

                def position(value: Value) -> Position:
                    same = value.type.shape == shape
                    return Position(value.type.shape, indices if same else None, flat)

                self._store_all(outputs, position)

    def _is_flat(self, outputs: Sequence[Value]) -> bool:
        """Whether no element needs its offset taken apart into dims."""
        collector = AccessCollector(())
        flat = Var(INDEX, "i")
        if len(outputs[0].type.shape) <= 1:
            return True
        for value in outputs:
            collector.read(value, Position(value.type.shape, flat=flat))
        offsets = [offset for reads in collector.found.values() for offset in reads]
        return not any(_divides(offset) for offset in offsets)

    def _store_all(self, values: Sequence[Value], position: Callable[[Value], Position]) -> None:
        computed = [(value, self.elements.read(value, position(value))) for value in values]
        for value, element in computed:
            self.writer.store(self.results[value], position(value).flat, element)

    # ---- ROWS

    def row_loops(self) -> RowLoops:
        """The loops over the columns of a row; ROWS, and CONTRACT that goes on with whole rows."""
        space, count = self.node.attrs["space"], self.node.attrs["rows"]
        return RowLoops(self.elements, list(self.results), self._store_all, space, count)

    def _lower_rows(self) -> None:
        space: Shape = self.node.attrs["space"]
        rows, loops = product(space[: self.node.attrs["rows"]]), self.row_loops()
        with self.writer.parallel(rows, "row", loop_share(self.body, space)) as row:
            loops.write(row)

    # ---- REDUCE

    def _lower_reduce(self) -> None:
        heroes = [n for n in self.body.nodes if get_op(n.op).kind is Kind.REDUCE]
        rule, shape = reduction_of(heroes[0]), heroes[0].types[0].shape
        vector = _is_vector(rule, heroes[0])
        if vector and _is_written_out(rule, heroes[0]):
            self._rows_of_columns(shape, Share(product(shape) * product(rule.space)), None)
        else:
            self._reduce_loops([self._term(hero) for hero in heroes], rule.space, vector)

    def _term(self, hero: Node) -> Term:
        rule = reduction_of(hero)

        def element(out: Position, red: Sequence[Expr]) -> Expr:
            index, conditions = rule.index(out, red)
            return self.elements.inside(hero.inputs[0], index, conditions, rule.identity)

        return reduction_term(hero.result, rule, element)

    def _reduce_loops(self, terms: Sequence[Term], space: Shape, vector: bool) -> None:
        shape = terms[0].result.type.shape
        step = Accumulation(self.writer, terms, shape, space, self.store_epilogue)
        if vector and shape:
            step.over_vectors()
        else:
            step.over_elements()

    # ---- CONTRACT

    def contraction(self) -> tuple[Node, Contraction]:
        """CONTRACT: the contraction, and its rule with the rows in the order of the windows."""
        hero, rule, self.grouped = contraction_of(self.body)
        if rule.apart:
            self.elementwise = [value for value in self.results if not is_image_sum(value)]
        return hero, rule

    def _lower_contract(self) -> None:
        hero, rule = self.contraction()
        if not (hero.types[0].is_float and self.lower_contraction(self, hero, rule)):
            self._lower_direct(hero, rule)

    def _lower_direct(self, hero: Node, rule: Contraction) -> None:
        """A contraction of integers, or of a form that the target has no tiles for: plain loops."""
        dtype = hero.types[0].dtype
        lead = len(rule.batch)

        def element(out: Position, k: Sequence[Expr]) -> Expr:
            b, m, n = _invert(rule, out, lead)
            lhs = self.factor(hero.inputs[0], *rule.lhs(b, m, k))
            rhs = self.factor(hero.inputs[1], *rule.rhs(b, k, n))
            return self.writer.let(Apply(dtype, "({0} * {1})", (lhs, rhs)))

        self._reduce_loops([sum_term(hero.result, element)], rule.k, vector=True)

    def factor(self, operand: Value, index: list[Expr], conditions: list[Expr]) -> Expr:
        """An element of a contraction's operand; zero outside it."""
        return self.elements.inside(operand, index, conditions, 0)

    def store_epilogue(self, known: Mapping[Value, Expr], position: Position) -> None:
        """Stores every output at `position`, given the heroes' elements there."""
        self.elements.known.update(known)
        self._store_all(self.elementwise, lambda value: same_element(value, position))
        for hero, buffer in self.sums.items():
            element = self.elements.read(hero.inputs[0], same_element(hero.inputs[0], position))
            column = position.indices[-1]
            acc = self.writer.pinned(Load(hero.types[0].dtype, buffer, column), "acc")
            combine = Apply(acc.dtype, reduction_of(hero).combine, (acc, element))
            self.writer.store(buffer, column, combine)
        for value in known:
            del self.elements.known[value]

    def store_rows(
        self,
        hero: Node,
        rule: Contraction,
        accumulators: Sequence[Expr],
        b: Sequence[Expr],
        m: Sequence[Expr],
        n: Sequence[Expr],
    ) -> None:
        """Stores every output at one row of a contraction, or at one window of its rows.

        Args:
            hero: The contraction.
            rule: Its rule, as it was given to the target.
            accumulators: Its element, or its elements in the window.
            b: Position in the batch dims.
            m: Position in the dims of the rows; not in those that are together.
            n: Position in the dims of the columns.
        """
        if self.grouped is None:
            (accumulator,) = accumulators
            position = Position(hero.types[0].shape, rule.out(b, m, n))
            self.store_epilogue({hero.result: accumulator}, position)
            return
        position = Position(self.grouped.shape, self.grouped.place(b, m, n))
        places = self.grouped.elements(position)
        for place, accumulator in zip(places, accumulators, strict=True):
            self.elements.hold(hero.result, place, accumulator)
        self._store_all(list(self.results), lambda value: same_element(value, position))

    def run_of_columns(self, hero: Node, rule: Contraction) -> int | None:
        """For `loop_over_columns`, where `store_rows` is called for the columns of a row."""
        if self.grouped is not None or len(rule.n) != 1:
            return None
        b, m = (
            [Var(INDEX, f"{group}{i}") for i in range(len(dims))]
            for group, dims in (("b", rule.batch), ("m", rule.m))
        )
        at = Position(hero.types[0].shape, rule.out(b, m, [COLUMN]))
        return run_of_columns(self.elementwise, at, rule.n[0], (hero.result,))

    # ---- OPAQUE

    def _lower_opaque(self) -> None:
        (hero,) = [n for n in self.body.nodes if get_op(n.op).kind is Kind.OPAQUE]
        op = get_op(hero.op)
        assert op.loops is not None
        op.loops(OpaqueLoops(self.writer, hero, self.elements, self.results), hero)


def _name(body: Graph) -> str:
    """The ops of a kernel, each once."""
    named = [n.op for n in body.nodes if n.op != "constant" and n.made_by != READ_THROUGH]
    return "_".join(dict.fromkeys(named))[:60]


def _is_written_out(rule: Reduction, hero: Node) -> bool:
    """Whether the elements of a window become statements. One row would keep threads idle."""
    count = product(rule.space)
    small = isinstance(count, int) and count <= UNROLLED
    return rule.window and small and product(hero.types[0].shape[:-1]) != 1


def _is_vector(rule: Reduction, hero: Node) -> bool:
    """Whether the last result dim is the operand's contiguous one."""
    shape = hero.types[0].shape
    if not shape or shape[-1] == 1:
        return False
    out = Position(shape, [Var(INDEX, f"o{d}") for d in range(len(shape))])
    red = [Var(INDEX, f"r{d}") for d in range(len(rule.space))]
    index, _ = rule.index(out, red)
    return reads(index[-1], Var(INDEX, f"o{len(shape) - 1}"))


def reads(expr: Expr, variable: Var) -> bool:
    """Whether an expression reads a local."""
    names: set[str] = set()
    _variables(expr, names)
    return variable.name in names


def _variables(expr: Expr, names: set[str]) -> None:
    if isinstance(expr, Var):
        names.add(expr.name)
    elif isinstance(expr, Apply):
        for arg in expr.args:
            _variables(arg, names)


def _divides(expr: Expr) -> bool:
    if isinstance(expr, Apply):
        return "div(" in expr.template or "rem(" in expr.template or any(map(_divides, expr.args))
    return False


def _inner_axis(shape: Shape) -> int:
    """The last dim with more than one element: the loop that is vectorised."""
    axes = [axis for axis, dim in enumerate(shape) if dim != 1]
    return axes[-1] if axes else len(shape) - 1


def _invert(
    rule: Contraction, out: Position, lead: int
) -> tuple[list[Expr], list[Expr], list[Expr]]:
    """The (b, m, n) position that a result position belongs to.

    Found by asking the rule where each dim goes: `out` is a sum of dims times strides in each
    result dim, and dims that share one result dim (groups and features) are taken apart.
    """
    sizes = [*rule.batch, *rule.m, *rule.n]
    names = [Var(INDEX, f"d{i}") for i in range(len(sizes))]
    m0, n0 = lead, lead + len(rule.m)
    placed = rule.out(names[:m0], names[m0:n0], names[n0:])
    found: list[Expr] = [Const(INDEX, 0)] * len(sizes)
    for axis, expr in enumerate(placed):
        members = [i for i, name in enumerate(names) if reads(expr, name)]
        if len(members) == 1:
            found[members[0]] = out[axis]
        else:
            parts = split_offset(out[axis], tuple(sizes[i] for i in members))
            for i, part in zip(members, parts, strict=True):
                found[i] = part
    return found[:m0], found[m0:n0], found[n0:]


def _comments(node: Node) -> list[str]:
    from graphkeras.ir.text import print_graph

    assert node.body is not None
    return print_graph(node.body).splitlines()


__all__ = ["LowerContraction", "Lowering"]
