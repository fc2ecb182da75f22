"""Operator fusion: which values are written to memory, and which kernel computes which.

The argument, in two steps.

**1. Materialise or recompute.** A value of a cheap elementwise tree is recomputed by its readers;
everything else is written once. Always written: results of reductions, contractions and opaque
ops (the *heroes*), graph outputs, and trees that would be recomputed often (see `_is_written`).

    x ──► exp ──► reduce ──► log        x, reduce: memory       exp: inside reduce's loop
                                        log: graph output, memory

**2. Merge kernels along aligned edges.** At first every written value is a kernel of its own. A
consumer joins its producer's kernel where it reads the producer's value at the very element that
the producer's loop is at (*aligned*), and no third kernel lies between them (that would make a
cycle). Alignment is not guessed from op names: the element rules are run on symbolic loop
variables (`ir.access`) and the offsets are compared.

    conv ──► + bias ──► relu ──► max pool        one CONTRACT kernel with an epilogue, then a
    (hero)   pointwise  pointwise  other offset  REDUCE kernel

    x[N,C] ─► max ─► sub ─► exp ─► sum ─► div    one ROWS kernel: for each of N rows, loops
              (N)                  (N)   (N,C)   over C; row values stay in registers

Kernel patterns, in the terms of the loops they become:

    LOOP      one loop nest over the outputs, which have the same number of elements
    ROWS      rows R times columns C; reductions over all of C; outputs of shape R or R x C
    REDUCE    one reduction of any other geometry; outputs pointwise on its result
    CONTRACT  one contraction; outputs pointwise on its result
    OPAQUE    one node, its own loops
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from graphkeras.ir.access import Accesses, accesses, loop_position
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Dim, Shape, product
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import Expr

CHEAP = 3
"""Cost up to which a tree is recomputed by several readers instead of being written."""
MAX_OUTPUTS = 8
"""Outputs of one kernel; more pointers than this and LLVM's alias checks stop vectorising."""
MAX_SERIAL = 4096
"""Elements that one row may have where there is only one row, so nothing runs in parallel."""
INLINED = (Kind.ELEMENTWISE, Kind.INJECTIVE)


class Pattern(Enum):
    """The loops a kernel becomes."""

    LOOP = "loop"
    ROWS = "rows"
    REDUCE = "reduce"
    CONTRACT = "contract"
    OPAQUE = "opaque"


@dataclass
class Kernel:
    """A kernel while it grows."""

    pattern: Pattern
    space: Shape
    """LOOP, REDUCE, CONTRACT: shape of the outputs' loop. ROWS: R + C."""
    rows: int
    """ROWS: how many dims of `space` are R."""
    roots: list[Node]
    """Written nodes, in topological order."""
    order: int
    """Position of the first root in the graph."""
    notes: list[str] = field(default_factory=list)
    """Why consumers were not merged."""


@dataclass(frozen=True)
class Fuse:
    """Groups every node into `fused` nodes, each of which becomes one kernel."""

    name = "fuse"

    def __call__(self, graph: Graph) -> Graph:
        """The graph with only `fused` nodes and tensor constants."""
        return _Fusion(graph).run()


def is_scalar_constant(node: Node) -> bool:
    """A constant that is printed into the kernel instead of being read from memory."""
    return get_op(node.op).kind is Kind.CONSTANT and node.types[0].numel == 1


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.written: set[Value] = set()
        self.kernel_of: dict[Node, Kernel] = {}
        self.leaves: dict[Kernel, None] = {}
        self.reads: dict[Node, Accesses] = {}
        self.position = {node: i for i, node in enumerate(graph.nodes)}

    def run(self) -> Graph:
        self._choose_written()
        for node in self.graph.nodes:
            if any(v in self.written for v in node.results) and not _is_constant(node):
                self.kernel_of[node] = self._kernel(node)
        self._merge_aligned()
        self._merge_scalars()
        return self._rebuild()

    # ---- step 1: which values are written

    def _choose_written(self) -> None:
        cost: dict[Value, int] = {}
        for node in self.graph.nodes:
            op = get_op(node.op)
            if is_scalar_constant(node):
                continue
            if op.kind not in INLINED:
                self.written.update(node.results)
                continue
            tree = op.cost + sum(cost.get(v, 0) for v in node.inputs if v not in self.written)
            value = node.result
            cost[value] = tree
            if self._is_written(value, tree):
                self.written.add(value)

    def _is_written(self, value: Value, tree: int) -> bool:
        users = self.graph.users.get(value, ())
        if value in self.outputs:
            return True
        for user in users:
            kind = get_op(user.op).kind
            if kind is Kind.OPAQUE:
                return True
            if kind is Kind.CONTRACT and not self._is_movement(value):
                return True
            if tree > 1 and (_expands(value, user) or _has_overlap(user)):
                return True
        return len(users) > 1 and tree > CHEAP

    def _is_movement(self, value: Value) -> bool:
        """Whether the tree of `value` only moves elements of one written value (a transpose)."""
        node = value.producer
        while node is not None and value not in self.written:
            if get_op(node.op).kind is not Kind.INJECTIVE or get_op(node.op).cost > 1:
                return False
            tensors = [v for v in node.inputs if v.producer is None or v.type.numel != 1]
            if len(tensors) != 1 or tensors[0].type.numel != value.type.numel:
                return False
            value = tensors[0]
            node = value.producer
        return True

    # ---- step 2: kernels

    def _kernel(self, node: Node) -> Kernel:
        op = get_op(node.op)
        shape = node.types[0].shape
        order = self.position[node]
        if op.kind is Kind.CONTRACT:
            return Kernel(Pattern.CONTRACT, shape, 0, [node], order)
        if op.kind is Kind.REDUCE:
            operand = node.inputs[0].type.shape
            rows = len(shape)
            if _reduces_trailing(node):
                return Kernel(Pattern.ROWS, operand, rows, [node], order)
            return Kernel(Pattern.REDUCE, shape, 0, [node], order)
        if op.kind in INLINED:
            return Kernel(Pattern.LOOP, shape, 0, [node], order)
        return Kernel(Pattern.OPAQUE, shape, 0, [node], order)

    def _reads(self, node: Node) -> Accesses:
        """What a root reads, at the loop position of its kernel's own space."""
        if node not in self.reads:
            op = get_op(node.op)
            if op.kind is Kind.REDUCE:
                value = node.inputs[0]
                position = loop_position(value)
                if value in self.written or value.producer is None:
                    self.reads[node] = {value: {position.flat}}
                else:
                    self.reads[node] = accesses(value, position, self.written)
            else:
                self.reads[node] = accesses(node.result, loop_position(node.result), self.written)
        return self.reads[node]

    def _merge_aligned(self) -> None:
        for node in self.graph.nodes:
            kernel = self.kernel_of.get(node)
            if kernel is None or kernel.pattern not in (Pattern.LOOP, Pattern.ROWS):
                continue
            for value, offsets in list(self._reads(node).items()):
                producer = value.producer
                if producer is None or producer not in self.kernel_of:
                    continue
                first, second = self.kernel_of[producer], self.kernel_of[node]
                if first is second:
                    continue
                merged = self._aligned(first, second, value, offsets)
                if merged is None:
                    first.notes.append(f"{node.op}: reads {producer.op} at other elements")
                elif len(self._outputs([*first.roots, *second.roots])) > MAX_OUTPUTS:
                    first.notes.append(f"{node.op}: more than {MAX_OUTPUTS} outputs")
                elif self._path_between(first, second):
                    first.notes.append(f"{node.op}: a third kernel lies between")
                else:
                    self._merge(first, second, *merged)

    def _aligned(
        self, first: Kernel, second: Kernel, value: Value, offsets: set[Expr]
    ) -> tuple[Pattern, Shape, int] | None:
        """Pattern, space and rows of the merged kernel, or None where the loops do not fit.

        `second` may have joined a contraction meanwhile; that one takes no further producers.
        """
        if second.pattern not in (Pattern.LOOP, Pattern.ROWS) or len(offsets) != 1:
            return None
        if not self._all_aligned(first, second):
            return None
        patterns = first.pattern, second.pattern
        if second.pattern is Pattern.LOOP and first.pattern is not Pattern.OPAQUE:
            if first.pattern is not Pattern.ROWS:
                same = _numel(first.space) == _numel(second.space)
                return (first.pattern, first.space, 0) if same else None
            if _numel(second.space) in (_rows_numel(first), _numel(first.space)):
                return first.pattern, first.space, first.rows
        if patterns == (Pattern.LOOP, Pattern.ROWS):
            if _numel(first.space) in (_rows_numel(second), _numel(second.space)):
                return second.pattern, second.space, second.rows
        if patterns == (Pattern.ROWS, Pattern.ROWS):
            same = _rows_numel(first) == _rows_numel(second)
            if same and _numel(first.space) == _numel(second.space):
                return first.pattern, first.space, first.rows
        return None

    def _all_aligned(self, first: Kernel, second: Kernel) -> bool:
        """Whether every read of `second`'s roots from `first` is at the loop's own element."""
        rows = first if first.pattern is Pattern.ROWS else second
        if rows.pattern is Pattern.ROWS and not _worth_rows(rows):
            return False
        produced = {v for root in first.roots for v in root.results}
        for root in second.roots:
            loop = _loop_value(root)
            position = loop_position(loop)
            allowed = {position.flat}
            if rows.pattern is Pattern.ROWS and _numel(loop.type.shape) == _numel(rows.space):
                allowed.add(_row_offset(position, rows))
            for value, offsets in self._reads(root).items():
                if value in produced and not self._fits(value, offsets, allowed, rows, position):
                    return False
        return True

    def _fits(
        self,
        value: Value,
        offsets: set[Expr],
        allowed: set[Expr],
        rows: Kernel,
        position: Position,
    ) -> bool:
        if not offsets <= allowed:
            return False
        if rows.pattern is not Pattern.ROWS:
            return True
        row_value = _numel(value.type.shape) == _rows_numel(rows)
        whole = _numel(position.shape) == _numel(rows.space) != _rows_numel(rows)
        return offsets == ({_row_offset(position, rows)} if row_value and whole else {position.flat})

    def _merge(
        self, first: Kernel, second: Kernel, pattern: Pattern, space: Shape, rows: int
    ) -> None:
        roots = sorted({*first.roots, *second.roots}, key=self.position.__getitem__)
        merged = Kernel(
            pattern, space, rows, roots, self.position[roots[0]], first.notes + second.notes
        )
        for root in roots:
            self.kernel_of[root] = merged

    def _merge_scalars(self) -> None:
        """Joins kernels that compute single numbers: each launch costs more than they do."""
        last: Kernel | None = None
        for kernel in self._kernels():
            if kernel.pattern is not Pattern.LOOP or _numel(kernel.space) != 1:
                continue
            if last is None:
                last = kernel
                continue
            outputs = self._outputs([*last.roots, *kernel.roots])
            blocked = self._path_between(last, kernel) or self._path_between(kernel, last)
            if len(outputs) > MAX_OUTPUTS or blocked:
                last = kernel
                continue
            self._merge(last, kernel, Pattern.LOOP, last.space, 0)
            last = self.kernel_of[kernel.roots[0]]

    def _kernels(self) -> list[Kernel]:
        return list({id(k): k for k in self.kernel_of.values()}.values())

    def _operands(self, kernel: Kernel) -> set[Kernel]:
        """Kernels that `kernel` reads directly."""
        found: dict[int, Kernel] = {}
        for root in kernel.roots:
            for value in self._leaf_values(root):
                if value.producer in self.kernel_of:
                    source = self.kernel_of[value.producer]
                    if source is not kernel:
                        found[id(source)] = source
        return _IdentitySet(found.values())

    def _leaf_values(self, root: Node) -> Iterable[Value]:
        seen: set[Value] = set()
        stack = list(root.inputs)
        while stack:
            value = stack.pop()
            if value in seen:
                continue
            seen.add(value)
            if value in self.written or value.producer is None:
                yield value
            else:
                stack.extend(value.producer.inputs)

    def _path_between(self, first: Kernel, second: Kernel) -> bool:
        """Whether `second` depends on `first` through a third kernel."""
        stack = [k for k in self._operands(second) if k is not first]
        seen: set[int] = set()
        while stack:
            kernel = stack.pop()
            if id(kernel) in seen or max(map(self.position.__getitem__, kernel.roots)) < (
                first.order
            ):
                continue
            seen.add(id(kernel))
            operands = self._operands(kernel)
            if any(k is first for k in operands):
                return True
            stack.extend(operands)
        return False

    # ---- the new graph

    def _outputs(self, roots: Iterable[Node]) -> list[Value]:
        """Values of a group that are read outside it."""
        inside = set(roots)
        found = []
        for root in inside:
            for value in root.results:
                if value in self.outputs or self._read_outside(value, inside):
                    found.append(value)
        return sorted(found, key=lambda v: (self.position[_node(v)], v.index))

    def _read_outside(self, value: Value, inside: set[Node]) -> bool:
        stack = list(self.graph.users.get(value, ()))
        seen: set[Node] = set()
        while stack:
            user = stack.pop()
            if user in seen or user in inside:
                continue
            if any(v in self.written for v in user.results):
                return True
            seen.add(user)
            stack.extend(u for v in user.results for u in self.graph.users.get(v, ()))
        return False

    def _rebuild(self) -> Graph:
        builder = Builder(self.graph.name, made_by=Fuse.name)
        builder.inputs = list(self.graph.inputs)
        new: dict[Value, Value] = {v: v for v in self.graph.inputs}
        for node in self.graph.nodes:
            if _is_constant(node) and (not is_scalar_constant(node) or node.result in self.outputs):
                new[node.result] = builder.keep(node, ())[0]
        for kernel in self._topological():
            outputs = self._outputs(kernel.roots)
            body, operands = self._body(kernel, outputs)
            hero = _hero(kernel)
            with builder.at(hero.loc, tuple(body.nodes)):
                results = builder.fused(
                    body,
                    [new[v] for v in operands],
                    pattern=kernel.pattern.value,
                    rows=kernel.rows,
                    space=kernel.space,
                    not_fused=tuple(dict.fromkeys(kernel.notes)),
                )
            new.update(zip(outputs, results, strict=True))
        outputs = [new[v] for v in self.graph.outputs]
        return builder.build(outputs, self.graph.aliases, self.graph.output_names)

    def _topological(self) -> list[Kernel]:
        done: dict[int, None] = {}
        order: list[Kernel] = []

        def visit(kernel: Kernel) -> None:
            if id(kernel) in done:
                return
            done[id(kernel)] = None
            for operand in sorted(self._operands(kernel), key=lambda k: k.order):
                visit(operand)
            order.append(kernel)

        for kernel in sorted(self._kernels(), key=lambda k: k.order):
            visit(kernel)
        return order

    def _body(self, kernel: Kernel, outputs: list[Value]) -> tuple[Graph, list[Value]]:
        """The nodes of a kernel as a graph of its own, and the outer values it reads."""
        needed: set[Node] = set()
        operands: dict[Value, None] = {}
        inside = {v for root in kernel.roots for v in root.results}
        stack = list(kernel.roots)
        while stack:
            node = stack.pop()
            if node in needed:
                continue
            needed.add(node)
            for value in node.inputs:
                if value.producer is None or (value in self.written and value not in inside):
                    operands.setdefault(value)
                else:
                    stack.append(value.producer)
        body = Builder(_hero(kernel).op, made_by=Fuse.name)
        ordered = sorted(operands, key=self._value_order)
        new = {v: body.input(v.type, v.name) for v in ordered}
        for node in sorted(needed, key=self.position.__getitem__):
            results = body.keep(node, [new[v] for v in node.inputs])
            new.update(zip(node.results, results, strict=True))
        return body.build([new[v] for v in outputs]), ordered

    def _value_order(self, value: Value) -> tuple[int, int]:
        if value.producer is None:
            return -1, self.graph.inputs.index(value)
        return self.position[value.producer], value.index


class _IdentitySet(list["Kernel"]):
    """Kernels compared by identity (they grow, so they have no hash)."""


def _node(value: Value) -> Node:
    assert value.producer is not None
    return value.producer


def _is_constant(node: Node) -> bool:
    return get_op(node.op).kind is Kind.CONSTANT


def _hero(kernel: Kernel) -> Node:
    heroes = [r for r in kernel.roots if get_op(r.op).kind not in INLINED]
    return heroes[0] if heroes else kernel.roots[-1]


def _numel(shape: Shape) -> Dim:
    return product(shape)


def _rows_numel(kernel: Kernel) -> Dim:
    return product(kernel.space[: kernel.rows])


def _row_offset(position: Position, rows: Kernel) -> Expr:
    """Offset of the row that an element at `position` of R x C lies in."""
    shape, indices = position.shape, position.indices
    for split in range(len(shape) + 1):
        if product(shape[:split]) == _rows_numel(rows):
            return Position(shape[:split], indices[:split]).flat
    return position.flat // 1


def _worth_rows(kernel: Kernel) -> bool:
    """One row alone would run on one thread: only for small ones."""
    rows, numel = _rows_numel(kernel), _numel(kernel.space)
    if isinstance(rows, int) and rows < 8:
        return isinstance(numel, int) and numel <= MAX_SERIAL
    return True


def _loop_value(root: Node) -> Value:
    """The value whose shape a root's loop runs over."""
    return root.inputs[0] if get_op(root.op).kind is Kind.REDUCE else root.result


def _reduces_trailing(node: Node) -> bool:
    """Whether a reduction keeps the leading dims and removes all others."""
    op = get_op(node.op)
    assert op.reduction is not None
    rule = op.reduction(node)
    kept = node.types[0].shape
    operand = node.inputs[0].type.shape
    return (
        not rule.window
        and operand[: len(kept)] == kept
        and tuple(rule.space) == operand[len(kept) :]
        and _keeps_leading(node)
    )


def _keeps_leading(node: Node) -> bool:
    """Distinguishes `[N,N] -> [N]` over axis 1 from over axis 0, where shapes cannot."""
    op = get_op(node.op)
    assert op.reduction is not None
    rule = op.reduction(node)
    out = loop_position(node.result, "o")
    red = loop_position(Value(node.types[0].with_shape(rule.space), None), "r").indices
    index, conditions = rule.index(out, red)
    return not conditions and list(index) == [*out.indices, *red]


def _expands(value: Value, user: Node) -> bool:
    """Whether a user reads elements of `value` several times (broadcast, gather)."""
    if get_op(user.op).kind is not Kind.INJECTIVE:
        return False
    result = user.types[0].numel
    if result == value.type.numel:
        return False
    return not (isinstance(result, int) and isinstance(value.type.numel, int)) or (
        result > value.type.numel
    )


def _has_overlap(user: Node) -> bool:
    op = get_op(user.op)
    return op.kind is Kind.REDUCE and op.reduction is not None and op.reduction(user).window
