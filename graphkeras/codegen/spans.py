"""Which bytes each thread of a launch touches: sums of loop variables, and their bounds.

A kernel shares out the iterations `[0, extent)` of one loop in contiguous runs. An offset in a
buffer is kept as a `Form`, a sum of atoms times sizes, in which quotients and remainders of a
position that was taken apart cancel again::

    row // 7 * 70 + row % 7 * 10 + j    ->    10 * row + j

For numbers as sizes and one thread's run `[low, high)` every atom has a smallest and a largest
value, hence every form has bounds and every access is an interval of elements. The bounds may
be wider than what is touched, never narrower. What cannot be followed is the whole buffer.

How a form is bounded depends on the signs of factors, not on where a run lies. So it is worked out
once for all threads of a team, with arrays of an element a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from itertools import count
from typing import TypeAlias

import numpy as np

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, evaluate
from graphkeras.ir.op import Array

_orders = count()


@frozen(eq=False)
class Atom:
    """A number of a running kernel; two atoms are the same only if they are one object."""

    order: int = field(init=False, default_factory=lambda: next(_orders))
    """Greater than that of every atom it depends on."""


class Edge(Atom):
    """The first iteration of a thread's run, or the first behind it."""


LOW, HIGH = Edge(), Edge()


@frozen(eq=False)
class Between(Atom):
    """Any number from `first` to `last`: a loop variable, or one that a condition bounds."""

    first: Form
    last: Form


@frozen(eq=False)
class Quotient(Atom):
    """`dividend // divisor`, both not negative."""

    dividend: Form
    divisor: Dim


@frozen(eq=False)
class Extreme(Atom):
    """The smaller or the larger of two."""

    a: Form
    b: Form
    least: bool


@frozen
class Form:
    """A sum of atoms, each times a size, and of a size."""

    terms: tuple[tuple[Atom, Dim], ...]
    constant: Dim = 0

    def replaced(self, old: Atom, new: Atom) -> Form:
        """The form with one atom in another's place."""
        return Form(tuple((new if a is old else a, f) for a, f in self.terms), self.constant)

    def plus(self, other: Form, times: Dim = 1) -> Form:
        """`self + times * other`."""
        total = dict(self.terms)
        for atom, factor in other.terms:
            total[atom] = total.get(atom, 0) + factor * times
        kept = tuple((atom, factor) for atom, factor in total.items() if factor != 0)
        return Form(kept, self.constant + other.constant * times)


def number(value: Dim) -> Form:
    """A form without atoms."""
    return Form((), value)


def atom_form(atom: Atom) -> Form:
    """One atom as a form."""
    return Form(((atom, 1),))


class Bounds:
    """Smallest and largest values for given sizes and the runs `[low, high)` of all threads.

    The atom made last is replaced by its own bound first, as a sum, so that it cancels with
    what it depends on::

        first + r,  r <= stop - first - 1    ->    stop - 1
    """

    def __init__(self, sizes: Mapping[str, int], low: Array, high: Array) -> None:
        self.sizes = sizes
        self.low, self.high = low, high
        self._sums: dict[int, tuple[Form, _Sum]] = {}
        self._atoms: dict[int, Atom] = {}
        self._ends: dict[int, tuple[_Number, _Number]] = {}

    def of(self, form: Form) -> tuple[_Number, _Number]:
        """Bounds of a form: one a thread, or one for all.

        The lower may exceed the upper where code is never reached.
        """
        lower, upper = _Sum({}, 0), _Sum({}, 0)
        self._add(lower, form, -1)
        self._add(upper, form, 1)
        return -self._most(lower), self._most(upper)

    def _add(self, total: _Sum, form: Form, times: int) -> None:
        """Adds `times * form` to a sum."""
        if id(form) not in self._sums:
            factors = {}
            for atom, factor in form.terms:
                factors[atom.order] = evaluate(factor, self.sizes)
                self._atoms[atom.order] = atom
            # The form is kept so that no other one gets its id.
            self._sums[id(form)] = form, _Sum(factors, evaluate(form.constant, self.sizes))
        more = self._sums[id(form)][1]
        for order, factor in more.factors.items():
            total.factors[order] = total.factors.get(order, 0) + factor * times
        total.base = total.base + more.base * times

    def _most(self, total: _Sum) -> _Number:
        """An upper bound of a sum, which is used up."""
        while total.factors:
            order = max(total.factors)
            times, atom = total.factors.pop(order), self._atoms[order]
            if isinstance(atom, Edge):
                total.base = total.base + times * (self.low if atom is LOW else self.high)
            elif times and isinstance(atom, Between):
                self._add(total, atom.last if times > 0 else atom.first, times)
            elif times and isinstance(atom, Extreme):
                other = total.copy()
                self._add(total, atom.a, times)
                self._add(other, atom.b, times)
                best = _least if atom.least == (times > 0) else _greatest
                return best(self._most(total), self._most(other))
            elif times and isinstance(atom, Quotient):
                return self._most_of_quotient(atom, total, times)
        return total.base

    def _most_of_quotient(self, atom: Quotient, rest: _Sum, times: int) -> _Number:
        # A size of nothing divides nothing: no iteration gets here.
        divisor = max(1, evaluate(atom.divisor, self.sizes))
        if atom.order not in self._ends:
            self._ends[atom.order] = self.of(atom.dividend)
        bound = times * (self._ends[atom.order][times > 0] // divisor) + self._most(rest.copy())
        if times % divisor == 0:
            # x - (d - 1) <= d * (x // d) <= x
            self._add(rest, atom.dividend, times // divisor)
            slack = 0 if times > 0 else times // divisor * (1 - divisor)
            bound = _least(bound, self._most(rest) + slack)
        return bound


_Number: TypeAlias = "int | Array"
"""One for all threads, or one for each."""


class _Sum:
    """Atoms, by their order, times numbers, and a number."""

    __slots__ = ("base", "factors")

    def __init__(self, factors: dict[int, int], base: _Number) -> None:
        self.factors = factors
        self.base = base

    def copy(self) -> _Sum:
        return _Sum(dict(self.factors), self.base)


def _least(a: _Number, b: _Number) -> _Number:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


def _greatest(a: _Number, b: _Number) -> _Number:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)


@frozen
class Access:
    """Elements of one argument that a thread reads or writes."""

    argument: int
    """Position in the launch's arguments."""
    writes: bool
    offset: Form | None
    """None: any element."""
    count: Dim
    """Elements of the buffer."""
    itemsize: int


@frozen
class Footprint:
    """What a kernel touches, and how its iterations are shared out."""

    accesses: tuple[Access, ...]
    extent: Dim
    work: Dim
    grain: int
    multiple: int

    def parts(self, team: int, sizes: Mapping[str, int]) -> int:
        """How many threads of a team get work."""
        return min(team, 1 + self.grains(sizes))

    def grains(self, sizes: Mapping[str, int]) -> int:
        """Pieces of work worth a thread of their own."""
        return evaluate(self.work, sizes) // self.grain

    def runs(self, team: int, sizes: Mapping[str, int]) -> tuple[Array, Array]:
        """Iterations `[low, high)` of each thread, as the printed kernel computes them."""
        # No part where less than nothing is left of a batch: one that gets nothing, then.
        parts = max(1, self.parts(team, sizes))
        extent, multiple = evaluate(self.extent, sizes), self.multiple
        units = -(-extent // multiple)
        edges = np.minimum(extent, units * np.arange(parts + 1) // parts * multiple)
        idle = np.zeros(team - parts, np.int64)
        return np.append(edges[:-1], idle), np.append(edges[1:], idle)

    def intervals(self, team: int, sizes: Mapping[str, int]) -> list[tuple[Access, Array, Array]]:
        """For each access the bytes `[start, stop)` of its buffer that each thread may touch.

        Where a thread touches nothing, `start` is not less than `stop`.

        Args:
            team: How many threads there are.
            sizes: Values of the run-time sizes.
        """
        low, high = self.runs(team, sizes)
        bounds = Bounds(sizes, low, high)
        found = []
        for access in self.accesses:
            first: _Number = 0
            last: _Number = evaluate(access.count, sizes) - 1
            if access.offset is not None:
                least, most = bounds.of(access.offset)
                first, last = _greatest(first, least), _least(last, most)
            start = np.where(low < high, first, 0)
            stop = np.where(low < high, np.add(last, 1), 0)
            found.append((access, start * access.itemsize, stop * access.itemsize))
        return found
