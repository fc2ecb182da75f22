"""Operator fusion: which values are written to memory, and which kernel computes which.

The argument, in two steps.

**1. Materialise or recompute.** A value of a cheap elementwise tree is recomputed by its readers;
everything else is written once (`fusion_written.py`). Always written: results of reductions,
contractions and opaque ops (the *heroes*), graph outputs, and trees that would be recomputed often.

    x ──► exp ──► reduce ──► log        x, reduce: memory       exp: inside reduce's loop
                                        log: graph output, memory

**2. Merge kernels along aligned edges.** At first every written value is a kernel of its own. A
consumer joins its producer's kernel where it reads the producer's value at the very element that
the producer's loop is at (*aligned*), and no third kernel lies between them (that would make a
cycle). Alignment is not guessed from op names: the element rules are run on symbolic loop
variables (`ir.access`) and the offsets are compared.

    conv ──► + bias ──► relu ──► max pool        one CONTRACT kernel with an epilogue; windows
    (hero)   pointwise  pointwise  windows       that do not overlap are finished by it, too

    x[N,C] ─► max ─► sub ─► exp ─► sum ─► div    one ROWS kernel: for each of N rows, loops
              (N)                  (N)   (N,C)   over C; row values stay in registers. Behind a
                                                 contraction that makes whole rows: in its kernel

Kernel patterns, in the terms of the loops they become:

    LOOP      one loop nest over the outputs, which have the same number of elements
    ROWS      rows R times columns C; reductions over all of C; outputs of shape R or R x C
    REDUCE    reductions of any one other geometry; outputs pointwise on their results
    CONTRACT  one contraction; outputs pointwise on its result, or on windows of it, or ROWS of it
    OPAQUE    one node, its own loops
"""

from __future__ import annotations

from collections.abc import Iterable

from graphkeras.frozen import frozen
from graphkeras.ir.access import Accesses, accesses, loop_position
from graphkeras.ir.builder import Builder
from graphkeras.ir.dims import Shape
from graphkeras.ir.graph import Graph, Node, Value
from graphkeras.ir.op import Kind, get_op
from graphkeras.ir.position import Position
from graphkeras.ir.scalar import Expr
from graphkeras.passes.fusion_kernel import (
    INLINED,
    Kernel,
    Pattern,
    finishes_windows,
    hero,
    is_constant,
    is_scalar_constant,
    loop_value,
    node_of,
    numel,
    reads_windows,
    reasons,
    reduces_images,
    reduces_trailing,
    refuses_rows,
    row_offset,
    rows_numel,
    sibling_reductions,
    worth_rows,
)
from graphkeras.passes.fusion_order import sums_last
from graphkeras.passes.fusion_written import written_values

MAX_OUTPUTS = 8
"""Outputs of one kernel; more pointers than this and LLVM's alias checks stop vectorising."""


@frozen
class Fuse:
    """Groups every node into `fused` nodes, each of which becomes one kernel."""

    name = "fuse"

    def __call__(self, graph: Graph) -> Graph:
        """The graph with only `fused` nodes and tensor constants."""
        return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.written = written_values(graph)
        self.kernel_of: dict[Node, Kernel] = {}
        self.below: dict[Kernel, int] = {}
        """Kernels that a kernel depends on, as bits at the positions of their roots."""
        self.reads: dict[Node, Accesses] = {}
        self.position = {node: i for i, node in enumerate(graph.nodes)}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if any(v in self.written for v in node.results) and not is_constant(node):
                kernel = self.kernel_of[node] = self._kernel(node)
                self.below[kernel] = self._bits_below(kernel)
        self._merge_aligned()
        self._merge_windows()
        self._merge_rows()
        self._merge_siblings()
        self._merge_image_sums()
        self._merge_scalars()
        return self._rebuild()

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
            if reduces_trailing(node):
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
        """Joins aligned kernels; again where one has meanwhile grown into loops that fit."""
        reads = [
            (node, value)
            for node, kernel in self.kernel_of.items()
            if kernel.pattern in (Pattern.LOOP, Pattern.ROWS)
            for value in self._reads(node)
            if value.producer in self.kernel_of
        ]
        while True:
            refused = [(node, value) for node, value in reads if not self._joins(node, value)]
            if len(refused) == len(reads):
                return
            reads = refused

    def _joins(self, node: Node, value: Value) -> bool:
        """Joins the kernel of a root with that of a value it reads, if it may; whether they are."""
        producer = node_of(value)
        first, second = self.kernel_of[producer], self.kernel_of[node]
        if first is second:
            return True
        merged = self._aligned(first, second, self._reads(node)[value])
        if merged is None:
            first.notes.setdefault(node, f"reads {producer.op} at other elements")
        elif len(self._outputs([*first.roots, *second.roots])) > MAX_OUTPUTS:
            first.notes.setdefault(node, f"more than {MAX_OUTPUTS} outputs")
        elif self._path_between(first, second):
            first.notes.setdefault(node, "a third kernel lies between")
        else:
            self._merge(first, second, *merged)
            return True
        return False

    def _aligned(
        self, first: Kernel, second: Kernel, offsets: set[Expr]
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
                same = numel(first.space) == numel(second.space)
                return (first.pattern, first.space, 0) if same else None
            if numel(second.space) in (rows_numel(first), numel(first.space)):
                return first.pattern, first.space, first.rows
        inside = (rows_numel(second), numel(second.space))
        if patterns == (Pattern.LOOP, Pattern.ROWS) and numel(first.space) in inside:
            return second.pattern, second.space, second.rows
        if patterns == (Pattern.ROWS, Pattern.ROWS):
            same = rows_numel(first) == rows_numel(second)
            if same and numel(first.space) == numel(second.space):
                return first.pattern, first.space, first.rows
        return None

    def _all_aligned(self, first: Kernel, second: Kernel) -> bool:
        """Whether every read of `second`'s roots from `first` is at the loop's own element."""
        rows = first if first.pattern is Pattern.ROWS else second
        if rows.pattern is Pattern.ROWS and not worth_rows(rows):
            return False
        produced = {v for root in first.roots for v in root.results}
        for root in second.roots:
            loop = loop_value(root)
            position = loop_position(loop)
            allowed = {position.flat}
            if rows.pattern is Pattern.ROWS and numel(loop.type.shape) == numel(rows.space):
                allowed.add(row_offset(position, rows))
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
        row_value = numel(value.type.shape) == rows_numel(rows)
        whole = numel(position.shape) == numel(rows.space) != rows_numel(rows)
        own = row_offset(position, rows) if row_value and whole else position.flat
        return offsets == {own}

    def _merge_windows(self) -> None:
        """Joins contractions and the windows without overlap that alone read them."""
        for kernel in self._kernels():
            if kernel.pattern is Pattern.REDUCE:
                for first in self._operands(kernel):
                    if first.pattern is Pattern.CONTRACT and self._ends_in(first, kernel):
                        self._merge(first, kernel, Pattern.CONTRACT, kernel.space, 0)
                        break

    def _ends_in(self, first: Kernel, windows: Kernel) -> bool:
        """Whether a contraction can finish the windows over its result, a whole one at a time."""
        outputs = set(self._outputs([*first.roots, *windows.roots]))
        inner = {v for root in first.roots for v in root.results}
        main = hero(windows)
        if outputs & inner or len(outputs) > MAX_OUTPUTS or self._path_between(first, windows):
            return False
        return finishes_windows(hero(first), main) and reads_windows(windows, inner, self._reads)

    def _merge_rows(self) -> None:
        """Joins contractions and the loops over rows of what they write."""
        for kernel in self._kernels():
            if kernel.pattern is Pattern.ROWS:
                for first in self._operands(kernel):
                    if first.pattern is Pattern.CONTRACT and self._goes_on(first, kernel):
                        self._merge(first, kernel, Pattern.CONTRACT, kernel.space, kernel.rows)
                        break

    def _goes_on(self, first: Kernel, rows: Kernel) -> bool:
        """Whether a contraction can go on with each row that it has computed."""
        if len(self._outputs([*first.roots, *rows.roots])) > MAX_OUTPUTS:
            why = f"more than {MAX_OUTPUTS} outputs"
        elif self._path_between(first, rows):
            why = "a third kernel lies between"
        else:
            why = refuses_rows(first, rows, self._reads)
        inner = {v for root in first.roots for v in root.results}
        if why:
            readers = [root for root in rows.roots if inner & self._reads(root).keys()]
            first.notes.update(dict.fromkeys(readers, why))
        return not why

    def _merge_image_sums(self) -> None:
        """Joins contractions and the reductions of each image of what they write."""
        for kernel in self._kernels():
            if kernel.pattern is Pattern.REDUCE:
                for first in self._operands(kernel):
                    if first.pattern is Pattern.CONTRACT and self._sums_up(first, kernel):
                        self._merge(first, kernel, Pattern.CONTRACT, first.space, 0)
                        break

    def _sums_up(self, first: Kernel, sums: Kernel) -> bool:
        """Whether a contraction can reduce each image that it has written."""
        outputs = self._outputs([*first.roots, *sums.roots])
        if len(outputs) > MAX_OUTPUTS or self._path_between(first, sums):
            return False
        return reduces_images(first, sums, outputs, self._reads)

    def _merge(
        self, first: Kernel, second: Kernel, pattern: Pattern, space: Shape, rows: int
    ) -> None:
        roots = sorted({*first.roots, *second.roots}, key=self.position.__getitem__)
        merged = Kernel(
            pattern, space, rows, roots, self.position[roots[0]], {**first.notes, **second.notes}
        )
        for root in roots:
            self.kernel_of[root] = merged
        bits = self._bits_of(merged)
        below = (self.below.pop(first) | self.below.pop(second)) & ~bits
        for kernel, others in self.below.items():
            if others & bits:
                self.below[kernel] = others | bits | below
        self.below[merged] = below

    def _merge_siblings(self) -> None:
        """Joins reductions over the same elements: what both read is read once."""
        for one, other in sibling_reductions(self._kernels(), self._reads):
            first, second = self.kernel_of[one], self.kernel_of[other]
            outputs = self._outputs([*first.roots, *second.roots])
            if first is not second and len(outputs) <= MAX_OUTPUTS:
                between = self.below[first] & self._bits_of(second)
                if not between and not self.below[second] & self._bits_of(first):
                    self._merge(first, second, Pattern.REDUCE, first.space, 0)

    def _merge_scalars(self) -> None:
        """Joins kernels that compute single numbers: each launch costs more than they do."""
        last: Kernel | None = None
        for kernel in self._kernels():
            if kernel.pattern is not Pattern.LOOP or numel(kernel.space) != 1:
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
        return list(dict.fromkeys(self.kernel_of.values()))

    def _operands(self, kernel: Kernel) -> list[Kernel]:
        """Kernels that `kernel` reads directly."""
        found: dict[Kernel, None] = {}
        for root in kernel.roots:
            for value in self._leaf_values(root):
                if value.producer in self.kernel_of:
                    source = self.kernel_of[value.producer]
                    if source is not kernel:
                        found.setdefault(source)
        return list(found)

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

    def _bits_of(self, kernel: Kernel) -> int:
        return sum(1 << self.position[root] for root in kernel.roots)

    def _bits_below(self, kernel: Kernel) -> int:
        bits = 0
        for operand in self._operands(kernel):
            bits |= self.below[operand] | self._bits_of(operand)
        return bits

    def _path_between(self, first: Kernel, second: Kernel) -> bool:
        """Whether `second` depends on `first` through a third kernel."""
        bits = self._bits_of(first)
        return any(self.below[k] & bits for k in self._operands(second) if k is not first)

    # ---- the new graph

    def _outputs(self, roots: Iterable[Node]) -> list[Value]:
        """Values of a group that are read outside it."""
        inside = set(roots)
        found = []
        for root in inside:
            for value in root.results:
                if value in self.outputs or self._read_outside(value, inside):
                    found.append(value)
        return sorted(found, key=lambda v: (self.position[node_of(v)], v.index))

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
            if is_constant(node) and (not is_scalar_constant(node) or node.result in self.outputs):
                new[node.result] = builder.keep(node, ())[0]
        for kernel in self._topological():
            outputs = self._outputs(kernel.roots)
            body, operands = self._body(kernel, outputs)
            main = hero(kernel)
            with builder.at(main.loc, tuple(body.nodes)):
                results = builder.fused(
                    body,
                    [new[v] for v in operands],
                    pattern=kernel.pattern.value,
                    rows=kernel.rows,
                    space=kernel.space,
                    not_fused=reasons(kernel),
                )
            new.update(zip(outputs, results, strict=True))
        outputs = [new[v] for v in self.graph.outputs]
        return builder.build(outputs, self.graph.aliases, self.graph.output_names)

    def _topological(self) -> list[Kernel]:
        done: set[Kernel] = set()
        order: list[Kernel] = []

        def visit(kernel: Kernel) -> None:
            if kernel in done:
                return
            done.add(kernel)
            for operand in sorted(self._operands(kernel), key=lambda k: k.order):
                visit(operand)
            order.append(kernel)

        for kernel in sorted(self._kernels(), key=lambda k: k.order):
            visit(kernel)
        return sums_last(order, self._operands)

    def _body(self, kernel: Kernel, outputs: list[Value]) -> tuple[Graph, list[Value]]:
        """The nodes of a kernel as a graph of its own, and the outer values it reads."""
        needed: set[Node] = set()
        operands: set[Value] = set()
        inside = {v for root in kernel.roots for v in root.results}
        stack = list(kernel.roots)
        while stack:
            node = stack.pop()
            if node in needed:
                continue
            needed.add(node)
            for value in node.inputs:
                if value.producer is None or (value in self.written and value not in inside):
                    operands.add(value)
                else:
                    stack.append(value.producer)
        body = Builder(hero(kernel).op, made_by=Fuse.name)
        nodes = sorted(needed, key=self.position.__getitem__)
        # By first use, not by place in the graph: equal layers then become equal kernels.
        ordered = list(dict.fromkeys(v for n in nodes for v in n.inputs if v in operands))
        new = {v: body.input(v.type, v.name) for v in ordered}
        for node in nodes:
            results = body.keep(node, [new[v] for v in node.inputs])
            new.update(zip(node.results, results, strict=True))
        return body.build([new[v] for v in outputs]), ordered
