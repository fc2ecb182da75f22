"""From kernel IR to what each thread touches: the facts that make a barrier unnecessary.

The loops of the kernel are walked once, with an interval for every index variable and a form
(`spans.py`) for every offset::

    for i in share(N):                       i    LOW .. HIGH - 1
        for k in range(0, 784):              k    0 .. 783
            acc += x[i * 784 + k] * w[k]     x    784 * i + k: rows of this thread;  w: 0 .. 783
        y[i] = acc                           y    i

What is concluded here holds for the kernel that is printed, because both are made from the same
statements. Whatever is not understood (an index read from memory, a buffer handed to a
microkernel) counts as the whole buffer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from graphkeras.codegen.kernel_ir import (
    Call,
    For,
    If,
    KernelFunction,
    Let,
    ParallelFor,
    Statement,
    Store,
    statements,
)
from graphkeras.codegen.spans import (
    HIGH,
    LOW,
    Access,
    Atom,
    Between,
    Extreme,
    Footprint,
    Form,
    Quotient,
    atom_form,
    number,
)
from graphkeras.ir.dims import Dim
from graphkeras.ir.scalar import BOTH, CLIPPED, INDEX, Apply, Const, Expr, Load, RuntimeSize, Var
from graphkeras.ir.types import TensorType

Scope = dict[str, Form]
"""Forms of the index variables in sight."""

_AT_LEAST: Mapping[str, Callable[[Form, Form], tuple[Form, Form, int]]] = {
    "({0} < {1})": lambda a, b: (a, b, 1),
    "({0} >= {1})": lambda a, b: (b, a, 0),
}
"""Condition -> two forms and a number: the second is that much larger than the first, or more."""


def find_footprint(kernel: KernelFunction, types: Sequence[TensorType]) -> Footprint | None:
    """What the threads of a kernel touch.

    Args:
        kernel: The kernel.
        types: Type of each of its buffers.

    Returns:
        The footprint; None where the kernel is more than one shared loop.
    """
    others = [s for s in kernel.body if not isinstance(s, Let)]
    loops = [s for s in statements(kernel.body) if isinstance(s, ParallelFor)]
    if len(loops) != 1 or others != loops:
        return None
    walk = _Walk(kernel, types)
    walk.block(kernel.body, {})
    (loop,) = loops
    extent, work = walk.form(loop.extent, {}), walk.form(loop.work, {})
    if extent is None or work is None or extent.terms or work.terms:
        return None
    accesses = tuple(walk.found.values())
    return Footprint(accesses, extent.constant, work.constant, loop.grain, loop.multiple)


_LEAST = {"min({0}, {1})": True, "max({0}, {1})": False}


class _Walk:
    """Collects the accesses of a kernel."""

    def __init__(self, kernel: KernelFunction, types: Sequence[TensorType]) -> None:
        names = [buffer.name for buffer in kernel.buffers]
        self.buffers = {name: (i, types[i]) for i, name in enumerate(names)}
        lets = Counter(s.variable.name for s in statements(kernel.body) if isinstance(s, Let))
        self.changing = {name for name, count in lets.items() if count > 1}
        self.conditions: dict[str, Expr] = {}
        """What the names of conditions stand for."""
        self.found: dict[object, Access] = {}
        self._quotients: dict[object, Atom] = {}

    def block(self, body: Sequence[Statement], scope: Scope) -> None:
        """Walks statements; names they define are added to `scope`."""
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, s: Statement, scope: Scope) -> None:
        if isinstance(s, Let):
            self._reads(s.value, scope)
            form = self.form(s.value, scope) if s.value.dtype == INDEX else None
            if form is not None and s.variable.name not in self.changing:
                scope[s.variable.name] = form
            if s.value.dtype == "bool" and s.variable.name not in self.changing:
                self.conditions[s.variable.name] = s.value
        elif isinstance(s, Store):
            self._reads(s.offset, scope)
            self._reads(s.value, scope)
            self._access(s.buffer, True, self.form(s.offset, scope))
        elif isinstance(s, Call):
            self._call(s, scope)
        elif isinstance(s, If):
            self._reads(s.condition, scope)
            self.block(s.body, self._narrowed(s.condition, scope))
        elif isinstance(s, For):
            self._reads(s.start, scope)
            self._reads(s.stop, scope)
            start, stop = self.form(s.start, scope), self.form(s.stop, scope)
            self.block(s.body, scope | _counter(s.variable, start, stop, s.step))
        elif isinstance(s, ParallelFor):
            low, high = atom_form(LOW), atom_form(HIGH)
            inner = _counter(s.variable, low, high)
            if s.as_range is not None:
                inner = {s.variable.name: low, s.as_range.name: high}
            self.block(s.body, scope | inner)

    def _call(self, s: Call, scope: Scope) -> None:
        for arg in s.args:
            self._reads(arg, scope)
        if s.reads is None:
            for name in re.findall(r"\w+", s.template):
                self._access(name, True, None)
        for reach in s.reads or ():
            first, last = self.form(reach.first, scope), self.form(reach.last, scope)
            offset = None
            if first is not None and last is not None:
                offset = atom_form(Between(first, last))
            self._access(reach.buffer, reach.writes, offset)

    def _narrowed(self, condition: Expr, scope: Scope) -> Scope:
        """The scope where a condition holds: it bounds the newest variables it has."""
        if isinstance(condition, Var) and condition.name in self.conditions:
            return self._narrowed(self.conditions[condition.name], scope)
        if not isinstance(condition, Apply):
            return dict(scope)
        if condition.template == BOTH:
            return self._narrowed(condition.args[1], self._narrowed(condition.args[0], scope))
        if condition.template not in _AT_LEAST:
            return dict(scope)
        a, b = (self.form(arg, scope) for arg in condition.args)
        if a is None or b is None:
            return dict(scope)
        less, more, gap = _AT_LEAST[condition.template](a, b)
        inner = dict(scope)
        for side in _alternatives(more):
            room = side.plus(less, -1).plus(number(-gap))
            for sign in (-1, 1):
                counters = [x for x, f in room.terms if f == sign and isinstance(x, Between)]
                if counters:
                    old = max(counters, key=lambda atom: atom.order)
                    new = _bounded(old, room, sign)
                    inner = {name: form.replaced(old, new) for name, form in inner.items()}
        return inner

    def _reads(self, expr: Expr, scope: Scope) -> None:
        for load in _loads(expr):
            self._access(load.buffer, False, self.form(load.offset, scope))

    def _access(self, buffer: str, writes: bool, offset: Form | None) -> None:
        if buffer in self.buffers:
            position, kind = self.buffers[buffer]
            access = Access(position, writes, offset, kind.numel, kind.itemsize)
            self.found.setdefault((position, writes, offset), access)

    def form(self, expr: Expr, scope: Mapping[str, Form]) -> Form | None:
        """An index expression as a form; None where it is none."""
        if expr.dtype != INDEX:
            return None
        if isinstance(expr, Const):
            return number(int(expr.value))
        if isinstance(expr, RuntimeSize):
            return number(expr.size)
        if isinstance(expr, Var):
            return scope.get(expr.name)
        if not isinstance(expr, Apply) or len(expr.args) != 2:
            return None
        a, b = (self.form(arg, scope) for arg in expr.args)
        if expr.template == CLIPPED and b is not None:
            # An index that data give lies in `[0, b]`, whatever they are.
            return atom_form(Between(number(0), atom_form(Extreme(b, number(0), least=False))))
        if a is None or b is None:
            return None
        return self._combined(expr.template, a, b)

    def _combined(self, template: str, a: Form, b: Form) -> Form | None:
        if template == "({0} + {1})":
            return a.plus(b)
        if template == "({0} - {1})":
            return a.plus(b, -1)
        if template in _LEAST:
            return atom_form(Extreme(a, b, _LEAST[template]))
        if template == "({0} * {1})" and not (a.terms and b.terms):
            product, times = (a, b.constant) if a.terms else (b, a.constant)
            return number(0).plus(product, times)
        if template == "udiv({0}, {1})" and not b.terms:
            return self._quotient(a, b.constant)
        if template == "urem({0}, {1})" and not b.terms:
            return a.plus(self._quotient(a, b.constant), -b.constant)
        return None

    def _quotient(self, dividend: Form, divisor: Dim) -> Form:
        if len(dividend.terms) == 1 and dividend.constant == 0:
            ((atom, factor),) = dividend.terms
            if factor == 1 and isinstance(atom, Quotient):
                dividend, divisor = atom.dividend, atom.divisor * divisor
        key = (frozenset(dividend.terms), dividend.constant, divisor)
        atom = self._quotients.setdefault(key, Quotient(dividend, divisor))
        return atom_form(atom)


def _bounded(counter: Between, room: Form, sign: int) -> Between:
    """A counter of which `room` has `sign`, where `room` is not negative."""
    end = number(0).plus(room, -sign).plus(atom_form(counter))
    limit = atom_form(Extreme(counter.last if sign < 0 else counter.first, end, least=sign < 0))
    return Between(counter.first, limit) if sign < 0 else Between(limit, counter.last)


def _alternatives(form: Form) -> tuple[Form, ...]:
    """Forms that are all at least as large as `form`: both sides of a minimum."""
    if len(form.terms) == 1 and form.constant == 0:
        ((atom, factor),) = form.terms
        if factor == 1 and isinstance(atom, Extreme) and atom.least:
            return atom.a, atom.b
    return (form,)


def _counter(variable: Var, start: Form | None, stop: Form | None, step: int = 1) -> Scope:
    """The variable of a loop, between its first and its last value."""
    if start is None or stop is None:
        return {}
    span = stop.plus(start, -1)
    factors = (span.constant, *(factor for _, factor in span.terms))
    whole_steps = all(isinstance(factor, int) and factor % step == 0 for factor in factors)
    last = stop.plus(number(-step if whole_steps else -1))
    return {variable.name: atom_form(Between(start, last))}


def _loads(expr: Expr) -> Iterator[Load]:
    if isinstance(expr, Load):
        yield expr
        yield from _loads(expr.offset)
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from _loads(arg)
