"""Which bytes each thread of a launch touches: sums of loop variables, and their bounds.

A kernel shares out the iterations `[0, extent)` of one loop in contiguous runs. An offset in a
buffer is kept as a `Form`, a sum of atoms times sizes, in which quotients and remainders of a
position that was taken apart cancel again::

    row // 7 * 70 + row % 7 * 10 + j    ->    10 * row + j

For numbers as sizes and one thread's run `[low, high)` every atom has a smallest and a largest
value, hence every form has bounds and every access is an interval of elements. The bounds may
be wider than what is touched, never narrower. What cannot be followed is the whole buffer.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import field
from itertools import count

from graphkeras.frozen import frozen
from graphkeras.ir.dims import Dim, evaluate

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
    """Smallest and largest values for given sizes and the run `[low, high)` of one thread.

    The atom made last is replaced by its own bound first, as a sum, so that it cancels with
    what it depends on::

        first + r,  r <= stop - first - 1    ->    stop - 1
    """

    def __init__(self, sizes: Mapping[str, int], low: int, high: int) -> None:
        self.sizes = sizes
        self.low, self.high = low, high
        self._sums: dict[int, tuple[Form, _Sum]] = {}
        self._atoms: dict[int, Atom] = {}
        self._ends: dict[int, tuple[int, int]] = {}

    def of(self, form: Form) -> tuple[int, int]:
        """Bounds of a form. The lower may exceed the upper where code is never reached."""
        lower, upper = _zero(), _zero()
        self._add(lower, form, -1)
        self._add(upper, form, 1)
        return -self._most(lower), self._most(upper)

    def _add(self, total: _Sum, form: Form, times: int) -> None:
        """Adds `times * form` to a sum."""
        if id(form) not in self._sums:
            terms = {_CONSTANT: evaluate(form.constant, self.sizes)}
            for atom, factor in form.terms:
                terms[atom.order] = evaluate(factor, self.sizes)
                self._atoms[atom.order] = atom
            # The form is kept so that no other one gets its id.
            self._sums[id(form)] = form, terms
        for order, factor in self._sums[id(form)][1].items():
            total[order] = total.get(order, 0) + factor * times

    def _most(self, total: _Sum) -> int:
        """An upper bound of a sum, which is used up."""
        while (order := max(total)) != _CONSTANT:
            times, atom = total.pop(order), self._atoms[order]
            if isinstance(atom, Edge):
                total[_CONSTANT] += times * (self.low if atom is LOW else self.high)
            elif times and isinstance(atom, Between):
                self._add(total, atom.last if times > 0 else atom.first, times)
            elif times and isinstance(atom, Extreme):
                other = dict(total)
                self._add(total, atom.a, times)
                self._add(other, atom.b, times)
                best = min if atom.least == (times > 0) else max
                return best(self._most(total), self._most(other))
            elif times and isinstance(atom, Quotient):
                return self._most_of_quotient(atom, total, times)
        return total[_CONSTANT]

    def _most_of_quotient(self, atom: Quotient, rest: _Sum, times: int) -> int:
        # A size of nothing divides nothing: no iteration gets here.
        divisor = max(1, evaluate(atom.divisor, self.sizes))
        if atom.order not in self._ends:
            self._ends[atom.order] = self.of(atom.dividend)
        bound = times * (self._ends[atom.order][times > 0] // divisor) + self._most(dict(rest))
        if times % divisor == 0:
            # x - (d - 1) <= d * (x // d) <= x
            self._add(rest, atom.dividend, times // divisor)
            slack = 0 if times > 0 else times // divisor * (1 - divisor)
            bound = min(bound, self._most(rest) + slack)
        return bound


_Sum = dict[int, int]
"""The factor of each atom, by the atom's order."""
_CONSTANT = -1
"""Where a sum has its constant: lower than the order of every atom."""


def _zero() -> _Sum:
    return {_CONSTANT: 0}


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

    def run(self, tid: int, team: int, sizes: Mapping[str, int]) -> tuple[int, int]:
        """Iterations `[low, high)` of a thread, as the printed kernel computes them."""
        parts = self.parts(team, sizes)
        if tid >= parts:
            return 0, 0
        extent, multiple = evaluate(self.extent, sizes), self.multiple
        units = -(-extent // multiple)
        low, high = (min(extent, units * i // parts * multiple) for i in (tid, tid + 1))
        return low, high

    def intervals(
        self,
        tid: int,
        team: int,
        sizes: Mapping[str, int],
        arguments: Container[int] | None = None,
    ) -> list[tuple[Access, int, int]]:
        """Each access of a thread with the bytes `[start, stop)` of its buffer it may touch.

        Args:
            tid: The thread.
            team: How many threads there are.
            sizes: Values of the run-time sizes.
            arguments: Positions of the arguments asked for; None: all.
        """
        low, high = self.run(tid, team, sizes)
        if low >= high:
            return []
        bounds = Bounds(sizes, low, high)
        found = []
        for access in self.accesses:
            if arguments is not None and access.argument not in arguments:
                continue
            first, last = 0, evaluate(access.count, sizes) - 1
            if access.offset is not None:
                least, most = bounds.of(access.offset)
                first, last = max(first, least), min(last, most)
            if first <= last:
                found.append((access, first * access.itemsize, (last + 1) * access.itemsize))
        return found
